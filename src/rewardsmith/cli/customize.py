"""`rewardsmith customize`: the best custom model within a budget of general ability; `report` makes its page anew."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import Confidence, Metric, Overwrite, stderr, stdout
from rewardsmith.customization.methods.summaries import SUMMARIES


def customize(
    general: Annotated[str, typer.Option("--general", help="The general reward model: a folder or a hub name.")],
    preferences: Annotated[str, typer.Option("--preferences", help="The custom preferences: a file or folder.")],
    domain: Annotated[str, typer.Option("--domain", help="Whose preferences they are.")],
    general_preferences: Annotated[
        list[str], typer.Option("--general-preferences", help="FILE or name=FILE to prove with; repeat for several.")
    ],
    budget: Annotated[
        list[str], typer.Option("--budget", help="Points that may be lost: 1.0 on all general sets, set=2.0 on one.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; an interrupted run goes on there.")],
    confidence: Confidence = 95.0,
    method: Annotated[str, typer.Option("--method", help="auto: all of them; or one, see below.")] = "auto",
    metric: Metric = "accuracy",
    minutes: Annotated[float, typer.Option(help="With auto: begin no method that would end later than this.")] = 30.0,
    plan: Annotated[bool, typer.Option("--plan", help="Say what these preferences can prove; train nothing.")] = False,
    no_portable: Annotated[
        bool, typer.Option("--no-portable", help="Allow a model that other tools cannot load.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of training.")] = 0,
    bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Methods that train do so under bfloat16 autocast: faster where the CPU has it."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on: refuse where RUN holds no run yet.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """The best model for a domain that provably lost no more general ability than allowed.

    Gives RUN/model (a standard checkpoint), RUN/result.json and RUN/report.html. When nothing can be proved to be
    within the budget, the model is the general one, unchanged, and that is said. Interrupted, the same command goes on.

    \b
    rewardsmith customize --general runs/demo/models/general --preferences sample:domains --domain academy \\
        --general-preferences sample:general --budget 15 --out runs/academy
    """
    from rewardsmith.customization import customize as room
    from rewardsmith.evaluation.budget import Question
    from rewardsmith.evaluation.scored import named_sources
    from rewardsmith.reporting.customization import verdict_sentence
    from rewardsmith.reporting.tables import changes_table, to_rich

    question = Question.parse(budget, confidence, metric)
    sets = dict(named_sources(general_preferences))
    if plan:
        for outlook in room.plan(general, preferences, domain, sets, question, seed=seed):
            stdout().print(outlook.to_text(), highlight=False, markup=False)
        return
    result = room.customize(
        general,
        preferences,
        domain,
        sets,
        question,
        out,
        method=method,
        minutes=minutes,
        portable=not no_portable,
        seed=seed,
        bf16=bf16,
        overwrite=overwrite,
        resume=resume,
        console=stderr(),
    )
    stdout().print(verdict_sentence(result), highlight=False, markup=False)
    stdout().print(to_rich(changes_table(result)))
    for note in result.notes:
        stdout().print(f"- {note}", style="dim", highlight=False, markup=False)
    stderr().print(f"model, result and report are in {out}", highlight=False, markup=False)


def customize_help() -> str:
    """The help of `customize`, with a line for every method."""
    lines = (f"{name:<21} {summary}" for name, summary in SUMMARIES.items())
    return "\n".join([cleandoc(customize.__doc__ or ""), "", "\b", "Methods, from cheap to dear:", *lines])


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of customize runs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page.")] = Path("report.html"),
    overwrite: Overwrite = False,
) -> None:
    """One page for one customize run or several side by side, from their result.json alone; it works offline.

    \b
    rewardsmith report runs/academy runs/business --out both.html
    """
    from rewardsmith.cli.options import refuse_existing
    from rewardsmith.evaluation.customization import load_customization
    from rewardsmith.reporting.customization import write_report

    refuse_existing(out, overwrite)
    write_report([load_customization(run / "result.json") for run in runs], out)
    stderr().print(f"written to {out}", highlight=False, markup=False)
