"""`calibrate` on the command line, and what `score` and `rank` then give."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def preferences(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pairs that the tiny model ranks right in two of three."""
    from rewardsmith.modeling.reward_model import RewardModel

    loaded, rows = RewardModel.from_pretrained(model), []
    for k in range(60):
        better, worse = (r.response for r in loaded.rank(f"Tell me of {k}.", [f"Gladly: {k}.", f"No, {k} bores me."]))
        chosen, rejected = (worse, better) if k % 3 == 0 else (better, worse)
        rows.append({"prompt": f"Tell me of {k}.", "chosen": chosen, "rejected": rejected})
    path = tmp_path_factory.mktemp("preferences") / "told.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def test_calibrate_then_score_and_rank(
    cli: Cli, model: Path, preferences: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    done = cli("calibrate", model, "--data", preferences, "--out", out)
    assert done.code == 0, done.err
    for word in ("Temperature", "as it was", "isotonic", "moderated", "surer half", "rewards without length", "slope"):
        assert word in done.out
    again = cli("calibrate", model, "--data", preferences, "--out", out)
    assert again.code == 2 and "--overwrite" in again.err
    assert cli("calibrate", model, "--data", preferences, "--out", out, "--overwrite", "-q").code == 0

    raw, plain = ([json.loads(x) for x in cli("score", "-m", m, pairs).out.splitlines()] for m in (model, out))
    temperature = json.loads((out / "calibration" / "result.json").read_text())["temperature"]
    for a, b in zip(raw, plain, strict=True):
        assert [r / temperature for r in a["rewards"]] == pytest.approx(b["rewards"], abs=1e-4)
    options = ("--calibrated",), ("--length-controlled",), ("--uncertainty",)
    found = [[json.loads(x) for x in cli("score", "-m", out, *o, pairs).out.splitlines()] for o in options]
    offset = plain[0]["rewards"][0] - found[0][0]["rewards"][0]
    for a, b, c, d in zip(plain, *found, strict=True):
        assert [r - offset for r in a["rewards"]] == pytest.approx(b["rewards"], abs=1e-4)
        assert b["rewards"] != c["rewards"] and d["rewards"] == b["rewards"]
        assert set(d) == {"id", "rewards", "standard_errors"} and min(d["standard_errors"]) > 0
    ranked = cli("rank", "-m", out, "--uncertainty", "--length-controlled", pairs)
    for line in ranked.out.splitlines():
        row = json.loads(line)
        rewards = [row["rewards"][k] for k in row["order"]]
        assert rewards == sorted(rewards, reverse=True)
        assert row["margins"] == pytest.approx([a - b for a, b in itertools.pairwise(rewards)])
        assert len(row["margin_errors"]) == 2 and all(0.5 <= p < 1 for p in row["probabilities"])


def test_what_is_not_calibrated_says_how_to(cli: Cli, model: Path, preferences: Path, tmp_path: Path) -> None:
    for command, option in (("score", "--calibrated"), ("rank", "--uncertainty"), ("score", "--length-controlled")):
        done = cli(command, "-m", model, option, preferences)
        assert done.code == 2 and "rewardsmith calibrate MODEL --data FILE --out DIR" in done.err and done.out == ""
    for share in ("0", "1"):
        done = cli("calibrate", model, "-d", preferences, "-o", tmp_path / "out", "--share", share)
        assert done.code == 2 and "it lies between 0 and 1" in done.err and not (tmp_path / "out").exists()
