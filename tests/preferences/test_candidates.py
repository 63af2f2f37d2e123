"""What `score` and `rank` read, and which part of a set belongs to a domain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rewardsmith.errors import DataError
from rewardsmith.preferences.candidates import CandidateReader, of_domain
from rewardsmith.preferences.record import Message, Preference


def _file(tmp_path: Path, *rows: Any) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return str(path)


def _preference(domain: str) -> Preference:
    return Preference(
        id=domain, prompt=[Message(role="user", content="?")], responses=["a", "b"], scores=[1, 0], domain=domain
    )


def test_unjudged_rows_of_every_kind(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "prompt": "Why?", "responses": ["a", "b", "c"]},
        {"prompt": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}], "response": "a"},
        {"prompt": "Why?", "responses": [[{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]]},
    ]
    first, second, third = CandidateReader(_file(tmp_path, *rows))
    assert first.id == "7" and list(first.responses) == ["a", "b", "c"]
    assert [m.role for m in second.prompt] == ["system", "user"] and second.id
    assert [m.content for m in third.responses[0]] == ["a", "b"]  # type: ignore[union-attr]


def test_judged_files_are_read_in_any_format(tmp_path: Path) -> None:
    (found,) = CandidateReader(_file(tmp_path, {"prompt": "Why?", "chosen": "a", "rejected": "b"}))
    assert list(found.responses) == ["a", "b"]


def test_a_domain_keeps_its_own_and_what_names_none(tmp_path: Path) -> None:
    rows = [_preference(d).model_dump() for d in ("academy", "business", "general")]
    assert [c.id for c in CandidateReader(_file(tmp_path, *rows), domain="academy")] == ["academy", "general"]
    with pytest.raises(DataError, match=r"no domain 'acadmy' \(did you mean 'academy'\?\)"):
        list(CandidateReader(_file(tmp_path, *rows[:2]), domain="acadmy"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Why?", "responses": []}, "'responses' is empty"),
        ({"prompt": "Why?", "responses": "a"}, "'responses' must be a list"),
        ({"prompt": "Why?", "response": 3}, "'response' must be text"),
        ({"prompt": "Why?", "response": ["a", "b"]}, "call the field 'responses'"),
        ({"prompt": " ", "response": "a"}, "'prompt' is empty"),
        ({"responses": ["a"]}, "'prompt' is missing"),
        ({"prompt": "Why?"}, "'responses' is missing"),
        ("{torn", "line 2"),
    ],
)
def test_bad_rows(tmp_path: Path, row: Any, said: str) -> None:
    good = {"prompt": "Why?", "responses": ["a"]}
    source = _file(tmp_path, good, row, good)
    with pytest.raises(DataError) as caught:
        list(CandidateReader(source))
    assert said in str(caught.value) and "line 2" in str(caught.value) and "--on-error skip" in str(caught.value)
    reader = CandidateReader(source, on_error="skip")
    assert len(list(reader)) == 2
    assert reader.notes[0] == "1 bad row was left out:" and "line 2" in reader.notes[1]


def test_a_torn_first_row_does_not_hide_what_the_file_is(tmp_path: Path) -> None:
    for bad in ("{torn", {"question": "Why?"}):
        reader = CandidateReader(_file(tmp_path, bad, {"prompt": "Why?", "responses": ["a"]}), on_error="skip")
        assert len(list(reader)) == 1 and len(reader.notes) == 2


def test_ids_and_domains_are_labels(tmp_path: Path) -> None:
    (found,) = CandidateReader(_file(tmp_path, {"id": 0, "domain": 3, "prompt": "Why?", "responses": ["a"]}))
    assert (found.id, found.domain) == ("0", "3")


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        CandidateReader(_file(tmp_path))


def test_of_domain() -> None:
    mixed = [_preference("academy"), _preference("business")]
    assert of_domain(mixed, "academy", "x") == mixed[:1]
    assert of_domain(mixed, None, "x") == mixed
    assert of_domain([_preference("general")], "academy", "x") == [_preference("general")]
    with pytest.raises(DataError, match="there are academy, business"):
        of_domain(mixed, "law", "x")
