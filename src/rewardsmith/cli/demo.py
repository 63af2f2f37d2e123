"""`rewardsmith demo`: the main job on embedded defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import Overwrite, stderr, stdout


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("runs/demo"),
    small: Annotated[
        bool, typer.Option("--small", help="Two layers and a few steps: shows that all works, learns little.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Runs the main job on the embedded model and sample, in a few minutes on two cores.

    Audit of the sample -> general reward model -> custom model for one domain, with enrichment and imitation ->
    both evaluated on general and custom preferences -> a few responses scored and ranked.
    """
    from rewardsmith.training.demo import run_demo

    run_demo(out, stderr(), stdout(), small=small, overwrite=overwrite)
