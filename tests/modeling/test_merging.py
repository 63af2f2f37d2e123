"""Merges of task vectors, against the papers' own words computed slowly, and what drawing at random may not change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rewardsmith.errors import ModelError
from rewardsmith.modeling.merging import merged
from rewardsmith.modeling.paths import interpolated, shared_layers
from rewardsmith.modeling.reward_model import RewardModel

Arrays = list[dict[str, np.ndarray[Any, Any]]]


@pytest.fixture(scope="module")
def models(build: Callable[..., RewardModel]) -> tuple[RewardModel, list[RewardModel]]:
    """A general model, and three with its first layer but other weights above."""
    general = build("llama")
    trained = []
    for seed in range(3):
        other = interpolated(general, general, 0.0)
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, p in other.named_parameters():
                if "embed" not in name and "layers.0." not in name:
                    p += torch.randn_like(p)
        trained.append(other)
    return general, trained


def arrays(general: RewardModel, trained: list[RewardModel]) -> Arrays:
    """Task vectors in float64."""
    start = general.state_dict()
    return [{k: (v.double() - start[k].double()).numpy() for k, v in m.state_dict().items()} for m in trained]


def check(general: RewardModel, found: RewardModel, want: dict[str, np.ndarray[Any, Any]]) -> None:
    (task,) = arrays(general, [found])
    for key, change in want.items():
        np.testing.assert_allclose(task[key], change, atol=2e-6, err_msg=key)


def test_warm_is_the_mean_of_the_weights(models: tuple[RewardModel, list[RewardModel]]) -> None:
    general, trained = models
    tasks = arrays(general, trained)
    check(general, merged(general, trained, "mean"), {k: np.mean([t[k] for t in tasks], axis=0) for k in tasks[0]})


def _ties(values: list[float]) -> float:
    """Of one entry, after trimming: elect the sign of greater total movement, average what moved that way."""
    sign = np.sign(sum(values))
    agreeing = [v for v in values if v and np.sign(v) == sign]
    return float(np.mean(agreeing)) if agreeing else 0.0


@pytest.mark.parametrize("members", [1, 3])
def test_ties_trims_elects_and_averages(models: tuple[RewardModel, list[RewardModel]], members: int) -> None:
    general, trained = models[0], models[1][:members]
    tasks = arrays(general, trained)
    want = {}
    for key in tasks[0]:
        trimmed = []
        for task in tasks:
            kept = np.argsort(-np.abs(task[key]).ravel())[: int(0.3 * task[key].size)]
            one = np.zeros(task[key].size)
            one[kept] = task[key].ravel()[kept]
            trimmed.append(one)
        want[key] = np.array([_ties(list(entry)) for entry in zip(*trimmed, strict=True)]).reshape(tasks[0][key].shape)
    check(general, merged(general, trained, "ties", 0.3), want)


def test_dare_keeps_a_random_share_and_its_sum(models: tuple[RewardModel, list[RewardModel]]) -> None:
    general, trained = models[0], models[1][:1]
    (task,) = arrays(general, trained)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found, again, other = (merged(general, trained, "dare", 0.4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    states = [m.state_dict() for m in (found, again, other)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])
    (dropped,) = arrays(general, [found])
    kept = total = 0
    for key, change in dropped.items():
        here = np.abs(change) > 1e-6
        np.testing.assert_allclose(change[here], task[key][here] / 0.4, atol=5e-6)
        if np.any(task[key]):
            kept, total = kept + here.sum(), total + here.size
    assert kept / total == pytest.approx(0.4, abs=0.02)


def test_what_was_not_trained_stays_exactly_as_it_was(models: tuple[RewardModel, list[RewardModel]]) -> None:
    general, trained = models
    assert all(shared_layers(general, merged(general, trained, how, 0.5)) == 1 for how in ("mean", "ties", "dare"))


def test_models_of_another_shape_are_refused(
    models: tuple[RewardModel, list[RewardModel]], build: Callable[..., RewardModel]
) -> None:
    with pytest.raises(ModelError, match="not of one shape"):
        merged(models[0], [build("llama", depth=2)], "mean")
