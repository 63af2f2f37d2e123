"""The result file: version 1 stays readable, newer versions are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewardsmith.errors import DataError, OutputExistsError
from rewardsmith.evaluation import EvaluationResult, load_result, save_result, summarise_models

FIXTURES = Path(__file__).parent / "fixtures"
CONTRACT = {
    "n_preferences",
    "n_pairs",
    "n_prompts",
    "n_ties",
    "n_identical",
    "n_failed",
    "accuracy",
    "accuracy_pairs",
    "accuracy_without_plain",
    "ci95",
    "nll",
    "ece",
    "brier",
    "mean_margin",
    "mrr",
    "kendall_tau",
    "baselines",
    "notes",
}


@pytest.fixture
def several(noisy_scored) -> EvaluationResult:
    scored = {name: {"dev": noisy_scored(25, seed=seed)} for seed, name in enumerate(("general", "custom"))}
    return summarise_models(scored)


def test_both_shapes_come_back_as_written(several, tmp_path):
    save_result(tmp_path / "one.json", several.models[0])
    save_result(tmp_path / "several.json", several)
    assert load_result(tmp_path / "one.json") == EvaluationResult(models=several.models[:1])
    assert load_result(tmp_path / "several.json") == several


def test_the_file_keeps_the_contract(several, tmp_path):
    save_result(tmp_path / "one.json", several.models[0])
    data = json.loads((tmp_path / "one.json").read_text())
    assert list(data) == ["version", "model", "sets", "remarks"] and data["version"] == 1
    dev = data["sets"]["dev"]
    assert set(dev) >= CONTRACT | {"domains", "calibration", "margins", "mean_domain_accuracy"}
    assert all(set(domain) >= CONTRACT for domain in dev["domains"].values())
    assert set(dev["baselines"]) == {"longer", "shorter", "bag_of_words"}
    assert all(set(b) == {"accuracy", "ci95"} for b in dev["baselines"].values())
    assert "rewards" not in json.dumps(list(dev))
    save_result(tmp_path / "several.json", several)
    comparison = json.loads((tmp_path / "several.json").read_text())["comparisons"][0]
    assert set(comparison) >= {"set", "model_a", "model_b", "difference", "ci95", "p_value", "n_prompts"}


@pytest.mark.parametrize(
    ("name", "models", "n_comparisons"), [("one_model", ["general"], 0), ("several", ["general", "custom"], 1)]
)
def test_files_of_version_1_stay_readable(name, models, n_comparisons):
    result = load_result(FIXTURES / f"result_v1_{name}.json")
    assert [m.model for m in result.models] == models and len(result.comparisons) == n_comparisons
    dev = result.models[0].sets["dev"]
    assert dev.accuracy == pytest.approx(0.7512698412698416)
    assert list(dev.domains) == ["academy", "business"] and dev.n_pairs > 0 and dev.calibration and dev.margins.counts


def test_unknown_fields_of_version_1_are_passed_over(tmp_path):
    data = json.loads((FIXTURES / "result_v1_one_model.json").read_text())
    data["later"] = data["sets"]["dev"]["later"] = 1
    (tmp_path / "r.json").write_text(json.dumps(data))
    assert load_result(tmp_path / "r.json") == load_result(FIXTURES / "result_v1_one_model.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 2, "runs": []}', "version 2 .* reads up to version 1: upgrade"),
        ('{"version": 0}', "no version 0"),
        ('{"model": "m"}', "no version number"),
        ("[1]", "no version number"),
        ("{", "not JSON"),
        ('{"version": 1, "model": "m", "sets": {"dev": {}}}', "field 'sets.dev.n_preferences'"),
    ],
)
def test_what_is_no_result_is_refused_with_its_reason(text, message, tmp_path):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load_result(tmp_path / "r.json")


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_result(tmp_path / "none.json")


def test_nothing_is_overwritten_unasked(several, tmp_path):
    save_result(tmp_path / "r.json", several)
    with pytest.raises(OutputExistsError):
        save_result(tmp_path / "r.json", several)
    save_result(tmp_path / "r.json", several.models[0], overwrite=True)
    assert len(load_result(tmp_path / "r.json").models) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]
