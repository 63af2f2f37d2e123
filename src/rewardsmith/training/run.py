"""A whole run: data, stages, evaluation, report; and the dry run that says what it would take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from rewardsmith.errors import RewardsmithError
from rewardsmith.evaluation.result import EvaluationResult, save_result
from rewardsmith.reporting.curves import plot_learning_curves
from rewardsmith.reporting.metrics_file import read_metrics
from rewardsmith.reporting.plots import plot_all
from rewardsmith.reporting.tables import result_markdown
from rewardsmith.training.data import load_data
from rewardsmith.training.jobs import plan_jobs
from rewardsmith.training.recipe import Recipe
from rewardsmith.training.run_folder import RunFolder, fingerprint
from rewardsmith.training.stages import Workplace, run_job
from rewardsmith.training.starting import check_starts
from rewardsmith.training.testing import evaluate_run

if TYPE_CHECKING:
    from accelerate import PartialState


def run_recipe(recipe: Recipe, out: Path, console: Console, *, overwrite: bool = False) -> EvaluationResult:
    """Runs `recipe` in the folder `out`, or goes on with the same run there.

    Raises:
        UserError: recipe, data or folder cannot be used as asked.
        TrainingError: the loss is not finite.
    """
    state = _processes()
    data = load_data(recipe)
    jobs = plan_jobs(recipe, data)
    check_starts(recipe, jobs)
    folder = RunFolder(out)
    if state.is_main_process:
        for note in data.notes:
            console.print(f"[dim]{escape(note)}[/dim]", highlight=False)
        folder.open(recipe, {name: fingerprint(data.preferences(name)) for name in data.sets}, overwrite)
    else:
        console = Console(quiet=True)
    state.wait_for_everyone()
    for job in jobs:
        run_job(job, Workplace(recipe, data, folder, console))
        state.wait_for_everyone()
    models = [name for job in jobs if job.stage.stage != "base" for name in job.models.values()]
    with state.main_process_first():
        result = evaluate_run(models, recipe, data, folder)
    if state.is_main_process:
        try:
            save_result(folder.result, result, overwrite=True)
            _write_report(result, folder)
        except OSError as error:
            raise RewardsmithError(f"the result could not be written to {out}: {error.strerror or error}") from error
    return result


def is_main() -> bool:
    """Whether this process speaks for all of a run."""
    return bool(_processes().is_main_process)


def _processes() -> PartialState:
    """This process among the launcher's; accelerate finds those on CPUs only where it is told to look for them."""
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def _write_report(result: EvaluationResult, folder: RunFolder) -> None:
    """Tables as Markdown and plots as PNG, made of the result and the metrics alone."""
    (folder.path / "tables.md").write_text(result_markdown(result), encoding="utf-8")
    plots = folder.path / "plots"
    plot_all(result, plots)
    points = read_metrics(folder.metrics) if folder.metrics.is_file() else []
    if points:
        plot_learning_curves(points, plots / "learning.png")
