"""The calibrated folder: portable, on its scale, with what it knows of itself; and what cannot be calibrated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rewardsmith.calibration.calibrate import PLOT, RESULT, calibrate
from rewardsmith.calibration.parts import FIT, TEST, split_unseen
from rewardsmith.errors import DataError, ModelError, OutputExistsError
from rewardsmith.evaluation.calibrated import CalibrationResult, load_calibration
from rewardsmith.modeling.judging import Judge
from rewardsmith.modeling.posterior import POSTERIOR, read_posterior
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Message, content_hash

Calibrated = tuple[Path, CalibrationResult]

PROMPT, RESPONSES = "Say 7.", ["No, 7 bores me.", "Gladly: 7 is a number.", "Gladly: 7 is a number and more."]


@pytest.fixture(scope="module")
def calibrated(reward_model: Path, kind: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    """The tiny model, calibrated once."""
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REWARDSMITH_CACHE", str(folder / "cache"))
        return folder / "out", calibrate(str(reward_model), str(kind), folder / "out", seed=1)


def test_the_copy_gives_scaled_rewards_in_transformers(reward_model: Path, calibrated: Calibrated) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    out, result = calibrated
    before = RewardModel.from_pretrained(reward_model).score(PROMPT, RESPONSES)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    for response, reward in zip(RESPONSES, before, strict=True):
        dialogue = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": response}]
        inputs = tokenizer.apply_chat_template(dialogue, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            assert model(**inputs).logits[0, 0].item() == pytest.approx(reward / result.temperature, abs=1e-4)
    assert result.temperature > 5


def test_the_result_is_on_disk_and_says_what_changed(calibrated: Calibrated) -> None:
    out, result = calibrated
    assert load_calibration(out / RESULT) == result
    assert (out / PLOT).read_bytes().startswith(b"\x89PNG")
    before, after = result.readings["as it was"], result.readings["temperature"]
    assert before.ece is not None and after.ece is not None and before.nll is not None and after.nll is not None
    assert before.ece > after.ece and after.nll < before.nll and before.accuracy == after.accuracy
    assert sum(result.n_prompts.values()) == sum(result.n_pairs.values()) == 100
    assert any("cannot tell whether the calibration error is below 0.05" in note for note in result.notes)
    assert any("does not say what it was trained on" in note for note in result.notes)
    with pytest.raises(DataError, match="name that of a calibrated model"):
        load_calibration(out / "nothing.json")
    (out / "other.json").write_text('{"version": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="no result of calibrate"):
        load_calibration(out / "other.json")


def test_the_scale_of_general_responses_follows(reward_model: Path, calibrated: Calibrated) -> None:
    old, new = (RewardModel.from_pretrained(path) for path in (reward_model, calibrated[0]))
    given = [m.score(PROMPT, RESPONSES, standardise=True) for m in (old, new)]
    assert given[1] == pytest.approx(given[0], abs=1e-4)


def test_the_offset_is_the_mean_of_what_was_fitted_on(calibrated: Calibrated, kind: Path) -> None:
    model = RewardModel.from_pretrained(calibrated[0])
    parts, _ = split_unseen("kind", load_preferences(kind).preferences, [], seed=1)
    judge = Judge(model)
    found = [judge.judge(p.prompt, p.responses).rewards for p in parts[FIT]]
    assert np.mean(found) == pytest.approx(0.0, abs=1e-4)
    assert not {p.prompt_key() for p in parts[FIT]} & {p.prompt_key() for p in parts[TEST]}


def test_doubts_are_the_posteriors(calibrated: Calibrated) -> None:
    model = RewardModel.from_pretrained(calibrated[0])
    posterior = read_posterior(calibrated[0])
    assert posterior is not None and model.calibration is not None and model.calibration.moderated_temperature
    covariance = posterior.factor.T @ posterior.factor
    texts = model.text.batch([([Message(role="user", content=PROMPT)], r) for r in RESPONSES])
    x = model.features_of(texts)[0].double().numpy()
    doubts = Judge(model, uncertainty=True).judge(PROMPT, RESPONSES).doubts
    assert doubts is not None
    rewards = np.array(model.score(PROMPT, RESPONSES))
    order = np.argsort(-rewards)
    for k in range(2):
        d, margin = x[order[k]] - x[order[k + 1]], rewards[order[k]] - rewards[order[k + 1]]
        variance = d @ covariance @ d
        drawn = margin / np.sqrt(1 + np.pi / 8 * variance) / model.calibration.moderated_temperature
        assert doubts.margins[k] == pytest.approx(margin, abs=1e-4)
        assert doubts.margin_errors[k] == pytest.approx(np.sqrt(variance), rel=1e-4)
        assert doubts.probabilities[k] == pytest.approx(1 / (1 + np.exp(-drawn)), abs=1e-4)
    assert doubts.standard_errors[0] == pytest.approx(
        np.sqrt((x[0] - posterior.mean) @ covariance @ (x[0] - posterior.mean)), rel=1e-4
    )
    assert Judge(model, uncertainty=True).judge(PROMPT, RESPONSES[:1]).doubts.margins == []


def test_length_is_taken_off_in_proportion_to_log_length(calibrated: Calibrated) -> None:
    model = RewardModel.from_pretrained(calibrated[0])
    assert model.calibration is not None
    plain, controlled = (Judge(model, length_controlled=c).judge(PROMPT, RESPONSES).rewards for c in (False, True))
    length = model.calibration.length
    wanted = [length.coefficient * (np.log(1 + len(r)) - length.mean) for r in RESPONSES]
    np.testing.assert_allclose(np.subtract(plain, controlled), wanted, atol=1e-5)


def test_a_calibration_does_not_outlive_its_head(calibrated: Calibrated, tmp_path: Path) -> None:
    model = RewardModel.from_pretrained(calibrated[0])
    again = RewardModel.from_pretrained(model.save_pretrained(tmp_path / "again"))
    assert again.calibration == model.calibration is not None and (tmp_path / "again" / POSTERIOR).is_file()
    with torch.no_grad():
        model.last_layer.weight += 0.01
    assert model.calibration is None
    with pytest.raises(ModelError, match="its head was changed after it was calibrated"):
        Judge(model)
    changed = RewardModel.from_pretrained(model.save_pretrained(tmp_path / "changed"))
    assert changed.info.calibration is None and not (tmp_path / "changed" / POSTERIOR).exists()


def test_calibrated_again_the_temperature_is_one(calibrated: Calibrated, kind: Path, tmp_path: Path) -> None:
    twice = calibrate(str(calibrated[0]), str(kind), tmp_path / "twice", seed=1)
    assert twice.temperature == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("head", "sure"), [("mlp", True), ("mixture", False)])
def test_heads_of_our_own(
    make_backbone: Callable[..., Path],
    like_kind_answers: Callable[[RewardModel], None],
    kind: Path,
    tmp_path: Path,
    head: str,
    sure: bool,
) -> None:
    """Their last layer is linear all the same; only a mixture's uncertainty is not that of its last layer."""
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    experts = ["a", "b"] if head == "mixture" else None
    spec = {"model": str(make_backbone("llama")), "head": head, "experts": experts, "max_length": 96}
    model = build_reward_model(BackboneSpec.model_validate(spec)).eval()
    like_kind_answers(model)
    before = np.array(model.score(PROMPT, RESPONSES))
    model.save_pretrained(tmp_path / "own")
    result = calibrate(str(tmp_path / "own"), str(kind), tmp_path / "out")
    again = RewardModel.from_pretrained(tmp_path / "out")
    np.testing.assert_allclose(again.score(PROMPT, RESPONSES), before / result.temperature, rtol=1e-3, atol=1e-5)
    assert ("moderated" in result.readings) == sure and (again.posterior is not None) == sure
    if not sure:
        assert any("no uncertainty" in note for note in result.notes)
        with pytest.raises(ModelError, match="calibrated without uncertainty"):
            Judge(again, uncertainty=True)


