"""What a training tells the outside: metrics to the run's folder, progress to the screen, whole checkpoints only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback

from rewardsmith.training.run_folder import RunFolder

_WHOLE = "whole"
"""A file in a checkpoint, written last: a checkpoint without it was interrupted."""


_FINISHED = "finished"
"""Its content where no step was to follow: the run had come to its end, or early stopping had ended it."""


class MetricsCallback(TrainerCallback):
    """Writes every log line of the Trainer to the run's metrics."""

    def __init__(self, folder: RunFolder, label: str) -> None:
        self.folder, self.label = folder, label

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Logs wherever a checkpoint is saved, so that no logged mean spans an interruption; measures at the end."""
        last = state.global_step >= state.max_steps
        control.should_evaluate |= last and args.eval_strategy != "no"
        control.should_log |= last or control.should_save or control.should_evaluate

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Appends losses, learning rate and accuracies; wall times are left out, so that a rerun compares equal."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        prefix = "eval_accuracy_"
        entry: dict[str, Any] = {"stage": self.label, "step": state.global_step, "epoch": round(state.epoch or 0.0, 4)}
        accuracy = {k.removeprefix(prefix): v for k, v in logs.items() if k.startswith(prefix)}
        entry |= {k: v for k, v in logs.items() if k in ("loss", "grad_norm", "learning_rate")}
        self.folder.log(entry | ({"accuracy": accuracy} if accuracy else {}))


class CheckpointCallback(TrainerCallback):
    """Marks a checkpoint once it is whole, then removes what is needed no more: all but this one and the best."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called after weights, optimiser and random states are written."""
        if not state.is_world_process_zero:
            return
        now = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (now / _WHOLE).write_text(_FINISHED if control.should_training_stop else "", encoding="utf-8")
        kept = {now.name, Path(state.best_model_checkpoint or now).name}
        for other in now.parent.glob("checkpoint-*"):
            if other.name not in kept:
                (other / _WHOLE).unlink(missing_ok=True)
                shutil.rmtree(other, ignore_errors=True)


def last_whole_checkpoint(folder: Path, *, tidy: bool = True) -> Path | None:
    """The latest checkpoint that was written to its end; interrupted ones are removed with `tidy`."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda f: int(f.name.rsplit("-", 1)[1]))
    whole = [checkpoint for checkpoint in found if (checkpoint / _WHOLE).is_file()]
    for checkpoint in found if tidy else ():
        if checkpoint not in whole:
            shutil.rmtree(checkpoint)
    return whole[-1] if whole else None


def is_finished(checkpoint: Path) -> bool:
    """Whether the training had ended when this checkpoint was written."""
    return (checkpoint / _WHOLE).read_text(encoding="utf-8") == _FINISHED


class ProgressCallback(TrainerCallback):
    """A bar with the time left, and the accuracies as they come."""

    def __init__(self, console: Console, label: str) -> None:
        self.console, self.label = console, label
        self.progress: Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the bar on the main process, where there is a screen to draw on."""
        if not state.is_world_process_zero:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        left = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[figures]}"))
        self.progress = Progress(*columns, *left, console=self.console, transient=not self.console.is_terminal)
        self.progress.start()
        self.task = self.progress.add_task(self.label, total=state.max_steps, completed=state.global_step, figures="")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """One step further."""
        if self.progress:
            self.progress.update(self.task, completed=state.global_step)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Shows the accuracies just measured."""
        if not state.is_world_process_zero:
            return
        metrics: dict[str, float] = kwargs["metrics"]
        prefix = "eval_accuracy_"
        shown = "  ".join(f"{k.removeprefix(prefix)} {v:.3f}" for k, v in metrics.items() if k.startswith(prefix))
        if self.progress:
            self.progress.update(self.task, figures=shown)
        self.console.print(f"  {self.label} step {state.global_step}: accuracy {shown}", highlight=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ends the bar."""
        if self.progress:
            self.progress.stop()
            self.progress = None
