"""Small files in each suite's published schema, and items made from numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardsmith.evaluation.benchmarks import SUITES
from rewardsmith.evaluation.benchmarks.suite import Suite

RowData = dict[str, Any]


def rewardbench_files() -> dict[str, list[RowData]]:
    subsets = SUITES["rewardbench"].rows
    rows = [
        {
            "prompt": f"Question {k}?",
            "chosen": f"A good answer to {k}.",
            "chosen_model": "good",
            "rejected": "A bad one.",
            "rejected_model": "bad",
            "subset": subset,
            "id": k,
        }
        for k, subset in enumerate(subsets)
    ]
    return {"data/filtered-00000-of-00001.jsonl": rows}


def rewardbench2_files() -> dict[str, list[RowData]]:
    plain = [subset for subset in SUITES["rewardbench2"].rows if subset != "Ties"]
    rows = [_rewardbench2_row(str(k), subset, 1, 3) for k, subset in enumerate(plain)]
    rows += [_rewardbench2_row("ref:7", "Ties", 1, 2), _rewardbench2_row("tied:7", "Ties", 3, 2)]
    return {"data/test-00000-of-00001.jsonl": rows}


def _rewardbench2_row(id: str, subset: str, right: int, wrong: int) -> RowData:
    return {
        "id": id,
        "prompt": f"Question {id}?",
        "chosen": [f"Right {k}." for k in range(right)],
        "rejected": [f"Wrong {k}." for k in range(wrong)],
        "num_correct": right,
        "num_incorrect": wrong,
        "total_completions": right + wrong,
        "models": ["someone"],
        "subset": subset,
        "additional_metadata": None,
    }


def rm_bench_files() -> dict[str, list[RowData]]:
    rows = [
        {
            "id": f"{domain}/1",
            "prompt": f"Do {domain}.",
            "chosen": ["Right.", "Right, and at length.", "**Right**, and at length."],
            "rejected": ["Wrong.", "Wrong, and at length.", "**Wrong**, and at length."],
            "domain": domain,
        }
        for domain in ("chat", "code", "math", "safety-refuse", "safety-response")
    ]
    return {"total_dataset.json": rows}


def judgebench_files() -> dict[str, list[RowData]]:
    sources = ("mmlu-pro-law", "livebench-reasoning", "livebench-math", "livecodebench")
    rows = [
        {
            "pair_id": f"pair-{k}",
            "original_id": k,
            "source": source,
            "question": f"Question {k}?",
            "response_model": "gpt-4o-2024-05-13",
            "response_A": "First.",
            "response_B": "Second.",
            "label": "A>B" if k % 2 else "B>A",
        }
        for k, source in enumerate(sources)
    ]
    return {"data/dataset=judgebench,response_model=gpt-4o-2024-05-13.jsonl": rows}


def llmbar_files() -> dict[str, list[RowData]]:
    folders = ("Natural", *(f"Adversarial/{name}" for name in ("Neighbor", "GPTInst", "GPTOut", "Manual")))
    return {
        f"{folder}/dataset.json": [{"input": f"Do {folder}.", "output_1": "Done.", "output_2": "No.", "label": 2}]
        for folder in folders
    }


FILES: dict[str, Callable[[], dict[str, list[RowData]]]] = {
    "rewardbench": rewardbench_files,
    "rewardbench2": rewardbench2_files,
    "rm-bench": rm_bench_files,
    "judgebench": judgebench_files,
    "llmbar": llmbar_files,
}
SMALL_ROWS = {"rewardbench2": {"Ties": 2}, "rm-bench": {"Safety": 2}}
"""Rows of the small files that hold more than one of a subset."""


@pytest.fixture(scope="session")
def published() -> dict[str, Callable[[], dict[str, list[RowData]]]]:
    """Suite -> its small files, made anew at each call."""
    return FILES


@pytest.fixture(scope="session")
def write() -> Callable[[Path, dict[str, list[RowData]]], None]:
    """Writes files into a folder."""
    return _write_files


def _write_files(folder: Path, files: dict[str, list[RowData]]) -> None:
    """Each file as its suffix says: JSON lines or one array."""
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(rows) if path.suffix == ".json" else "".join(f"{json.dumps(row)}\n" for row in rows),
            encoding="utf-8",
        )


@pytest.fixture(params=FILES)
def small(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Suite, Path, dict[str, list[RowData]]]:
    """Each suite in turn, expecting the few rows of its small files, and the folder that they are in."""
    suite, files = SUITES[request.param], FILES[request.param]()
    rows = {name: SMALL_ROWS.get(suite.name, {}).get(name, 1) for name in suite.rows}
    monkeypatch.setattr(type(suite), "rows", rows)
    _write_files(tmp_path / "data", files)
    return suite, tmp_path / "data", files
