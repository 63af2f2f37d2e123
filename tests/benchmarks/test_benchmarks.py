"""The benchmark on a tiny network: the sides do the same work, and what is published holds together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

ROOT = Path(__file__).parents[2]
FIGURES = ["four_domains", "scoring", "collection"]


def _bench(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--repeats=1", "--threads=1", f"--out={out}", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the figures above, into which an earlier run had put another."""
    out = tmp_path_factory.mktemp("docs")
    earlier = {"figure": "memory", "ratio": 2.0, "low": 1.9, "high": 2.1, "floor": 1, "aim": 2, "what": "w"}
    earlier |= {"against": "a", "work": "w", "also": {}, "seconds": {}, "loss": {}, "notes": []}
    keys = ("command", "seed", "commit", "date", "model", "precision", "machine", "versions")
    earlier["measured"] = dict.fromkeys(keys, "x")
    (out / "results").mkdir()
    (out / "results" / "speed.json").write_text(json.dumps([earlier]), encoding="utf-8")
    done = _bench(out, *(f"--figure={name}" for name in FIGURES))
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def entries(published: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((published / "results" / "speed.json").read_text(encoding="utf-8"))
    return {entry["figure"]: entry for entry in found}


def test_a_partial_run_keeps_the_other_figures(entries: dict[str, dict[str, Any]]) -> None:
    assert list(entries) == [*FIGURES, "memory"]
    assert entries["memory"]["ratio"] == 2.0


def test_every_figure_has_its_range_and_its_bars(entries: dict[str, dict[str, Any]]) -> None:
    for entry in entries.values():
        assert 0 < entry["low"] <= entry["ratio"] <= entry["high"]
        assert 0 < entry["floor"] <= entry["aim"]


def test_both_sides_trained_on_the_same(entries: dict[str, dict[str, Any]]) -> None:
    loss = entries["four_domains"]["loss"]
    assert loss["ours"] == pytest.approx(loss["TRL"], rel=1e-4)
    assert float(entries["scoring"]["notes"][0].rsplit(" ", 1)[1]) < 1e-4


def test_accuracy_is_owed_until_it_is_measured(entries: dict[str, dict[str, Any]]) -> None:
    assert entries["four_domains"]["accuracy_gap"] is None
    assert "--with-accuracy" in entries["four_domains"]["accuracy_note"]


def test_accuracy_goes_on_where_it_was_stopped(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(published, out)
    whole = _bench(out, "--with-accuracy")
    assert whole.returncode == 0, whole.stderr
    first = _measured_accuracy(out)
    assert "validation prompts" in first["accuracy_note"]
    stopped = next((out / "accuracy").glob("trl-literature-*.json"))
    kept = stopped.read_text(encoding="utf-8")
    stopped.unlink()
    again = _bench(out, "--with-accuracy")
    assert again.returncode == 0, again.stderr
    assert (whole.stdout + whole.stderr).count("trained on") == 5
    assert (again.stdout + again.stderr).count("trained on") == 1
    assert stopped.read_text(encoding="utf-8") == kept
    assert _measured_accuracy(out) == first


def _measured_accuracy(out: Path) -> dict[str, Any]:
    found = json.loads((out / "results" / "speed.json").read_text(encoding="utf-8"))
    return next(entry for entry in found if entry["figure"] == "four_domains")


def test_the_page_shows_all_figures(published: Path, entries: dict[str, dict[str, Any]]) -> None:
    page = (published / "results" / "speed.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page and f"### {name}" in page for name in entries)
    assert (published / "images" / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_figure_is_refused(tmp_path: Path) -> None:
    done = _bench(tmp_path, "--figure=trl_defualt")
    assert done.returncode == 2
    assert "did you mean 'trl_default'" in done.stderr
