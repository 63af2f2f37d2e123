"""Bad input: exit 2, one line that says what, where and what to do, no traceback, nothing written or lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

GOOD = {"prompt": [{"role": "user", "content": "Why?"}], "responses": ["So.", "Not."], "scores": [1, 0]}
LINES = json.dumps(GOOD) + "\n"

BAD_FILES = {
    "empty": (b"", "is empty"),
    "torn": ((LINES + '{"prompt": [{"ro\n' + LINES).encode(), "line 2"),
    "not UTF-8": (LINES.encode() + b'{"prompt": "\xff\xfe"}\n', "UTF-8"),
    "no object": ((LINES + "[1, 2]\n").encode(), "line 2"),
    "wrong type": ((LINES + json.dumps(GOOD | {"responses": 3}) + "\n").encode(), "'responses' must be a list"),
    "missing field": ((LINES + json.dumps({"responses": ["a", "b"], "scores": [1, 0]}) + "\n").encode(), "'prompt'"),
    "one response": ((LINES + json.dumps(GOOD | {"responses": ["a"], "scores": [1]}) + "\n").encode(), "two or more"),
    "NaN": ((LINES + json.dumps(GOOD | {"scores": [float("nan"), 0]}) + "\n").encode(), "finite"),
    "text scores": ((LINES + json.dumps(GOOD | {"scores": ["high", "low"]}) + "\n").encode(), "must be a number"),
    "too few scores": ((LINES + json.dumps(GOOD | {"scores": [1]}) + "\n").encode(), "2 responses but 1 scores"),
    "empty prompt": ((LINES + json.dumps(GOOD | {"prompt": " "}) + "\n").encode(), "'prompt' is empty"),
}


@pytest.fixture(params=BAD_FILES)
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """Each bad file in turn, with what must be said of it."""
    content, said = BAD_FILES[request.param]
    path = tmp_path / "in" / "bad.jsonl"
    path.parent.mkdir()
    path.write_bytes(content)
    return path, said


def _one_line(outcome: Any, said: str, code: int = 2) -> None:
    assert outcome.code == code, outcome
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said in errors[0], outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", ["inspect", "audit", "convert", "score", "rank", "evaluate", "calibrate"])
def test_a_bad_file(cli: Cli, bad: tuple[Path, str], command: str, model: Path, tmp_path: Path) -> None:
    path, said = bad
    out = tmp_path / "out"
    out.mkdir()
    before = path.read_bytes()
    args: dict[str, list[object]] = {
        "inspect": [path],
        "audit": [path],
        "convert": [path, out / "x.jsonl"],
        "score": ["-m", model, path],
        "rank": ["-m", model, path],
        "evaluate": ["-m", model, "-d", path, "--json", out / "x.json"],
        "calibrate": [model, "-d", path, "-o", out / "x"],
    }
    outcome = cli(command, *args[command])
    _one_line(outcome, said)
    assert "bad.jsonl" in outcome.err
    assert not list(out.iterdir()) and path.read_bytes() == before


def test_an_empty_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data" / "inner").mkdir(parents=True)
    _one_line(cli("inspect", tmp_path / "data"), "the folder is empty; name a file, or a folder of Parquet")


def test_skipping_counts_what_is_left_out(cli: Cli, tmp_path: Path, model: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(BAD_FILES["torn"][0] + json.dumps(GOOD | {"scores": ["x", 0]}).encode())
    outcome = cli("inspect", path, "--on-error", "skip")
    assert outcome.code == 0 and "2 bad rows" in outcome.out and "line 2" in outcome.out and "line 4" in outcome.out
    outcome = cli("audit", path, "--on-error", "skip", "--json")
    assert outcome.code == 0 and "line 4" in " ".join(json.loads(outcome.out)["notes"])
    outcome = cli("score", "-m", model, path, "--on-error", "skip")
    assert outcome.code == 0 and "2 bad rows" in outcome.err and len(outcome.out.splitlines()) == 2
    assert "line 2" in outcome.err and "line 4" in outcome.err
    outcome = cli("convert", path, tmp_path / "out.jsonl", "--on-error", "skip")
    assert outcome.code == 0 and "2 bad rows" in outcome.err


@pytest.mark.parametrize("command", ["inspect", "audit", "score", "convert"])
def test_a_file_that_is_not_there(cli: Cli, command: str, tmp_path: Path, model: Path) -> None:
    extra: list[object] = {"score": ["-m", model], "convert": [tmp_path / "out.jsonl"]}.get(command, [])
    args = [tmp_path / "gone.jsonl", *extra] if command == "convert" else [*extra, tmp_path / "gone.jsonl"]
    _one_line(cli(command, *args), "gone.jsonl")


@pytest.mark.parametrize("command", ["inspect", "audit", "convert", "evaluate", "score"])
def test_an_unknown_domain_names_the_nearest(cli: Cli, pairs: Path, command: str, model: Path, tmp_path: Path) -> None:
    args: dict[str, list[object]] = {
        "convert": [pairs, tmp_path / "x.jsonl"], "evaluate": ["-m", model, "-d", pairs], "score": ["-m", model, pairs],
    }  # fmt: skip
    outcome = cli(command, *args.get(command, [pairs]), "--domain", "acadmey")
    _one_line(outcome, "did you mean 'academy'?")
    assert not list(tmp_path.iterdir())


def test_an_output_that_exists_is_kept(cli: Cli, pairs: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "there.jsonl"
    out.write_text("precious", encoding="utf-8")
    for args in (
        ("convert", pairs, out),
        ("evaluate", "-m", model, "-d", pairs, "--json", out),
        ("recipe", "copy", "demo", out),
    ):
        _one_line(cli(*args), "--overwrite")
        assert out.read_text(encoding="utf-8") == "precious"
    assert cli("convert", pairs, out, "--overwrite").code == 0
    assert out.read_text(encoding="utf-8") != "precious"


@pytest.mark.parametrize("make", ["nothing", "empty", "text", "torn config", "weights lost"])
def test_a_model_folder_that_is_none(cli: Cli, pairs: Path, model: Path, tmp_path: Path, make: str) -> None:
    folder = tmp_path / "model"
    if make != "nothing":
        folder.mkdir()
    if make == "text":
        (folder / "notes.txt").write_text("hello", encoding="utf-8")
    if make in ("torn config", "weights lost"):
        for file in model.iterdir():
            if not (make == "weights lost" and file.suffix == ".safetensors"):
                (folder / file.name).write_bytes(file.read_bytes())
    if make == "torn config":
        (folder / "config.json").write_text("{", encoding="utf-8")
    _one_line(cli("score", "-m", folder, pairs), str(folder))


def test_a_checkpoint_with_two_labels(
    cli: Cli, pairs: Path, make_backbone: Callable[..., Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    source = make_backbone("llama")
    AutoModelForSequenceClassification.from_pretrained(source, num_labels=2).save_pretrained(tmp_path / "two")
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "two")
    _one_line(cli("score", "-m", tmp_path / "two", pairs), "label")


def test_a_tokenizer_without_a_chat_template(
    cli: Cli, make_backbone: Callable[..., Path], tmp_path: Path, general: Path
) -> None:
    recipe = _recipe(tmp_path, general, {"model": str(make_backbone("llama", template=None))})
    _one_line(cli("train", recipe, "--out", tmp_path / "run"), "backbone.template")
    _one_line(cli("train", recipe, "--dry-run"), "backbone.template")


def test_a_prompt_longer_than_the_context_is_cut_and_told(cli: Cli, model: Path) -> None:
    line = json.dumps({"prompt": "word " * 300, "responses": ["a", "b"]})
    outcome = cli("score", "-m", model, "-", stdin=line)
    assert outcome.code == 0 and len(json.loads(outcome.out)["rewards"]) == 2
    assert "2 dialogues are longer than 96 tokens" in outcome.err


def test_an_empty_response_is_kept_and_told(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps(GOOD | {"responses": ["So.", ""]}) + "\n", encoding="utf-8")
    outcome = cli("inspect", path)
    assert outcome.code == 0 and "1 records hold an empty response" in outcome.out


def test_the_same_file_twice(cli: Cli, pairs: Path, model: Path, general: Path, tmp_path: Path) -> None:
    _one_line(cli("evaluate", "-m", model, "-d", pairs, "-d", pairs), "two sets are called 'pairs'")
    (tmp_path / "link.jsonl").symlink_to(general)
    recipe = _recipe(tmp_path, general, {}, more={"again": {"path": str(tmp_path / "link.jsonl")}})
    _one_line(cli("train", recipe, "--out", tmp_path / "run"), "are the same file")
    assert not (tmp_path / "run").exists()


def test_evaluating_on_what_a_model_was_trained_on(cli: Cli, pairs: Path, model: Path, tmp_path: Path) -> None:
    from rewardsmith.preferences.reading import load_preferences
    from rewardsmith.preferences.record import content_hash

    trained = tmp_path / "trained"
    trained.mkdir()
    for file in model.iterdir():
        (trained / file.name).write_bytes(file.read_bytes())
    info = json.loads((trained / "rewardsmith.json").read_text())
    hashes = [content_hash(p.prompt_key()) for p in load_preferences(pairs).preferences]
    (trained / "rewardsmith.json").write_text(json.dumps(info | {"trained_on": hashes}))
    out = tmp_path / "r.json"
    _one_line(cli("evaluate", "-m", trained, "-d", pairs, "--json", out), "was trained on every prompt")
    assert not out.exists()
    assert cli("evaluate", "-m", trained, "-d", pairs, "--seen", "--no-baselines").code == 0
    (trained / "rewardsmith.json").write_text(json.dumps(info | {"trained_on": hashes[:1]}))
    outcome = cli("evaluate", "-m", trained, "-d", pairs, "--no-baselines")
    assert outcome.code == 0 and "was trained on the prompts of 3 of the 13" in " ".join(outcome.err.split())


def test_nothing_left_to_train_on(cli: Cli, tmp_path: Path, make_backbone: Callable[..., Path]) -> None:
    ties = tmp_path / "ties.jsonl"
    rows = [GOOD | {"prompt": f"{k}?", "scores": [1, 1]} for k in range(9)]
    ties.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    recipe = _recipe(tmp_path, ties, {"model": str(make_backbone("llama")), "max_length": 64})
    _one_line(cli("train", recipe, "--out", tmp_path / "run"), "ranks anything")
    assert not (tmp_path / "run" / "models").exists()


def test_a_full_disk(cli: Cli, pairs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rewardsmith.preferences import writing

    encoded, written = writing._encoded, iter(range(100))

    def full(row: dict[str, Any]) -> bytes:
        if next(written) == 5:
            raise OSError(28, "No space left on device")
        return encoded(row)

    monkeypatch.setattr(writing, "_encoded", full)
    outcome = cli("convert", pairs, tmp_path / "x.jsonl")
    _one_line(outcome, "the disk is full; nothing was written", code=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["convert", "inspect", pytest.param("score", marks=pytest.mark.slow)])
def test_a_full_disk_behind_standard_output(pairs: Path, model: Path, command: str) -> None:
    args = {"convert": [str(pairs), "-"], "inspect": [str(pairs)], "score": ["-m", str(model), str(pairs)]}[command]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rewardsmith.cli.app", command, *args],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=buffered,
        )
    assert done.returncode == 1 and "error: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["scor", "x"], "scor"),
        (["score", "--modl", "x", "y"], "--modl"),
        (["score"], "FILE"),
        (["inspect", "x", "--on-error", "ignore"], "on-error"),
        (["inspect", "x", "-n", "-1"], "examples"),
        (["train", "dmeo"], "did you mean 'demo'?"),
        (["inspect", "sample:domain"], "did you mean 'domains'?"),
        (["evaluate", "-m", "x", "-d", "sample:general", "--by", "pair"], "pair"),
    ],
)
def test_wrong_usage_is_one_line(cli: Cli, args: list[str], said: str) -> None:
    _one_line(cli(*args), said)


def test_recipe_faults_are_one_line(cli: Cli, tmp_path: Path, general: Path) -> None:
    recipe = _recipe(tmp_path, general, {"dept": 1})
    for args in (("train", recipe), ("recipe", "check", recipe)):
        _one_line(cli(*args), "did you mean 'depth'?")
    recipe = _recipe(tmp_path, tmp_path / "gone.jsonl", {})
    _one_line(cli("recipe", "check", recipe), "data.general.path: there is no")
    _one_line(cli("train", recipe, "--dry-run"), "gone.jsonl")


def _recipe(folder: Path, general: Path, backbone: dict[str, Any], more: dict[str, Any] | None = None) -> Path:
    path = folder / "r.yaml"
    data = {"general": {"path": str(general)}} | (more or {})
    stages = [{"stage": "general", "sets": ["general"], "batch_size": 4, "evaluations": 0}]
    path.write_text(json.dumps({"name": "r", "backbone": backbone, "data": data, "stages": stages}), encoding="utf-8")
    return path


def test_evaluate_says_what_is_wrong_before_it_scores(
    cli: Cli, model: Path, general: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rewardsmith.modeling.scoring import ModelScorer

    monkeypatch.setattr(ModelScorer, "__call__", lambda *_: pytest.fail("it scored"))
    asked = ["evaluate", "-m", model, "-d", general]
    plots, file = tmp_path / "plots", tmp_path / "file"
    plots.mkdir()
    for path in (plots / "accuracy.png", file):
        path.write_text("mine", encoding="utf-8")
    _one_line(cli(*asked, "--plots", plots), "--overwrite")
    _one_line(cli(*asked, "--json", file), "--overwrite")
    _one_line(cli(*asked, "--json", file / "out.json"), "is no folder")
    _one_line(cli(*asked, "-m", model), "named twice")
    _one_line(cli(*asked, "--domain", "nonsense"), "no domain 'nonsense'")
    assert (plots / "accuracy.png").read_text(encoding="utf-8") == "mine"


def test_evaluate_says_that_dialogues_were_cut(cli: Cli, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt": "why " * 200, "chosen": "a b", "rejected": "c"}), encoding="utf-8")
    outcome = cli("evaluate", "-m", model, "-d", path)
    assert outcome.code == 0 and "2 dialogues are longer than 96 tokens" in outcome.err


def test_nothing_to_plot_is_said(cli: Cli, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "tie.jsonl"
    path.write_text(json.dumps({"prompt": "why", "responses": ["a", "b"], "scores": [1, 1]}), encoding="utf-8")
    outcome = cli("evaluate", "-m", model, "-d", path, "--plots", tmp_path / "plots")
    assert outcome.code == 0 and "nothing to plot" in outcome.err and not (tmp_path / "plots").exists()


def test_a_file_is_no_model(cli: Cli, model: Path, general: Path) -> None:
    _one_line(cli("score", "-m", model / "config.json", general), "is a file")


def test_a_recipe_that_is_no_text(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff")
    _one_line(cli("recipe", "show", tmp_path / "bad.yaml"), "cannot be read")
