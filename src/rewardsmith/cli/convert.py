"""`rewardsmith convert`: from any format to any other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import Domain, Format, OnError, OnErrorOption, Overwrite, Source, print_notes, stderr


def convert(
    source: Source,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The file to write (.jsonl, .json, .parquet), or -.")],
    to: Annotated[
        str, typer.Option("--to", help="rewardsmith, trl, openrlhf, llamafactory ...; an unknown name lists all.")
    ] = "rewardsmith",
    format: Format = None,
    domain: Domain = None,
    on_error: OnErrorOption = OnError.stop,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Shares, as train=0.8,test=0.2: writes OUT with the part's name added."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the split.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Reads preferences in any format and writes them in another, and says what that format could not hold.

    \b
    rewardsmith convert domain_specific_preference.json academy.jsonl --domain academy
    rewardsmith convert pairs.jsonl pairs.parquet --split train=0.8,test=0.2
    rewardsmith convert votes.json - --to trl | head -1
    """
    from rewardsmith.errors import UserError
    from rewardsmith.preferences.reading import read_preferences
    from rewardsmith.preferences.sample import located
    from rewardsmith.preferences.splitting import parse_shares, split_preferences
    from rewardsmith.preferences.writing import write_preferences

    console = stderr()
    reader = read_preferences(located(source), format=format, domain=domain, on_error=on_error.value)
    if split is None:
        reports = {out: write_preferences(reader, out, to=to, overwrite=overwrite)}
    elif out == "-":
        raise UserError("--split writes several files; name OUT as a file")
    else:
        path = Path(out)
        parts = split_preferences(reader, parse_shares(split), seed=seed)
        names = {name: str(path.with_name(f"{path.stem}-{name}{path.suffix}")) for name in parts}
        reports = {names[n]: write_preferences(p, names[n], to=to, overwrite=overwrite) for n, p in parts.items()}
    print_notes(reader.notes, console)
    for name, report in reports.items():
        lost = ", ".join(f"{part} ({count})" for part, count in report.lost.items())
        text = f"{name}: {report.written} rows from {report.records} preferences"
        console.print(text + (f"; {to} could not hold: {lost}" if lost else ""), highlight=False, markup=False)
