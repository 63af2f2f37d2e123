"""What users call: score, rank, score_preferences, standardise; and that company never changes a reward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewardsmith.errors import ModelError
from rewardsmith.modeling.info import RewardScale
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Message

PROMPT = "Why is the sky blue?"


def test_score_of_one_and_of_many(model):
    one = model.score(PROMPT, "It just is.")
    many = model.score(PROMPT, ["It just is.", "No idea."])
    assert isinstance(one, float) and isinstance(many, list)
    assert many[0] == pytest.approx(one, abs=1e-5)
    assert model.score(PROMPT, []) == []
    dialogue = [Message(role="user", content=PROMPT)]
    assert model.score(dialogue, "It just is.") == pytest.approx(one, abs=1e-6)
    forked = [Message(role="assistant", content="It just is.")]
    assert model.score(dialogue, [forked])[0] == pytest.approx(one, abs=1e-6)


def test_rank_puts_the_best_first_and_keeps_the_order_of_equals(model):
    texts = ["It just is.", "No idea.", "It just is.", "Because."]
    ranked = model.rank(PROMPT, texts)
    rewards = model.score(PROMPT, texts)
    assert [r.index for r in ranked] == sorted(range(4), key=lambda k: (-rewards[k], k))
    assert [r.response for r in ranked] == [texts[r.index] for r in ranked]
    assert [r.reward for r in ranked] == sorted(rewards, reverse=True)
    equal = [r.index for r in ranked if r.response == "It just is."]
    assert equal == [0, 2]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    others=st.lists(st.text(max_size=40), max_size=6),
    place=st.integers(0, 6),
    budget=st.sampled_from([1, 50, 300, 4096]),
)
def test_company_never_changes_a_reward(model, others, place, budget):
    """RewardBench #137: a reward that depends on the batch size, or on what is scored beside it."""
    prompt, text = [Message(role="user", content=PROMPT)], "Because the air scatters blue light."
    alone = model.rewards_of(model.text.batch([(prompt, text)])).item()
    place = min(place, len(others))
    company = [*others[:place], text, *others[place:]]
    rewards = model.rewards_of(model.text.batch([(prompt, r) for r in company]), token_budget=budget)
    assert rewards[place].item() == pytest.approx(alone, abs=1e-5, rel=1e-5)


def test_preferences_are_scored_by_their_own_domain(build, tiny_preferences):
    model = build("llama", domains=["academy", "business"])
    rewards = model.score_preferences(tiny_preferences)
    outputs = model.outputs_of(tiny_preferences)
    for p, row, full in zip(tiny_preferences, rewards, outputs, strict=True):
        column = {"academy": 0, "business": 1}.get(p.domain, 0)
        assert row == [output[column] for output in full]
        wanted = model.rewards_of(model.text.preference(p))
        torch.testing.assert_close(torch.tensor(full), wanted, atol=1e-5, rtol=1e-5)


def test_the_same_text_is_run_once(build, tiny_preferences):
    """Academy and business judge the same texts."""
    model = build("llama", domains=["academy", "business"])
    seen = []
    model.score_preferences(tiny_preferences[:16], on_progress=seen.append)
    assert sum(seen) == 24


def test_standardised_rewards(model, tmp_path):
    scale = RewardScale(mean=2.0, std=4.0, n=10, source="general")
    with pytest.raises(ModelError, match="without the scale of its rewards"):
        model.score(PROMPT, "It just is.", standardise=True)
    raw = model.score(PROMPT, ["It just is.", "No idea."])
    model.info = model.info.model_copy(update={"reward_scale": scale})
    try:
        model.save_pretrained(tmp_path / "m")
    finally:
        model.info = model.info.model_copy(update={"reward_scale": None})
    again = RewardModel.from_pretrained(tmp_path / "m")
    assert again.info.reward_scale == scale
    assert again.score(PROMPT, ["It just is.", "No idea."], standardise=True) == pytest.approx(
        [(r - 2.0) / 4.0 for r in raw], abs=1e-5
    )


def test_scoring_leaves_the_mode_as_it_was(build):
    model = build("bert").train()
    first, second = model.score(PROMPT, "It just is."), model.score(PROMPT, "It just is.")
    assert first == second, "dropout was on"
    assert model.training and model.backbone.training
    model.eval().score(PROMPT, "It just is.")
    assert not model.training


def test_loaded_model_is_ready_to_score(build, tmp_path):
    build("bert").save_pretrained(tmp_path / "m")
    loaded = RewardModel.from_pretrained(tmp_path / "m", device="cpu")
    assert not loaded.training and loaded.device.type == "cpu"
    assert loaded.tokenizer.padding_side == "right"


def test_autocast_does_not_round_rewards(build, architecture):
    """Under bfloat16 autocast, as in training with `bf16`, the head still computes in float32."""
    model = build(architecture)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rewards = model.rewards_of(model.text.batch([([Message(role="user", content=PROMPT)], r) for r in ("a", "bb")]))
    assert rewards.dtype == torch.float32
    assert not torch.equal(rewards, rewards.bfloat16().float())


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_adapters_do_not_round_rewards(build, name):
    from rewardsmith.modeling.spec import LoraSpec

    model = build(name, precision="bfloat16", lora=LoraSpec(rank=2))
    rewards = model.rewards_of(model.text.batch([([Message(role="user", content=PROMPT)], r) for r in ("a", "bb")]))
    assert not torch.equal(rewards, rewards.bfloat16().float())
