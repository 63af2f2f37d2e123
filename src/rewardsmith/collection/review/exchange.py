"""Pairs for review in other tools, and the verdicts that come back: Argilla records, Label Studio tasks. Pure.

Argilla: one record a pair with the fields `prompt`, `response-1`, `response-2` and a label question `better`
(`1`, `2`, `tie`), as `argilla.Dataset.records.to_json` and `.from_json` have them. Label Studio: tasks with the same
fields under `data`, for the labelling set-up `LABEL_STUDIO`, and the JSON export with `annotations`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rewardsmith.collection.review.verdicts import Choice, Pair, Review
from rewardsmith.errors import DataError, UserError, nearest

QUESTION = "better"
LABEL_STUDIO = f"""\
<View>
  <Header value="Which response is better?"/>
  <Text name="prompt" value="$prompt"/>
  <Text name="response1" value="$response-1"/>
  <Text name="response2" value="$response-2"/>
  <Choices name="{QUESTION}" toName="prompt" choice="single" required="true">
    <Choice value="1"/><Choice value="2"/><Choice value="tie"/>
  </Choices>
</View>
"""


def export_pairs(pairs: Sequence[Pair], tool: str) -> list[dict[str, Any]]:
    """The pairs as the tool reads them. Raises UserError for an unknown tool."""
    return [_named(tool, _EXPORTS)(pair) for pair in pairs]


def import_reviews(path: Path, pairs: Sequence[Pair], tool: str) -> dict[str, list[Review]]:
    """Verdicts by reviewer from what a tool gave back.

    Raises:
        UserError: an unknown tool.
        DataError: the file cannot be read, is of another form, or holds a verdict on a pair that is not known; says
            which row.
    """
    read = _named(tool, _IMPORTS)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(rows, list):
        raise DataError(f"{path}: a JSON array of records is expected")
    by_id = {pair.id: pair for pair in pairs}
    found: dict[str, list[Review]] = {}
    for number, row in enumerate(rows, 1):
        try:
            verdicts = read(row)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            fault = f"{type(error).__name__}: {error}"
            raise DataError(f"{path}, record {number}: is no record of {tool} ({fault})") from error
        for name, pair_id, value in verdicts:
            if pair_id not in by_id:
                raise DataError(f"{path}, record {number}: the pair '{pair_id}' is not in this collection's review")
            found.setdefault(name, []).append(
                Review(pair=pair_id, verdict=_choice(value, by_id[pair_id], f"{path}, record {number}"))
            )
    return found


def _fields(pair: Pair) -> dict[str, str]:
    first, second = pair.texts[::-1] if pair.shown_swapped else pair.texts
    return {"prompt": pair.prompt, "response-1": first, "response-2": second}


def _to_argilla(pair: Pair) -> dict[str, Any]:
    return {
        "id": pair.id,
        "fields": _fields(pair),
        "metadata": {"domain": pair.domain, "record": pair.record},
        "suggestions": {},
        "responses": {},
    }


def _to_label_studio(pair: Pair) -> dict[str, Any]:
    return {"data": {**_fields(pair), "pair": pair.id, "domain": pair.domain}}


def _from_argilla(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Only submitted responses are verdicts; drafts are not."""
    answers = row["responses"].get(QUESTION, [])
    return [
        (str(a["user_id"]), str(row["id"]), str(a["value"]))
        for a in answers
        if a.get("status", "submitted") == "submitted"
    ]


def _from_label_studio(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    for annotation in row["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        who = annotation.get("completed_by")
        name = str(who.get("email") or who.get("id")) if isinstance(who, dict) else str(who)
        found += [
            (name, str(row["data"]["pair"]), str(result["value"]["choices"][0]))
            for result in annotation["result"]
            if result["from_name"] == QUESTION
        ]
    return found


def _choice(value: str, pair: Pair, where: str) -> Choice:
    if value == "tie":
        return "tie"
    if value not in ("1", "2"):
        raise DataError(f"{where}: '{QUESTION}' is {value!r}; it must be 1, 2 or tie")
    return "first" if (value == "1") != pair.shown_swapped else "second"


_EXPORTS: dict[str, Callable[[Pair], dict[str, Any]]] = {"argilla": _to_argilla, "label-studio": _to_label_studio}
_IMPORTS: dict[str, Callable[[dict[str, Any]], list[tuple[str, str, str]]]] = {
    "argilla": _from_argilla,
    "label-studio": _from_label_studio,
}
TOOLS = tuple(_EXPORTS)


def _named(tool: str, known: dict[str, Any]) -> Any:
    if tool not in known:
        raise UserError(f"unknown tool '{tool}'{nearest(tool, known)}; there are {', '.join(known)}")
    return known[tool]
