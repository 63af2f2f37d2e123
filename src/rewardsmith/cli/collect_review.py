"""`rewardsmith collect review`, `export`, `import`: what people say of collected pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rewardsmith.cli.options import Overwrite, stderr, stdout

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A collection's folder.")]
Reviewer = Annotated[str, typer.Option("--reviewer", help="Who reviews; names the file of verdicts.")]
Pairs = Annotated[int, typer.Option("--pairs", min=1, help="How many pairs, one a record, drawn by hash.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of which pairs are shown, and on which side.")]
Tool = Annotated[str, typer.Option("--tool", help="argilla or label-studio.")]


def review(
    folder: Folder,
    reviewer: Reviewer = "me",
    pairs: Pairs = 50,
    seed: Seed = 0,
    summary: Annotated[bool, typer.Option("--summary", help="Only say how reviewers agree.")] = False,
) -> None:
    """Shows pairs without saying which the data prefer, and writes down your verdict: one key a pair.

    Stop and go on as you like. DIR/reviewed.jsonl then holds the preferences as reviewed; agreement with the data, and
    among reviewers, is printed with its interval.

    \b
    rewardsmith collect review runs/mine --reviewer ann
    rewardsmith collect review runs/mine --summary
    """
    from rewardsmith.collection.review.screen import review as ask
    from rewardsmith.collection.review.verdicts import ReviewFile, load_collected, sample_pairs
    from rewardsmith.errors import UserError

    shown = sample_pairs(load_collected(folder), pairs, seed=seed)
    if not summary:
        try:
            from rewardsmith.collection.review.keyboard import TerminalKeyboard
        except ImportError as error:
            raise UserError("reviewing needs prompt_toolkit: pip install 'rewardsmith[collect]'") from error
        ask(shown, ReviewFile(folder, reviewer), stdout(), TerminalKeyboard())
    _say_agreement(folder, shown)


def export(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file: a JSON array.")],
    tool: Tool = "argilla",
    pairs: Pairs = 50,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Writes pairs for review in Argilla or Label Studio; for the latter its labelling set-up is printed.

    \b
    rewardsmith collect export runs/mine --tool label-studio --out tasks.json
    """
    import json

    from rewardsmith.cli.options import refuse_existing
    from rewardsmith.collection.review.exchange import LABEL_STUDIO, export_pairs
    from rewardsmith.collection.review.verdicts import load_collected, sample_pairs
    from rewardsmith.files import write_whole

    refuse_existing(out, overwrite)
    rows = export_pairs(sample_pairs(load_collected(folder), pairs, seed=seed), tool)
    write_whole(out, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    if tool == "label-studio":
        print(LABEL_STUDIO, end="")
    stderr().print(f"{len(rows)} pairs are in {out}", highlight=False, markup=False)


def import_(
    folder: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the tool gave back, JSON.")],
    tool: Tool = "argilla",
    pairs: Pairs = 50,
    seed: Seed = 0,
) -> None:
    """Takes in the verdicts that people gave in Argilla or Label Studio; --pairs and --seed as at the export."""
    from rewardsmith.collection.review.exchange import import_reviews
    from rewardsmith.collection.review.verdicts import ReviewFile, load_collected, sample_pairs

    shown = sample_pairs(load_collected(folder), pairs, seed=seed)
    for name, reviews in import_reviews(file, shown, tool).items():
        ReviewFile(folder, name).add(reviews)
    _say_agreement(folder, shown)


def _say_agreement(folder: Path, shown: Any) -> None:
    """Writes the reviewed preferences and says how people and data agree."""
    from rewardsmith.collection.review.verdicts import write_reviewed
    from rewardsmith.collection.tables import agreement_lines

    for line in agreement_lines(write_reviewed(folder, shown)):
        stdout().print(line, highlight=False, markup=False)