def test_an_output_that_exists_is_kept(reward_model: Path, kind: Path, calibrated: Calibrated) -> None:
    with pytest.raises(OutputExistsError):
        calibrate(str(reward_model), str(kind), calibrated[0])


def _rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return str(path)


def test_preferences_that_cannot_be_used(reward_model: Path, kind: Path, tmp_path: Path) -> None:
    prompts = [[{"role": "user", "content": f"{k}?"}] for k in range(9)]
    ties = [{"prompt": prompt, "responses": ["a", "b"], "scores": [1, 1]} for prompt in prompts]
    with pytest.raises(DataError, match="none of 9 preferences ranks anything"):
        calibrate(str(reward_model), _rows(tmp_path / "ties.jsonl", ties), tmp_path / "out")
    one = [{"prompt": "Say 1.", "chosen": "Gladly.", "rejected": "No."}]
    with pytest.raises(DataError, match=r"of 1 preferences none is left to (fit|test) on"):
        calibrate(str(reward_model), _rows(tmp_path / "one.jsonl", one), tmp_path / "out")
    preferences = load_preferences(kind).preferences
    seen = [content_hash(p.prompt_key()) for p in preferences]
    with pytest.raises(DataError, match="trained on the prompts of all of them"):
        split_unseen("kind", preferences, seen)
    parts, notes = split_unseen("kind", preferences, seen[:30])
    assert sum(map(len, parts.values())) == 70 and notes == [
        "30 preferences left out, the model was trained on their prompts"
    ]
    assert not (tmp_path / "out").exists()


def test_a_posterior_that_is_damaged(calibrated: Calibrated, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(calibrated[0], tmp_path / "torn"))
    (folder / POSTERIOR).write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"posterior\.safetensors cannot be read .* calibrate the model again"):
        RewardModel.from_pretrained(folder)
