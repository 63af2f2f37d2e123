"""A certificate's reference: kept with the model, held against what the model is later evaluated on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rewardsmith.cli.app import main
from rewardsmith.customization.customize import read_parts
from rewardsmith.customization.parts import TEST
from rewardsmith.customization.reference import FEWEST, ShiftCheck
from rewardsmith.modeling.reference import MOST_PROMPTS, REFERENCE, prompt_rows, prompt_sample
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.scoring import ModelScorer
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.writing import write_preferences


def pairs(prompt: str, chosen: str, rejected: str, numbers: Sequence[int]) -> list[Preference]:
    return [
        Preference(
            id=str(k),
            prompt=[{"role": "user", "content": prompt.format(k)}],
            responses=[chosen.format(k), rejected.format(k)],
            scores=[1, 0],
            domain="general",
        )
        for k in numbers
    ]


SOME = pairs("Say kind {}.", "Gladly: {} is a number.", "No, {} bores me.", range(80))
OTHER = pairs("Translate line {} of the poem.", "Line {}: the rain falls.", "I cannot read {}.", range(80))


@pytest.fixture
def customized(run: Callable[..., Any], tmp_path: Path) -> Path:
    result = run(["60"])
    assert result.method == "anchored"
    return tmp_path / "run" / "model"


def remarks(model: Path, sets: dict[str, list[Preference]]) -> list[str]:
    scorer = ModelScorer(str(model), None, None)
    check = ShiftCheck(scorer, sets)
    scorer([p for preferences in sets.values() for p in preferences])
    return check.remarks()


def test_general_pairs_unlike_the_certified_ones_are_remarked_on(
    customized: Path,
    general_model: Path,
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sets = {name: files[name] for name in ("kind", "short")}
    fresh = read_parts(RewardModel.from_pretrained(general_model), files["custom"], "academy", sets, seed=0).of(TEST)
    assert len(fresh["kind"]) >= FEWEST and remarks(customized, fresh) == []
    turned = [p.model_copy(update={"scores": p.scores[::-1]}) for p in fresh["kind"]]
    found = remarks(customized, {**fresh, "other": OTHER, "turned": turned})
    assert [remark.split("'")[1] for remark in found] == ["other", "turned"]
    assert "it says nothing about them" in found[0] and "AUC of 1.00, p 0.001" in found[0]

    write_preferences(OTHER, tmp_path / "other.jsonl")
    arguments = ["evaluate", "--quiet", "-m", str(customized), "-d", str(tmp_path / "other.jsonl"), "--json", "-"]
    monkeypatch.setattr(sys, "argv", ["rewardsmith", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code and json.loads(capsys.readouterr().out)["remarks"] == found[:1]


def test_nothing_is_said_of_few_prompts_of_the_own_domain_or_without_a_certificate(
    customized: Path, general_model: Path
) -> None:
    own = [p.model_copy(update={"domain": "academy"}) for p in OTHER]
    assert remarks(customized, {"own": own, "few": OTHER[:39]}) == []
    assert remarks(general_model, {"other": OTHER}) == []


def test_prompts_that_were_trained_on_are_left_out(customized: Path, files: dict[str, str]) -> None:
    scorer = ModelScorer(str(customized), None, None)
    everything = load_preferences(files["kind"]).preferences
    seen = {p.prompt_key() for p, was in zip(everything, scorer.seen(everything), strict=True) if was}
    check = ShiftCheck(scorer, {"kind": everything})
    assert seen and not seen & {p.prompt_key() for p in check._samples["kind"]}


def test_watched_rewards_are_those_of_a_plain_scorer(customized: Path) -> None:
    plain, watching = (ModelScorer(str(customized), None, None) for _ in range(2))
    watching.watch(SOME[10:30])
    np.testing.assert_allclose(plain(SOME), watching(SOME), atol=1e-5)
    weight, bias = watching.model.last_layer.weight[0].detach().double().numpy(), watching.model.last_layer.bias
    assert bias is None
    rewards = [(x @ weight).tolist() for x in watching.features(SOME[10:30])]
    np.testing.assert_allclose(rewards, plain(SOME)[10:30], atol=1e-4)


def test_the_reference_is_what_the_saved_model_reads_and_follows_it(customized: Path, tmp_path: Path) -> None:
    certificate = json.loads((customized / "rewardsmith.json").read_text())["provenance"]["certificate"]
    assert certificate["reference"] == str(REFERENCE) and (customized / REFERENCE).is_file()
    model = RewardModel.from_pretrained(customized)
    assert model.reference is not None and set(model.reference.rows) == {"kind", "short"}
    assert not [f for f in customized.glob("*.safetensors") if f.name != "model.safetensors"]
    copy = RewardModel.from_pretrained(model.save_pretrained(tmp_path / "copy"))
    assert copy.reference is not None
    for name, rows in model.reference.rows.items():
        assert rows.shape[1] == 2 * model.last_layer.in_features
        np.testing.assert_array_equal(rows, copy.reference.rows[name])


def test_one_row_for_a_prompt_however_many_preferences_it_has() -> None:
    rng = np.random.default_rng(0)
    twice = [*SOME, *(p.model_copy(update={"id": f"{p.id}-again"}) for p in SOME[:5])]
    features = [rng.normal(size=(2, 3)) for _ in twice]
    rows = prompt_rows(twice, features)
    assert rows.shape == (len(SOME), 6)
    np.testing.assert_allclose(rows[7], [*features[7].mean(axis=0), *(features[7][0] - features[7][1])])
    both = np.mean([features[2], features[82]], axis=0)
    np.testing.assert_allclose(rows[2], [*both.mean(axis=0), *(both[0] - both[1])])


def test_a_sample_holds_whole_prompts_that_rank_something() -> None:
    many = pairs("Say {}.", "Yes {}.", "No {}.", range(MOST_PROMPTS + 50))
    ties = [p.model_copy(update={"scores": [1.0, 1.0]}) for p in pairs("Tie {}.", "Yes {}.", "No {}.", range(9))]
    again = [p.model_copy(update={"id": f"{p.id}-again"}) for p in many]
    sample = prompt_sample([*many, *ties, *again])
    assert len(sample) == 2 * MOST_PROMPTS and len({p.prompt_key() for p in sample}) == MOST_PROMPTS
