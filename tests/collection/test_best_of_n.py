"""Best-of-n from queries to curves on tiny models: asked once, scored once, refused where it would mix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rewardsmith.collection.answerers.making import LocalAnswerer
from rewardsmith.collection.best_of_n import SampleOptions, best_of_n, lengths, sample_responses
from rewardsmith.collection.collect import CollectOptions, collect, prepare
from rewardsmith.collection.queries import Query
from rewardsmith.errors import ModelError, OutputExistsError, RewardsmithError
from rewardsmith.evaluation.best_of_n import gains
from rewardsmith.evaluation.optimisation import CEILING, LONGER, load_best_of_n
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Message

QUERIES = [Query(f"q{k}", (Message(role="user", content=f"What is {k}?"),)) for k in range(5)]
OPTIONS = SampleOptions(n=4, max_tokens=5)


@pytest.fixture
def policy(make_backbone: Callable[..., Path]) -> LocalAnswerer:
    """A tiny language model that answers."""
    return LocalAnswerer(str(make_backbone("llama", settings={"max_position_embeddings": 512})))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, make_backbone: Callable[..., Path]) -> dict[str, str]:
    """Two tiny reward models of different taste, by name."""
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("small", "large")):
        built = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=96))
        torch.manual_seed(seed)
        torch.nn.init.normal_(built.head.weight)
        built.save_pretrained(folder / name)
    return {name: str(folder / name) for name in ("small", "large")}


class Silent(LocalAnswerer):
    """Fails the test when it is asked anything."""

    def ask(self, owed: Any, journal: Any, tell: Any) -> Any:
        raise AssertionError(f"asked again: {owed}")


def test_the_curves_are_those_of_the_rewards(policy: LocalAnswerer, models: dict[str, str], tmp_path: Path) -> None:
    proxies, golds = {"small": models["small"]}, {"large": models["large"]}
    result = best_of_n(QUERIES, policy, proxies, golds, tmp_path / "run", OPTIONS)
    samples = sample_responses(QUERIES, Silent(policy._name), tmp_path / "run", OPTIONS)
    assert [len(r.responses) for r in samples.records] == [4] * 5
    small, large = (
        np.array(RewardModel.from_pretrained(models[name]).score_preferences(samples.records)) for name in models
    )
    for by, proxy in {"small": small, LONGER: lengths(samples.records), CEILING: large}.items():
        found = [p.gain for p in result.curves["large"][by].points]
        assert found == pytest.approx(gains(proxy, large, range(1, 5)).mean(axis=0), abs=1e-4)
    assert result.cut == samples.cut > 0
    assert load_best_of_n(tmp_path / "run/result.json").curves == result.curves
    assert (tmp_path / "run/best_of_n.png").stat().st_size > 0


def test_nothing_is_asked_or_scored_twice(
    policy: LocalAnswerer, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same call again, then fewer queries and responses, then more of both: only what is new is made."""
    first = best_of_n(QUERIES[:4], policy, models, models, tmp_path / "run", OPTIONS)
    lines = (tmp_path / "run/rewards.jsonl").read_text().splitlines()
    assert len(lines) == 4 * 2
    silent = Silent(policy._name)
    with monkeypatch.context() as patch:
        patch.setattr(RewardModel, "score_preferences", lambda *_, **__: pytest.fail("scored again"))
        assert best_of_n(QUERIES[:4], silent, models, models, tmp_path / "run", OPTIONS).curves == first.curves
    asked = {r.id: r.responses for r in sample_responses(QUERIES[:4], silent, tmp_path / "run", OPTIONS).records}
    fewer = sample_responses(QUERIES[:2], silent, tmp_path / "run", SampleOptions(n=2, max_tokens=5))
    assert [r.responses for r in fewer.records] == [asked[q.id][:2] for q in QUERIES[:2]]
    more = sample_responses(QUERIES, policy, tmp_path / "run", SampleOptions(n=6, max_tokens=5))
    assert [r.responses[:4] for r in more.records[:4]] == [asked[q.id] for q in QUERIES[:4]]
    assert [len(r.responses) for r in more.records] == [6] * 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"temperature": 0.5}, "--temperature"), ({"max_tokens": 6}, "--max-tokens"), ({"seed": 1}, "--seed")],
)
def test_other_sampling_is_refused(policy: LocalAnswerer, tmp_path: Path, changes: dict[str, float], said: str) -> None:
    sample_responses(QUERIES[:1], policy, tmp_path / "run", OPTIONS)
    with pytest.raises(OutputExistsError, match=said):
        sample_responses(QUERIES[:1], policy, tmp_path / "run", OPTIONS.model_copy(update=changes))


def test_folders_of_others_are_refused(policy: LocalAnswerer, tmp_path: Path) -> None:
    collection = CollectOptions(domains=["academy"], plain=True, filtered=False)
    (tmp_path / "q.txt").write_text("What is 1?\n", encoding="utf-8")
    collect(prepare(str(tmp_path / "q.txt"), collection, policy.model), collection, policy, tmp_path / "collected")
    with pytest.raises(OutputExistsError, match="holds another collection"):
        sample_responses(QUERIES, policy, tmp_path / "collected", OPTIONS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(OutputExistsError, match="holds no collection"):
        sample_responses(QUERIES, policy, tmp_path / "other", OPTIONS)


def test_what_cannot_be_used_is_said_before_anything_is_asked(
    policy: LocalAnswerer, models: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ModelError):
        best_of_n(QUERIES, Silent(policy._name), models, {"gold": str(tmp_path)}, tmp_path / "run", OPTIONS)
    assert not (tmp_path / "run").exists()


def test_a_query_too_long_is_owed_and_said(policy: LocalAnswerer, tmp_path: Path) -> None:
    long = Query("long", (Message(role="user", content="why " * 2000),))
    with pytest.raises(RewardsmithError, match=r"4 requests are still owed .*leaves no room"):
        sample_responses([QUERIES[0], long], policy, tmp_path / "run", OPTIONS)


def test_rewards_that_are_not_finite_are_no_curve(
    policy: LocalAnswerer, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RewardModel, "score_preferences", lambda self, ps, **_: [[float("nan")] * 4 for _ in ps])
    with pytest.raises(ModelError, match="gives no usable rewards for query q0"):
        best_of_n(QUERIES, policy, models, models, tmp_path / "run", OPTIONS)
    assert not (tmp_path / "run/result.json").exists()


def test_prompts_that_a_model_was_trained_on_are_counted(
    policy: LocalAnswerer, models: dict[str, str], tmp_path: Path
) -> None:
    from rewardsmith.preferences.record import content_hash

    model = RewardModel.from_pretrained(models["small"])
    model.info = model.info.model_copy(update={"trained_on": [content_hash("what is 1?")]})
    model.save_pretrained(tmp_path / "trained")
    named = {"trained": str(tmp_path / "trained")}
    result = best_of_n(QUERIES, policy, named, models, tmp_path / "run", OPTIONS)
    assert any("trained on the prompts of 1 of the 5 queries" in note for note in result.notes)
    assert json.loads((tmp_path / "run/result.json").read_text())["version"] == 1
