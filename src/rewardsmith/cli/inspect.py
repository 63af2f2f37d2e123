"""`rewardsmith inspect`: what is in a preference file."""

from __future__ import annotations

from typing import Annotated

import typer

from rewardsmith.cli.options import Domain, Format, OnError, OnErrorOption, Source, stdout


def inspect(
    source: Source,
    format: Format = None,
    domain: Domain = None,
    on_error: OnErrorOption = OnError.stop,
    examples: Annotated[int, typer.Option("--examples", "-n", min=0, help="How many records to show.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Shows what a preference file holds: its format and why, counts, domains, and an example.

    \b
    rewardsmith inspect pairs.jsonl
    rewardsmith inspect sample:domains --domain academy
    """
    from rewardsmith.preferences.summary import summarise_file

    summary = summarise_file(source, format=format, domain=domain, on_error=on_error.value, examples=examples)
    if as_json:
        print(summary.model_dump_json(indent=2))
    else:
        stdout().print(summary.to_text(), highlight=False, markup=False)
