"""`rewardsmith benchmark` as a user runs it: a tiny model on small files in the published schema."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardsmith.evaluation.benchmarks import SUITES
from rewardsmith.preferences.record import content_hash

Cli = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """RM-Bench with two prompts a domain."""
    suite = SUITES["rm-bench"]
    monkeypatch.setattr(type(suite), "rows", dict.fromkeys(suite.rows, 2))
    rows = [
        {
            "id": f"{domain}/{k}",
            "prompt": f"What is {k} of {domain}?",
            "chosen": [f"{k}.", f"It is {k}, as all know.", f"**{k}**, as all know."],
            "rejected": [f"{k + 1}.", f"It is {k + 1}, as all know.", f"**{k + 1}**, as all know."],
            "domain": domain,
        }
        for k, domain in enumerate(("chat", "chat", "code", "code", "math", "math", "safety-refuse", "safety-response"))
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "total_dataset.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def test_table_and_file_agree_with_the_scorer(cli: Cli, model: Path, data: Path, tmp_path: Path) -> None:
    from rewardsmith import RewardModel

    out = tmp_path / "results" / "rm.json"
    outcome = cli("benchmark", model, "--suite", "rm-bench", "--data", data, "--out", out)
    assert outcome.code == 0, outcome.err
    result = json.loads(out.read_text())
    assert result["version"] == 1 and result["suite"] == "rm-bench" and result["n_responses"] == 48
    loaded, right = RewardModel.from_pretrained(model), []
    for row in json.loads((data / "total_dataset.json").read_text()):
        rewards = loaded.score(row["prompt"], row["chosen"] + row["rejected"])
        right.append(sum(rewards[i] > rewards[3 + j] for i in range(3) for j in range(3)) / 9)
    assert result["overall"]["score"] == pytest.approx(sum(right) / 8)
    for word in (
        "Safety",
        "Hard",
        "overall",
        f"{100 * result['overall']['score']:.1f}",
        "below all",
        "cannot be known",
    ):
        assert word in outcome.out


def test_the_help_names_every_suite(cli: Cli) -> None:
    said = cli("benchmark", "--help").out
    assert all(name in said for name in SUITES)


def test_it_goes_on_from_the_rewards_beside_the_result(cli: Cli, model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "rm.json"
    command = ("benchmark", model, "-s", "rm-bench", "-d", data, "-o", out)
    assert cli(*command).code == 0
    first, journal = json.loads(out.read_text()), tmp_path / "rm.rewards.jsonl"
    assert cli(*command).code == 2 and len(journal.read_text().splitlines()) == 8
    journal.write_text("\n".join(journal.read_text().splitlines()[:5])[:-7])
    outcome = cli(*command, "--overwrite", "--json")
    again = json.loads(outcome.out)
    assert again == json.loads(out.read_text())
    assert again.pop("notes")[0].startswith("4 of 8 rows had their rewards in") and again.items() <= first.items()


def test_another_model_finds_nothing_of_its_own(cli: Cli, model: Path, data: Path, tmp_path: Path) -> None:
    from rewardsmith import RewardModel

    changed = RewardModel.from_pretrained(model)
    changed.head.weight.data *= 1.5
    changed.save_pretrained(tmp_path / "changed")
    out, said = tmp_path / "rm.json", []
    for place in (model, tmp_path / "changed", model):
        outcome = cli("benchmark", place, "-s", "rm-bench", "-d", data, "-o", out, "--overwrite", "--json")
        assert outcome.code == 0, outcome.err
        said.append(json.loads(outcome.out)["notes"])
    assert said[0] == said[1] == [] and said[2][0].startswith("8 of 8 rows")


def test_prompts_that_were_trained_on_are_said(cli: Cli, model: Path, data: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    shutil.copytree(model, trained)
    info = json.loads((trained / "rewardsmith.json").read_text())
    info["trained_on"] = [content_hash("what is 0 of chat?")]
    (trained / "rewardsmith.json").write_text(json.dumps(info))
    outcome = cli("benchmark", trained, "-s", "rm-bench", "-d", data)
    assert outcome.code == 0 and "trained on the prompts of 1 of the 8 rows" in outcome.out


@pytest.mark.parametrize("command", ["suite", "partial", "fault", "model"])
def test_mistakes_are_said_in_one_line(cli: Cli, model: Path, data: Path, command: str, tmp_path: Path) -> None:
    file = data / "total_dataset.json"
    rows = json.loads(file.read_text())
    if command == "partial":
        file.write_text(json.dumps(rows[:-1]))
    if command == "fault":
        file.write_text(json.dumps([rows[0] | {"prompt": None}, *rows[1:]]))
    place = tmp_path / "none" if command == "model" else model
    outcome = cli("benchmark", place, "-s", "rmbench" if command == "suite" else "rm-bench", "-d", data)
    said = {
        "suite": "did you mean 'rm-bench'?",
        "partial": "Safety has 1 rows of 2",
        "fault": "record 1, line 1: 'prompt' is null",
        "model": "no folder",
    }
    assert outcome.code == 2 and outcome.out == ""
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said[command] in errors[0]
