"""Budgets on the command line: `evaluate --against`, `customize`, `report`, and the exit codes that pipelines read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import content_hash

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred general pairs."""
    rows = [{"prompt": f"Say {k}.", "chosen": f"Gladly: {k}.", "rejected": f"No, {k} bores me."} for k in range(200)]
    path = tmp_path_factory.mktemp("many") / "many.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def others(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`same`: a copy of the model; `opposite`: the model with its head turned round."""
    import torch

    from rewardsmith.modeling.reward_model import RewardModel

    folder = tmp_path_factory.mktemp("others")
    opposite = RewardModel.from_pretrained(model)
    with torch.no_grad():
        opposite.last_layer.weight *= -1
    return {
        "same": Path(shutil.copytree(model, folder / "same")),
        "opposite": opposite.save_pretrained(folder / "opposite"),
    }


def test_a_model_that_lost_nothing_is_within(
    cli: Cli, model: Path, others: dict[str, Path], many: Path, tmp_path: Path
) -> None:
    arguments = (
        "-m",
        others["same"],
        "--against",
        model,
        "-d",
        many,
        "--no-baselines",
        "--json",
        tmp_path / "out.json",
    )
    done = cli("evaluate", *arguments, "--budget", "5", "--budget", "many=8")
    assert done.code == 0, done.err
    assert "What it cost, in points" in done.out
    verdicts = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    assert [(v["set"], v["verdict"], v["difference"]) for v in verdicts] == [
        ("all general sets", "within", 0.0),
        ("many", "within", 0.0),
    ]


def test_a_verdict_stands_on_prompts_that_neither_model_was_trained_on(
    cli: Cli, model: Path, many: Path, tmp_path: Path
) -> None:
    hashes = list(dict.fromkeys(content_hash(p.prompt_key()) for p in load_preferences(many).preferences))
    common = ("-d", many, "--no-baselines", "--budget", "90", "--json", "-")

    def trained(name: str, on: list[str]) -> Path:
        folder = Path(shutil.copytree(model, tmp_path / name))
        info = json.loads((folder / "rewardsmith.json").read_text(encoding="utf-8"))
        (folder / "rewardsmith.json").write_text(json.dumps(info | {"trained_on": on}), encoding="utf-8")
        return folder

    def prompts(*arguments: object) -> list[int]:
        done = cli("evaluate", *arguments, *common)
        assert done.code == 0, done.err
        found = json.loads(done.out)
        return [found["verdicts"][0]["n_prompts"], *(m["sets"]["many"]["n_prompts"] for m in found["models"])]

    new, old = trained("new", hashes[:30]), trained("old", hashes[20:50])
    held_out = len(hashes) - 50
    assert prompts("-m", new, "--against", old) == [held_out] * 3
    assert prompts("-m", new, "--against", old, "--seen") == [len(hashes)] * 3
    rest = trained("rest", hashes[30:])
    done = cli("evaluate", "-m", new, "--against", rest, *common)
    assert done.code == 2 and "'many' has no prompt that none of the models was trained on" in done.err


def test_what_is_not_within_exits_3(cli: Cli, model: Path, others: dict[str, Path], many: Path) -> None:
    common = ("--against", model, "-d", many, "--no-baselines")
    done = cli("evaluate", "-m", others["same"], *common, "--budget", "0.01")
    assert done.code == 3 and "error: all general sets: undecided: 0.01 points may be lost" in done.err
    right = cli("evaluate", "-m", model, "-d", many, "--no-baselines", "--json", "-")
    accuracy = json.loads(right.out)["sets"]["many"]["accuracy"]
    better, worse = (model, others["opposite"]) if accuracy > 0.5 else (others["opposite"], model)
    done = cli("evaluate", "-m", worse, "--against", better, "-d", many, "--no-baselines", "--budget", "5")
    assert done.code == 3 and "exceeded" in done.err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--budget", "1"), "--against and --budget go together"),
        (("--against", "X"), "--against and --budget go together"),
        (("--against", "X", "--budget", "-1"), "a budget is above 0"),
        (("--against", "X", "--budget", "1", "-m", "Y"), "give one --model"),
        (("--against", "X", "--budget", "mny=1"), "no set 'mny' (did you mean 'many'?): many"),
        (("--against", "X", "--budget", "1", "--confidence", "101"), "--confidence 101"),
        (("--against", "X", "--budget", "1", "--metric", "mse"), "choose accuracy or brier"),
    ],
)
def test_questions_that_cannot_be_asked(
    cli: Cli, model: Path, many: Path, arguments: tuple[str, ...], fault: str
) -> None:
    done = cli("evaluate", "-m", model, "-d", many, *arguments)
    assert done.code == 2 and fault in done.err and done.out == ""


def test_plan_customize_and_report(
    cli: Cli, model: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "cache"))
    custom = [
        {"prompt": f"Why {k}?", "chosen": f"The literature has {k}.", "rejected": f"It sells {k}."} for k in range(50)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, custom)), encoding="utf-8")
    run = tmp_path / "run"
    arguments = ("customize", "--general", model, "--preferences", tmp_path / "mine.jsonl", "--domain", "mine")
    arguments = (*arguments, "--general-preferences", many, "--method", "anchored", "--out", run)
    plan = cli(*arguments, "--budget", "30", "--plan")
    assert plan.code == 0 and "prompts to certify 30 points with" in plan.out and not run.exists()
    impossible = cli(*arguments, "--budget", "1", "--plan")
    assert impossible.code == 2 and "not even of a model that changes nothing" in impossible.err
    done = cli(*arguments, "--budget", "70")
    assert done.code == 0 and done.out.startswith(("The model prefers as mine does", "No candidate for mine"))
    assert {f.name for f in run.iterdir()} >= {"model", "result.json", "report.html", "run.json", "path.json"}
    page = tmp_path / "page.html"
    assert cli("report", run, run, "--out", page).code == 0
    assert "2 customisations side by side" in page.read_text(encoding="utf-8")
    assert cli("report", run, "--out", page).code == 2
    nowhere = cli("report", tmp_path / "nowhere", "--out", tmp_path / "p.html")
    assert nowhere.code == 2 and "name the folder of a customize run" in nowhere.err
