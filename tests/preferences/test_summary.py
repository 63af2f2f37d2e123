"""What `inspect` says of a file."""

from __future__ import annotations

import json
from pathlib import Path

from rewardsmith.preferences.summary import summarise_file


def _file(tmp_path: Path) -> str:
    rows = [
        {
            "prompt": "one two three",
            "responses": ["a b", "c"],
            "scores": [1, 0],
            "domain": "academy",
            "annotator": "ann",
        },
        {"prompt": "One  two THREE", "responses": ["a b", "c", "d e f"], "scores": [0, 1, 0], "domain": "business"},
        {"prompt": "four", "responses": ["same", "same"], "scores": [1, 0]},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def test_counts(tmp_path: Path) -> None:
    found = summarise_file(_file(tmp_path))
    assert (found.records, found.prompts, found.pairs, found.annotators) == (3, 2, 3, 1)
    assert found.responses == {2: 2, 3: 1} and found.turns == {1: 3}
    assert found.domains == {"academy": 1, "business": 1, "general": 1}
    assert found.words["prompt"] == (3 + 3 + 1) / 3
    assert found.words["best response"] == (2 + 1 + 1) / 3
    assert found.words["other responses"] == (1 + 2 + 3 + 1) / 4
    assert len(found.examples) == 1
    assert any("identical" in note for note in found.notes)


def test_text_shows_what_was_asked_for(tmp_path: Path) -> None:
    text = summarise_file(_file(tmp_path), examples=2).to_text()
    assert text.count("example ") == 2 and "academy 1, business 1" in text and "[1] a b" in text
    assert "example " not in summarise_file(_file(tmp_path), examples=0).to_text()
    assert "records     1" in summarise_file(_file(tmp_path), domain="academy").to_text()


def test_long_texts_and_many_domains_are_shortened(tmp_path: Path) -> None:
    rows = [
        {"prompt": "word " * 200, "responses": ["a", "b"], "scores": [1, 0], "domain": f"person-{k}"} for k in range(20)
    ]
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    text = summarise_file(str(path)).to_text()
    assert "and 8 more" in text and "..." in text and max(map(len, text.splitlines())) < 400
