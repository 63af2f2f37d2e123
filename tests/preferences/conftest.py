"""Small makers of files and records for the tests of this room."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardsmith.preferences.record import Message, Preference

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder of real preference files; the test is skipped where it is not there."""
    if not DATA.is_dir():
        pytest.skip("shared/data is not there")
    return DATA


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as JSON lines and gives the path."""

    def write(*rows: Any, name: str = "pairs.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def make() -> Callable[..., Preference]:
    """Makes a record of one user turn and text responses, the first preferred."""

    def preference(prompt: str, *responses: str, **fields: Any) -> Preference:
        responses = responses or ("good answer", "bad answer")
        fields.setdefault("scores", [1.0] + [0.0] * (len(responses) - 1))
        fields.setdefault("id", f"{prompt}-{len(responses)}-{responses[0]}")
        return Preference(prompt=[Message(role="user", content=prompt)], responses=list(responses), **fields)

    return preference
