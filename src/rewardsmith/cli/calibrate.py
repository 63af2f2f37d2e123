"""`rewardsmith calibrate`: a copy of a model whose rewards are on one scale, with their uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import ModelDomain, Overwrite, Quiet, print_notes, refuse_existing, stderr, stdout


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's or a run's folder, or a hub name.")],
    data: Annotated[str, typer.Option("--data", "-d", help="Preferences that it was not trained on.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the calibrated copy.")],
    domain: ModelDomain = None,
    share: Annotated[float, typer.Option(help="Of the prompts, to fit on; the rest is for the figures.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Rewards that can be used: one scale, believable probabilities, length taken out, standard errors.

    Half of the prompts fit a temperature, a monotone map, the reward's slope on length and the uncertainty of the head;
    the other half says what that is worth. DIR is a copy of the model with the temperature in its head: a reward
    difference of 1 is odds of e, in every tool that loads it. score and rank do the rest with --calibrated,
    --length-controlled and --uncertainty. DIR/calibration holds the result and a reliability plot.

    \b
    rewardsmith calibrate runs/demo/models/general --data sample:general --out runs/calibrated
    """
    from rewardsmith.calibration.calibrate import calibrate as room
    from rewardsmith.errors import UserError
    from rewardsmith.reporting.calibration import calibration_tables
    from rewardsmith.reporting.tables import to_rich

    if not 0 < share < 1:
        raise UserError(f"--share {share:g}: it lies between 0 and 1, so that something is left to test on")
    refuse_existing(out, overwrite)
    console = None if quiet else stderr()
    result = room(model, data, out, domain=domain, share=share, seed=seed, overwrite=overwrite, console=console)
    for table in calibration_tables(result):
        stdout().print(to_rich(table))
    print_notes([f"- {note}" for note in result.notes], stdout())
    stderr().print(f"model, result and plot are in {out}", highlight=False, markup=False)
