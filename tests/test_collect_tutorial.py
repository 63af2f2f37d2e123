"""The way from a list of queries to a reward model, as documented: on a tiny model, and (slow) on the embedded one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize("embedded", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_from_queries_to_a_reward_model(
    tmp_path: Path, run_pages: Callable[..., int], tiny_embedded: dict[str, str], embedded: bool
) -> None:
    page = Path(__file__).parent.parent / "docs/how-to/collect.md"
    assert run_pages([page], tmp_path, {} if embedded else tiny_embedded) >= 8
    for name in ("preferences.jsonl", "dsp.json", "data_card.md", "result.json", "plots/lengths.png"):
        assert (tmp_path / "runs/collected" / name).stat().st_size > 0
    assert (tmp_path / "runs/from-collected/models/academy/model.safetensors").is_file()
    assert (tmp_path / "tasks.json").is_file() and (tmp_path / "records.json").is_file()
