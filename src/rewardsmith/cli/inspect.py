"""`rewardsmith inspect`: what is in a preference file."""

from __future__ import annotations

from typing import Annotated

import typer

from rewardsmith.cli.options import By, Domain, Format, OnError, OnErrorOption, Source, stdout


def inspect(
    source: Source,
    format: Format = None,
    domain: Domain = None,
    on_error: OnErrorOption = OnError.stop,
    by: Annotated[
        By, typer.Option("--by", help="Whose records are counted: each domain's, or each annotator's.")
    ] = By.domain,
    examples: Annotated[int, typer.Option("--examples", "-n", min=0, help="How many records to show.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Shows what a preference file holds: its format and why, counts, domains, and an example.

    \b
    rewardsmith inspect pairs.jsonl
    rewardsmith inspect sample:domains --domain academy
    rewardsmith inspect votes.jsonl --by annotator
    """
    from rewardsmith.preferences.summary import summarise_file

    summary = summarise_file(
        source, format=format, domain=domain, by=by.value, on_error=on_error.value, examples=examples
    )
    if as_json:
        print(summary.model_dump_json(indent=2))
    else:
        stdout().print(summary.to_text(), highlight=False, markup=False)
