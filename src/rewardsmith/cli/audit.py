"""`rewardsmith audit`: what is wrong with preference data, before anything is trained on it."""

from __future__ import annotations

from typing import Annotated

import typer

from rewardsmith.cli.options import By, Domain, Format, OnError, OnErrorOption, Source, print_notes, stdout


def audit(
    source: Source,
    format: Format = None,
    domain: Domain = None,
    on_error: OnErrorOption = OnError.stop,
    against: Annotated[
        list[str] | None, typer.Option("--against", help="Another set whose prompts must not stand in this one.")
    ] = None,
    by: Annotated[
        By, typer.Option("--by", help="Whose preferences are checked apart: each domain's, or each annotator's.")
    ] = By.domain,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Count tokens with this model's tokenizer.")
    ] = None,
    max_length: Annotated[int | None, typer.Option("--max-length", min=1, help="Say what cutting there does.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when a check fails.")] = False,
) -> None:
    """Checks preference data and grades each finding good, warn or fail, against named thresholds.

    Does the longer response win? Could single words tell? Duplicates, ties, contradictions, identical or empty
    responses, prompts that stand in two sets, what truncation would cut.

    \b
    rewardsmith audit pairs.jsonl
    rewardsmith audit train.jsonl --against test.jsonl --strict
    rewardsmith audit pairs.jsonl --model embedded --max-length 512
    rewardsmith audit votes.jsonl --by annotator
    """
    from rewardsmith.errors import RewardsmithError, UserError
    from rewardsmith.preferences.audit import audit_preferences
    from rewardsmith.preferences.reading import load_preferences, with_annotator_domains
    from rewardsmith.preferences.sample import located, real_place
    from rewardsmith.reporting.audit import audit_text

    places = {real_place(source): source}
    for name in against or []:
        if (place := real_place(name)) in places:
            raise UserError(f"--against {name}: that is {places[place]} once more; name another set, or leave it out")
        places[place] = name
    loaded = load_preferences(located(source), format=format, domain=domain, on_error=on_error.value)
    preferences = with_annotator_domains(loaded.preferences) if by is By.annotator else loaded.preferences
    others = {name: load_preferences(located(name)).preferences for name in against or []}
    counter = None
    if model is not None or max_length is not None:
        from rewardsmith.modeling.loading import tokenizer_of

        tokenizer = tokenizer_of(model or "embedded")
        counter = lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])  # noqa: E731
    report = audit_preferences(
        preferences,
        token_counter=counter,
        max_length=max_length,
        splits={f"{source} (audited)": loaded.preferences, **others} if others else None,
    )
    report = report.model_copy(update={"notes": loaded.notes})
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        console = stdout()
        print_notes(loaded.notes, console)
        console.print(audit_text(report), highlight=False)
    failed = [finding.check for finding in report.findings if finding.grade == "fail"]
    if strict and failed:
        raise RewardsmithError(f"{source}: the audit fails on {', '.join(failed)}; see the findings above")
