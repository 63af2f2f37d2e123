"""The command: `python -m benchmarks` measures all figures, `--figure NAME` some. It sets up; the rooms measure."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import tempfile
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.figures import FIGURES
from benchmarks.timing import say
from rewardsmith.errors import RewardsmithError, UserError, nearest

CURVES = "curves"
_ROOT = Path(__file__).parent.parent


class Device(StrEnum):
    """Where everything runs."""

    cpu = "cpu"
    cuda = "cuda"


def bench(
    figure: Annotated[list[str] | None, typer.Option(help="Only this figure (repeatable), or curves.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds that count, after one that warms up.")] = 3,
    data: Annotated[Path, typer.Option(help="Folder with helpful.json, harmless.json and the DSP file.")] = _ROOT
    / "../shared/data",
    out: Annotated[Path | None, typer.Option(help="Writes results/ and images/ there; default docs.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all cores.")] = 0,
    device: Annotated[Device, typer.Option(help="cuda runs all sides under bfloat16 autocast.")] = Device.cpu,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Try the code on a tiny network; default out runs/bench.")
    ] = False,
    with_accuracy: Annotated[
        bool,
        typer.Option(
            "--with-accuracy",
            help="Trains four domains both ways (hours on a CPU; goes on where it was stopped), compares accuracy.",
        ),
    ] = False,
    bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Trains under bfloat16 autocast, TRL's own default, on a CPU too."),
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Prints the top operators of one of our steps.")] = False,
) -> None:
    """Measures speed against the peers' packages and writes docs/results/speed.md, speed.json and the picture."""
    _check(figure or [])
    _prepare(device)
    import torch

    from benchmarks.report import Report
    from benchmarks.workload import Setting

    threads = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    # Many trainers are made and collected, outside the clock: what was imported need not be walked each time.
    gc.freeze()
    report = Report(out or _ROOT / ("runs/bench" if tiny else "docs"))
    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(data, Path(scratch), repeats, threads, device.value, tiny, bf16)
        if profile:
            from benchmarks.profiling import profile_step

            print(profile_step(setting))
            return
        if with_accuracy:
            from benchmarks.accuracy import accuracy_gap

            report.require_speed()
            report.add_accuracy(accuracy_gap(setting, (out or _ROOT / "runs/bench") / "accuracy"), setting)
            return
        for name in figure or FIGURES:
            say(name)
            if name == CURVES:
                from benchmarks.curves import measure_curves

                report.add_curves(measure_curves(setting), setting)
            else:
                measured = FIGURES[name].measure(setting)
                say(f"  {measured.ratio.median:.2f} [{measured.ratio.low:.2f}, {measured.ratio.high:.2f}]")
                report.add(FIGURES[name], measured, setting)


def _check(figures: list[str]) -> None:
    choices = [*FIGURES, CURVES]
    for name in figures:
        if name not in choices:
            raise UserError(f"there is no figure {name!r}{nearest(name, choices)}; there are {', '.join(choices)}")
    if importlib.util.find_spec("trl") is None:
        raise UserError("the peers' packages are missing; install them: pip install -e '.[bench]'")


def _prepare(device: Device) -> None:
    """Before torch and transformers are imported: no telemetry, no chatter, and no GPU where none is asked for."""
    if device is Device.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Peers' deprecation notes and the like: for their users, not for ours.
    warnings.filterwarnings("ignore")


def main() -> None:
    """Runs the command; an error of ours is one line."""
    try:
        typer.run(bench)
    except RewardsmithError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
