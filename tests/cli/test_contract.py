"""What scripts rely on: exit codes, JSON on stdout, remarks on stderr, pipes, speed of `--help`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

Cli = Callable[..., Any]
COMMAND = [sys.executable, "-m", "rewardsmith.cli.app"]
FIGURES = {
    "n_preferences", "n_pairs", "accuracy", "accuracy_pairs", "accuracy_without_plain", "ci95", "nll", "ece",
    "baselines", "domains",
}  # fmt: skip


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_score_and_rank(cli: Cli, pairs: Path, model: Path) -> None:
    scored, ranked = (cli(command, "-m", model, pairs) for command in ("score", "rank"))
    assert scored.code == ranked.code == 0
    assert len(_lines(scored.out)) == 13
    for a, b in zip(_lines(scored.out), _lines(ranked.out), strict=True):
        assert set(a) == {"id", "rewards"} and set(b) == {"id", "rewards", "order"}
        assert a["rewards"] == pytest.approx(b["rewards"]) and len(a["rewards"]) == 3
        assert b["order"] == sorted(range(3), key=lambda k: -b["rewards"][k])


def test_score_keeps_to_a_domain_and_to_what_names_none(cli: Cli, pairs: Path, general: Path, model: Path) -> None:
    found = [row["id"] for row in _lines(cli("score", "-m", model, "--domain", "academy", pairs).out)]
    assert found == [*(f"academy-{k}" for k in range(6)), "tie"]
    assert len(_lines(cli("score", "-m", model, "--domain", "academy", general).out)) == 8


def test_lines_without_scores(cli: Cli, model: Path) -> None:
    text = "\n".join(
        map(
            json.dumps,
            [
                {"id": "a", "prompt": "Why?", "responses": ["So.", "Not.", ""]},
                {"prompt": [{"role": "user", "content": "Why?"}], "response": "So."},
                {"prompt": "Why?", "responses": [[{"role": "assistant", "content": "So."}]]},
            ],
        )
    )
    a, b, c = _lines(cli("rank", "-m", model, "-", stdin=text).out)
    assert a["id"] == "a" and len(a["rewards"]) == 3 and sorted(a["order"]) == [0, 1, 2]
    assert b["rewards"] == pytest.approx(a["rewards"][:1], abs=1e-5) == c["rewards"] and b["order"] == [0]
    outcome = cli("score", "-m", model, "-", stdin='{"prompt": "Why?", "responses": []}')
    assert outcome.code == 2 and "'responses' is empty" in outcome.err


def test_one_model_on_two_sets(cli: Cli, pairs: Path, general: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    outcome = cli("evaluate", "--model", model, "--data", pairs, "--data", f"plain={general}", "--json", out)
    assert outcome.code == 0, outcome.err
    result = json.loads(out.read_text())
    assert result["model"] == str(model) and set(result["sets"]) == {"pairs", "plain"}
    figures = result["sets"]["pairs"]
    assert set(figures) >= FIGURES
    assert figures["n_preferences"] == 13 and figures["n_pairs"] == 24
    assert set(figures["domains"]) == {"academy", "business"} and figures["baselines"]
    assert result["sets"]["plain"]["domains"] == {}
    assert cli("evaluate", "-m", model, "-d", pairs, "--json", out, "--overwrite", "--domain", "academy").code == 0
    assert json.loads(out.read_text())["sets"]["pairs"]["n_preferences"] == 7


def test_two_models_are_compared(cli: Cli, pairs: Path, model: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out.json", tmp_path / "other"
    other.symlink_to(model)
    assert cli("evaluate", "-m", model, "-m", other, "-d", pairs, "--json", out, "--no-baselines").code == 0
    result = json.loads(out.read_text())
    assert [m["model"] for m in result["models"]] == [str(model), str(other)]
    assert len(result["comparisons"]) == 1


def test_convert_raw_dsp(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "academy.jsonl"
    assert cli("convert", "sample:domains", out, "--to", "rewardsmith", "--domain", "academy").code == 0
    rows = _lines(out.read_text(encoding="utf-8"))
    assert len(rows) >= 100 and {row["domain"] for row in rows} == {"academy"}
    for row in rows:
        assert row["response_names"][max(range(len(row["scores"])), key=row["scores"].__getitem__)] == "academy"


def test_inspect_and_audit_speak_json(cli: Cli, pairs: Path) -> None:
    assert json.loads(cli("inspect", pairs, "--json").out)["records"] == 13
    assert json.loads(cli("audit", pairs, "--json").out)["findings"]


def test_a_set_is_not_audited_against_itself(
    cli: Cli, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pairs.parent)
    (tmp_path / "link.jsonl").symlink_to(pairs)
    (tmp_path / "copy.jsonl").write_bytes(pairs.read_bytes())
    for other in (pairs, "pairs.jsonl", "./pairs.jsonl", tmp_path / "link.jsonl"):
        outcome = cli("audit", "pairs.jsonl", "--against", other)
        assert outcome.code == 2 and f"--against {other}: that is pairs.jsonl once more" in outcome.err
    copy = tmp_path / "copy.jsonl"
    outcome = cli("audit", pairs, "--against", copy, "--against", tmp_path / "." / "copy.jsonl")
    assert outcome.code == 2 and "once more" in outcome.err
    report = json.loads(cli("audit", pairs, "--against", copy, "--json").out)
    assert next(f["grade"] for f in report["findings"] if f["check"] == "shared_prompts") == "fail"


def test_inspect_counts_each_annotator_s_records(cli: Cli, tmp_path: Path) -> None:
    rows = [{"prompt": f"{k}?", "chosen": "a", "rejected": "b", "user": "ann" if k % 3 else "bob"} for k in range(9)]
    file = _written(tmp_path / "votes.jsonl", rows)
    assert json.loads(cli("inspect", file, "--json").out)["domains"] == {"general": 9}
    assert json.loads(cli("inspect", file, "--by", "annotator", "--json").out)["domains"] == {"ann": 6, "bob": 3}
    assert "domains     ann 6, bob 3" in cli("inspect", file, "--by", "annotator").out
    file = _written(tmp_path / "nobody.jsonl", [row | {"user": None} for row in rows])
    outcome = cli("inspect", file, "--by", "annotator")
    assert outcome.code == 2 and "names no annotator" in outcome.err and "Traceback" not in outcome.err


def test_a_strict_audit_exits_1(cli: Cli, tmp_path: Path) -> None:
    rows = [{"prompt": f"{k}?", "chosen": "yes " * 9, "rejected": "no"} for k in range(40)]
    file = tmp_path / "long.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert cli("audit", file).code == 0
    outcome = cli("audit", file, "--strict")
    assert outcome.code == 1 and "the audit fails on" in outcome.err and "Traceback" not in outcome.err


def test_recipe_commands(cli: Cli, tmp_path: Path) -> None:
    names = [line for line in cli("recipe", "list").out.splitlines() if not line.startswith(" ")]
    assert names == ["demo", "dsp-paper", "dsp-smollm2", "starter"]
    assert yaml.safe_load(cli("recipe", "show", "demo").out)["name"] == "demo"
    assert yaml.safe_load(cli("recipe", "show", "demo", "--full").out)["split"]["by"] == "prompt"
    assert cli("recipe", "copy", "demo", tmp_path / "mine.yaml").code == 0
    assert "fine, 2 stages" in cli("recipe", "check", tmp_path / "mine.yaml").out
    assert json.loads(cli("recipe", "schema").out)["properties"]["stages"]


def test_recipe_check_names_all_that_is_missing(cli: Cli, tmp_path: Path) -> None:
    assert cli("recipe", "copy", "starter", tmp_path / "mine.yaml").code == 0
    outcome = cli("recipe", "check", tmp_path / "mine.yaml")
    assert outcome.code == 2 and "general.jsonl" in outcome.err and "mine.jsonl" in outcome.err
    for change, hint in (("data.mine.path=sample:genral", "general"), ("data.mine.format=trll", "trl")):
        outcome = cli("recipe", "check", tmp_path / "mine.yaml", "--set", change)
        assert outcome.code == 2 and f"did you mean '{hint}'" in outcome.err
    on_hub = [arg for n in ("mine", "general") for arg in ("--set", f"data.{n}.path=org/name:{n}")]
    assert cli("recipe", "check", tmp_path / "mine.yaml", *on_hub).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pairs.csv",), "cannot be written as '.csv'"),
        (("-", "--split", "train=0.5,test=0.5"), "name OUT as a file"),
        (("x.jsonl", "--split", "a/b=0.5,test=0.5"), "a part's name holds letters"),
        (("x.jsonl", "--domain"), "requires an argument"),
    ],
)
def test_convert_refuses_what_it_cannot_write(cli: Cli, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    out, *options = arguments
    place = out if out == "-" else tmp_path / out
    outcome = cli("convert", "sample:general", place, *options)
    assert outcome.code == 2 and said in outcome.err and "Traceback" not in outcome.err
    assert not list(tmp_path.iterdir())


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version").out.strip() == version("rewardsmith")


@pytest.fixture
def tiny_recipe(pairs: Path, general: Path, make_backbone: Callable[..., Path], tmp_path: Path) -> Path:
    common = {"batch_size": 4, "evaluations": 1, "learning_rate": 1e-3}
    recipe = {
        "name": "tiny",
        "backbone": {"model": str(make_backbone("llama")), "depth": 1, "max_length": 64},
        "data": {"general": {"path": str(general)}, "mine": {"path": str(pairs)}},
        "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
        "stages": [
            {"stage": "general", "sets": ["general"]} | common,
            {"stage": "custom", "sets": ["mine"], "enrichment": {"sets": ["general"], "count": 2}} | common,
        ],
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def test_a_dry_run_says_what_it_would_take(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    outcome = cli("train", tiny_recipe, "--dry-run", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    for word in ("holds together", "steps", "tokens an epoch", "memory about", "training takes about", "academy"):
        assert word in outcome.out, word
    assert sorted(tmp_path.rglob("*")) == before


def test_train_then_use(cli: Cli, tiny_recipe: Path, tmp_path: Path, pairs: Path) -> None:
    run = tmp_path / "run"
    outcome = cli("train", tiny_recipe, "--out", run)
    assert outcome.code == 0, outcome.err
    assert "accuracy" in outcome.out and str(run) in " ".join(outcome.err.split())
    assert cli("train", tiny_recipe, "--out", run).code == 0
    scored = cli("score", "--model", run, "--domain", "academy", pairs)
    assert scored.code == 0 and len(_lines(scored.out)) == 7
    refused = cli("train", tiny_recipe, "--out", run, "--set", "stages.custom.learning_rate=0.1")
    assert refused.code == 2 and "recipe.stages.1.learning_rate" in refused.err
    unknown = cli("score", "--model", run, "--domain", "acadmy", pairs)
    assert unknown.code == 2 and "academy" in unknown.err


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_pipes(pairs: Path, model: Path) -> None:
    """rewardsmith convert ... - | rewardsmith score -m M -"""
    left = subprocess.Popen([*COMMAND, "convert", str(pairs), "-"], stdout=subprocess.PIPE, env=_environment())
    right = subprocess.run(
        [*COMMAND, "score", "-m", str(model), "-"],
        stdin=left.stdout,
        capture_output=True,
        text=True,
        env=_environment(),
    )
    assert left.wait() == 0 and right.returncode == 0, right.stderr
    assert len(_lines(right.stdout)) == 13


def test_help_imports_nothing_heavy() -> None:
    """What makes it slow: these take from a tenth of a second to two seconds each."""
    script = (
        "import sys; sys.argv = ['rewardsmith', '--help']\n"
        "from rewardsmith.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as left: assert not left.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'accelerate',\n"
        "    'peft', 'pydantic', 'yaml', 'jinja2', 'httpx', 'fastapi', 'asyncio'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    for command in ("demo", "inspect", "audit", "convert", "train", "evaluate", "calibrate", "score", "rank", "recipe"):
        assert command in done.stdout


def test_importing_the_package_is_light() -> None:
    script = "import sys, rewardsmith; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_ctrl_c_exits_130(cli: Cli, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardsmith.preferences import summary

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(summary, "summarise_file", interrupted)
    outcome = cli("inspect", pairs)
    assert outcome.code == 130 and "Traceback" not in outcome.err


@pytest.mark.slow
def test_ctrl_c_on_a_real_process(interruptible: Callable[..., Any]) -> None:
    process = interruptible("inspect", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in err


def test_a_reader_that_leaves_early(tmp_path: Path) -> None:
    """rewardsmith convert ... - | head -1: no traceback, nothing said."""
    rows = [{"prompt": f"Tell me of {k}.", "chosen": "Gladly. " * 200, "rejected": "No."} for k in range(400)]
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    process = subprocess.Popen([*COMMAND, "convert", str(file), "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait() == 1 and b"Traceback" not in err and b"Exception" not in err


def test_audit_by_annotator(cli: Cli, tmp_path: Path) -> None:
    """Each person's preferences are checked apart: one of two always takes the longer response."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Question {k}?"}],
            "responses": ["Yes.", "Yes, and for many reasons."],
            "scores": [0, 1] if who == "ann" else [k % 2, 1 - k % 2],
            "annotator": who,
        }
        for who in ("ann", "bob")
        for k in range(20)
    ]
    file = tmp_path / "votes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = json.loads(cli("audit", file, "--by", "annotator", "--json").out)
    assert report["domains"] == {"ann": 20, "bob": 20}
    (length,) = [f for f in report["findings"] if f["check"] == "length"]
    assert length["grade"] == "fail" and "'ann'" in length["message"]
    assert json.loads(cli("audit", file, "--json").out)["domains"] == {"general": 40}
    del rows[3]["annotator"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "names no annotator" in cli("audit", file, "--by", "annotator").err
