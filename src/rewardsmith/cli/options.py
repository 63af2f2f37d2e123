"""Options that several commands share, and the two consoles: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console


class OnError(StrEnum):
    """What to do with a bad row."""

    stop = "stop"
    skip = "skip"


class By(StrEnum):
    """Whose preferences are looked at apart."""

    domain = "domain"
    annotator = "annotator"


Format = Annotated[str | None, typer.Option("--format", help="Format of the file; default: detected, and said.")]
Domain = Annotated[str | None, typer.Option("--domain", help="Only this domain (for raw DSP: whose answer is best).")]
OnErrorOption = Annotated[OnError, typer.Option("--on-error", help="At a bad row: stop, or skip and count it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Calibrated = Annotated[
    bool, typer.Option("--calibrated", help="Of a calibrated model: 0 is an average response, 1 more is odds of e.")
]
LengthControlled = Annotated[
    bool, typer.Option("--length-controlled", help="The same, without what length alone explains.")
]
Uncertainty = Annotated[bool, typer.Option("--uncertainty", help="The same, with standard errors.")]
Model = Annotated[str, typer.Option("--model", "-m", help="A model's or a run's folder, or a hub name.")]
ModelDomain = Annotated[str | None, typer.Option("--domain", help="Which of a run's models; also filters the data.")]
Source = Annotated[str, typer.Argument(metavar="FILE", help="A file, folder, hub data set (org/name), or - for stdin.")]
Confidence = Annotated[float, typer.Option("--confidence", help="Percent, of a verdict about a budget.")]
Metric = Annotated[str, typer.Option("--metric", help="What the budget is about: accuracy or brier.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The run's folder; default: runs/NAME.")]


def refuse_existing(output: Path | None, overwrite: bool) -> None:
    """Refuses a file, or a folder with something in it, that may not be replaced, and a place that is none: said before
    the work, not after it.

    Raises:
        OutputExistsError: there is something.
        UserError: nothing can be written there.
    """
    from rewardsmith.errors import OutputExistsError, UserError

    if output is None:
        return
    if (output.is_file() or (output.is_dir() and any(output.iterdir()))) and not overwrite:
        raise OutputExistsError(f"{output} exists; name another or use --overwrite")
    parent = output.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"{output} cannot be written: {parent} is no folder; name another place")


def stderr() -> Console:
    """For progress and remarks; lines are broken for a terminal only."""
    from rich.console import Console

    return Console(stderr=True, width=_width(sys.stderr))


def stdout() -> Console:
    """For results; as wide as a file wants where it is no terminal."""
    from rich.console import Console

    return Console(width=_width(sys.stdout))


def print_notes(notes: Iterable[str], console: Console) -> None:
    """What reading or scoring had to say, beside the result."""
    for note in notes:
        console.print(note, style="dim", highlight=False, markup=False)


def _width(stream: TextIO) -> int | None:
    """The terminal's own; as wide as a file wants where there is none."""
    return None if stream.isatty() else 160
