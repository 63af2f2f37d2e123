"""The command end to end on a tiny model: what is proved, written, kept over a kill, and refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from transformers import AutoModelForSequenceClassification

from rewardsmith.customization.customize import read_parts
from rewardsmith.customization.methods.heads import Residual
from rewardsmith.customization.methods.merging import Merged
from rewardsmith.customization.methods.registry import METHODS
from rewardsmith.customization.methods.summaries import SUMMARIES
from rewardsmith.customization.methods.training import Trained
from rewardsmith.customization.parts import CHOOSE, CUSTOM, TEST, TRAIN
from rewardsmith.errors import DataError, ModelError, OutputExistsError, UserError
from rewardsmith.evaluation.customization import load_customization
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import content_hash
from tests.command import run_command, within


def test_a_wide_budget_is_kept_and_the_gain_is_real(
    run: Callable[..., Any], tmp_path: Path, general_model: Path
) -> None:
    result = run(["60"])
    assert result.certified and result.method == "anchored" and result.custom.ci95[0] > 0
    assert result.bound <= 60 and all(v.verdict == "within" for v in result.verdicts)
    assert load_customization(tmp_path / "run" / "result.json") == result
    assert sum(c.chosen for c in result.candidates) == 1
    # The saved model is a standard one, and gives the rewards that were certified.
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model")
    model = RewardModel.from_pretrained(tmp_path / "run" / "model")
    assert model.info.domains == ["academy"] and model.info.provenance["certificate"]["budgets"] == result.budgets
    before = RewardModel.from_pretrained(general_model)
    assert not np.allclose(model.score("Why?", "Because."), before.score("Why?", "Because."))
    card = (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")
    assert "It is proved, at 95 %" in card and "None" not in card and "{" not in card.split("```")[0]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http://www.w3.org", "") and len(result.flips) == page.count(
        '<article class="flip">'
    )


def test_parts_hold_what_they_say(run: Callable[..., Any]) -> None:
    result = run(["60"])
    assert result.custom.n_prompts == result.parts["custom"]["test"]
    assert result.general.n_prompts == sum(result.parts[name]["test"] for name in ("kind", "short"))
    assert {name: change.n_prompts for name, change in result.general.sets.items()} == {
        name: result.parts[name]["test"] for name in ("kind", "short")
    }
    assert set(result.audits) == set(result.parts) and result.options["--budget"] == {"all general sets": 60.0}
    assert all(result.audits[name].prompts == sum(parts.values()) for name, parts in result.parts.items())
    assert set(result.calibration) == {"custom", "all general sets"} and not result.curves and not result.recipes
    (verdict,) = result.verdicts
    assert verdict.n_prompts == sum(result.parts[name]["certify"] for name in ("kind", "short"))


def test_nothing_within_budget_gives_the_general_model_back(
    run: Callable[..., Any],
    files: dict[str, str],
    tmp_path: Path,
    general_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "head", Residual("head", (0.0,), (0.003,), (1.0,)))
    result = run(["3"], preferences=files["contrary"], method="head")
    assert result.unconstrained.difference > 0.3 and any(c.on_path for c in result.candidates)
    assert result.certified and result.method == "none" and result.strength == 0 and result.bound == 0
    assert result.custom.difference == 0 and result.general.difference == 0 and not result.flips
    old, new = RewardModel.from_pretrained(general_model), RewardModel.from_pretrained(tmp_path / "run" / "model")
    for key, value in old.state_dict().items():
        assert (value == new.state_dict()[key]).all()
    assert "No candidate for academy could be proved" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_gated_head_is_kept_where_dialogues_look_custom(
    run: Callable[..., Any], tmp_path: Path, pooled_general_model: Path
) -> None:
    result = run(["60"], general=str(pooled_general_model), method="gated", portable=False)
    assert result.method == "gated" and result.custom.difference > 0.3 and result.general.difference > -0.1
    model, before = (RewardModel.from_pretrained(f) for f in (tmp_path / "run" / "model", pooled_general_model))
    assert model.info.experts == ["general", "general for academy"] and not model.info.portable
    # The gate is shut on general dialogues: their rewards are nearly the general model's.
    kind = model.score("Say kind 5.", "Gladly: 5 is a number.") - before.score("Say kind 5.", "Gladly: 5 is a number.")
    academy = "The literature attributes the effect to scattering, as measured by Rayleigh. Thing 5."
    why = "Why is thing number 5 the colour it is?"
    assert abs(kind) < 0.2 * abs(model.score(why, academy) - before.score(why, academy))


@pytest.mark.parametrize("method", ["anchored", "gated"])
def test_the_card_says_how_to_use_the_model(
    run: Callable[..., Any],
    tmp_path: Path,
    general_model: Path,
    pooled_general_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    general = pooled_general_model if method == "gated" else general_model
    run(["60"], general=str(general), method=method, portable=method == "anchored")
    monkeypatch.chdir(tmp_path / "run" / "model")
    scope: dict[str, Any] = {}
    exec(Path("README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], scope)
    model = RewardModel.from_pretrained(tmp_path / "run" / "model")
    expected = model.score("Why is the sky blue?", "The air scatters blue light most.")
    assert scope["reward"] == pytest.approx(expected, abs=1e-5)
    assert ("transformers" in scope["model"].__module__) == (method == "anchored")


def test_what_a_gate_needs_is_said(run: Callable[..., Any], pooled_general_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--method gated: .* say --no-portable"):
        run(["60"], method="gated")
    assert not (tmp_path / "run").exists(), "what never ran must not stand in the way of another method"
    with pytest.raises(UserError, match="--method gated: the gate reads the mean of the last layer"):
        run(["60"], method="gated", portable=False)
    with pytest.raises(ModelError, match="--no-portable"):
        run(["60"], general=str(pooled_general_model), method="gated")


def test_heads_learn_from_the_choosing_part_once_the_path_is_fixed(
    run: Callable[..., Any], tmp_path: Path, general_model: Path, files: dict[str, str]
) -> None:
    run(["60"])
    parts = read_parts(
        RewardModel.from_pretrained(general_model),
        files["custom"],
        "academy",
        {name: files[name] for name in ("kind", "short")},
        0,
    )
    seen = set(RewardModel.from_pretrained(tmp_path / "run" / "model").info.trained_on)
    prompts = {part: {content_hash(p.prompt_key()) for p in parts.custom[part]} for part in (TRAIN, CHOOSE, TEST)}
    assert prompts[TRAIN] | prompts[CHOOSE] <= seen and not prompts[TEST] & seen


def test_a_trained_method_walks_the_path_to_its_end(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Trained(
        "distillation", {"losses": {"distillation": 1.0}, "max_steps": 3}, enriched=True, strengths=(1.0, 0.5)
    )
    monkeypatch.setitem(METHODS, "distillation", tiny)
    result = run(["60"], method="distillation")
    assert [c.strength for c in result.candidates] == [1.0, 0.5]
    assert abs(result.candidates[1].general) <= abs(result.candidates[0].general) + 0.05
    (curve,) = result.curves
    assert curve.run == "distillation" and curve.points[-1].step == 3 and curve.points[-1].loss is not None
    (stage,) = yaml.safe_load(result.recipes["distillation"])["stages"]
    assert stage["losses"]["distillation"] == 1.0 and not stage["bf16"]


def test_training_under_bfloat16_is_another_training_of_the_same_kind(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "fine-tuning", Trained("fine-tuning", {"max_steps": 3}, strengths=(1.0,)))
    whole = run(["60"], "whole", method="fine-tuning")
    half = run(["60"], "half", method="fine-tuning", bf16=True)
    assert yaml.safe_load(half.recipes["fine-tuning"])["stages"][0]["bf16"]
    ends = [result.curves[0].points[-1].loss for result in (whole, half)]
    assert ends[0] != ends[1] and ends[1] == pytest.approx(ends[0], rel=0.05)
    with pytest.raises(OutputExistsError, match=r"other options \(--bf16\)"):
        run(["60"], "whole", method="fine-tuning", bf16=True)


def _tiny(name: str, **fields: Any) -> Trained:
    return Trained(
        name, {"epochs": 4, "learning_rate": 1e-2, "head_learning_rate": 0.1}, strengths=(1.0, 0.5), **fields
    )


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (_tiny("lora", ranks=(2,)), {"rank": 2}),
        (Merged("warm", _tiny("base"), "ties", (0.5,), members=2, strengths=(1.0, 0.5)), {"density": 0.5}),
    ],
    ids=["lora", "ties of two seeds"],
)
def test_what_is_chosen_gives_the_rewards_that_it_was_chosen_by(
    run: Callable[..., Any],
    files: dict[str, str],
    general_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: Trained | Merged,
    settings: dict[str, Any],
) -> None:
    monkeypatch.setitem(METHODS, method.name, method)
    result = run(["60"], method=method.name)
    assert [(c.settings, c.strength) for c in result.candidates] == [(settings, 1.0), (settings, 0.5)]
    # Saved, loaded and scored as any model is, adapters folded in: the figures of the report.
    (name,) = [c.name for c in result.candidates if c.chosen]
    (kept,) = [
        found["rewards"]
        for file in (tmp_path / "run" / "rewards" / "test").glob("*.json")
        if (found := json.loads(file.read_text()))["candidate"] == name
    ]
    model = RewardModel.from_pretrained(tmp_path / "run" / "model")
    sets = {"kind": files["kind"], "short": files["short"]}
    parts = read_parts(RewardModel.from_pretrained(general_model), files["custom"], "academy", sets, 0)
    for preferences, rewards in ((parts.custom[TEST], kept[CUSTOM]), (parts.general["kind"][TEST], kept["kind"])):
        for a, b in zip(model.score_preferences(preferences), rewards, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_finished_run_is_not_run_again(run: Callable[..., Any], tmp_path: Path) -> None:
    first = run(["60"])
    stamp = (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns
    assert run(["60"]) == first
    assert (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("name", ["early-stopping", "a-gem", "resampled-enrichment"])
def test_a_method_trains_as_it_is_registered(run: Callable[..., Any], name: str) -> None:
    """What is held back, watched and drawn anew is there on parts that were drawn by hash themselves."""
    assert [c.strength for c in run(["60"], method=name).candidates] == [1.0, 0.7, 0.4, 0.2]


def test_every_method_is_known_by_its_line() -> None:
    assert list(METHODS) == list(SUMMARIES) and all(method.name == name for name, method in METHODS.items())
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "keep-a-budget.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", guide, re.MULTILINE) == list(SUMMARIES)


def test_resume_goes_on_and_never_starts(run: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no customize run; leave --resume out"):
        run(["60"], resume=True)
    assert not (tmp_path / "run").exists()
    first = run(["60"])
    assert run(["60"], resume=True) == first
    with pytest.raises(UserError, match="--overwrite removes it"):
        run(["60"], resume=True, overwrite=True)


def test_a_path_of_another_version_is_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    first, folder = run(["60"]), tmp_path / "run"
    (folder / "result.json").unlink()
    path = json.loads((folder / "path.json").read_text())
    (folder / "path.json").write_text(json.dumps(path | {"path": [*path["path"], "anchored(of old)"]}))
    with pytest.raises(OutputExistsError, match=r"does not make \(anchored\(of old\)\).*--overwrite"):
        run(["60"])
    assert run(["60"], overwrite=True).candidates == first.candidates


def test_changed_options_are_refused_by_name(run: Callable[..., Any], files: dict[str, str], tmp_path: Path) -> None:
    run(["60"])
    with pytest.raises(OutputExistsError, match=r"other options \(--budget, --seed\)"):
        run(["50"], seed=1)
    with pytest.raises(OutputExistsError, match="--general-preferences short"):
        run(["60"], general_preferences={"kind": files["kind"]})
    assert run(["50"], overwrite=True).budget == 50
    (tmp_path / "run" / "run.json").write_bytes(b'{"options": {"\xff')
    with pytest.raises(OutputExistsError, match=r"run\.json is damaged.*--overwrite"):
        run(["50"])
    assert run(["50"], overwrite=True).budget == 50
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="holds no customize run"):
            run(["60"], out="other", overwrite=overwrite)
    assert (tmp_path / "other" / "letter.txt").read_text() == "mine"


def test_a_start_that_was_interrupted_can_be_repeated(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json.partial").write_text("{", encoding="utf-8")
    assert run(["60"]).budget == 60


def test_bad_input_is_refused_before_anything_is_written(
    run: Callable[..., Any], files: dict[str, str], tmp_path: Path, make_backbone: Callable[..., Path]
) -> None:
    for error, fault, budgets, options in [
        (DataError, "no domain 'acadmy' .did you mean 'academy'", ["60"], {"domain": "acadmy"}),
        (ModelError, "no reward model", ["60"], {"general": str(make_backbone("llama"))}),
        (UserError, "no set 'kindd' .did you mean 'kind'", ["kindd=3"], {}),
        (UserError, "there is no such method .did you mean 'anchored'", ["60"], {"method": "anchord"}),
        (DataError, "cannot prove 0.1 points, not even of a model that changes nothing; about", ["0.1"], {}),
    ]:
        with pytest.raises(error, match=fault):
            run(budgets, **options)
        assert not (tmp_path / "run").exists()


def test_a_model_that_is_not_portable_needs_to_be_asked_for(
    run: Callable[..., Any], make_backbone: Callable[..., Path], tmp_path: Path
) -> None:
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    spec = BackboneSpec(model=str(make_backbone("llama")), pooling="mean", max_length=128)
    folder = str(build_reward_model(spec).save_pretrained(tmp_path / "mean"))
    with pytest.raises(ModelError, match="--no-portable"):
        run(["60"], general=folder)
    assert run(["60"], general=folder, portable=False).method in ("anchored", "none")


def test_a_killed_run_ends_as_one_that_was_not(
    run: Callable[..., Any], general_model: Path, files: dict[str, str], tmp_path: Path
) -> None:
    arguments = [
        *("customize", "--general", str(general_model)),
        *("--preferences", files["custom"], "--domain", "academy", "--method", "anchored", "--budget", "60"),
        *("--general-preferences", files["kind"], "--general-preferences", files["short"], "--out", "killed"),
    ]
    cache = {"REWARDSMITH_CACHE": str(tmp_path / "another-cache")}
    command = [sys.executable, "-m", "rewardsmith.cli.app", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | cache, stderr=subprocess.DEVNULL)
    fixed = tmp_path / "killed" / "path.json"
    deadline = time.monotonic() + 120
    while not fixed.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert fixed.exists()
    with within(tmp_path, cache):
        done = run_command(*arguments)
    assert done.code == 0, done.err
    killed = load_customization(tmp_path / "killed" / "result.json")
    apart = {"seconds": 0.0, "command": []}
    assert killed.model_copy(update=apart) == run(["60"], out="whole").model_copy(update=apart)
    weights = [(tmp_path / out / "model" / "model.safetensors").read_bytes() for out in ("killed", "whole")]
    assert weights[0] == weights[1]
