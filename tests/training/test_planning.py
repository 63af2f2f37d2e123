"""What the dry run says of a run that was not made: counts, steps, time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rewardsmith.training import planning
from rewardsmith.training.recipe_file import parse_recipe


@pytest.mark.parametrize(("spec", "wanted"), [({"count": 4}, 4), ({"share": 0.5}, None)])
def test_enrichment_is_a_share_or_a_count(
    recipe_data: Callable[..., Any], spec: dict[str, Any], wanted: int | None
) -> None:
    recipe = parse_recipe(recipe_data(general=None, custom={"enrichment": {"sets": ["general"], **spec}}), "test")
    job = planning.plan_run(recipe).jobs[0]
    assert job.enrichment == (wanted if wanted is not None else job.counts.items)


def test_the_plan_measures_the_precision_that_a_stage_trains_in(
    recipe_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {torch.float32: 1e9, torch.bfloat16: 4e9}
    monkeypatch.setattr(planning, "matmul_rate", rates.__getitem__)
    plan = planning.plan_run(parse_recipe(recipe_data(custom={"bf16": True}), "test"))
    assert plan.rates == rates
    assert "float32 matrices at 1 GFLOP/s" in plan.to_text() and "bfloat16 matrices at 4 GFLOP/s" in plan.to_text()
    whole = planning.plan_run(parse_recipe(recipe_data(), "test"))
    assert [job.seconds for job in plan.jobs[:-1]] == [job.seconds for job in whole.jobs[:-1]]
    assert plan.jobs[-1].seconds == pytest.approx(whole.jobs[-1].seconds * 0.5 / (4 * 0.25))


def test_the_plan_counts_the_rest_of_an_epoch_as_what_it_is(
    recipe_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "matmul_rate", lambda dtype: 1e9)

    def job(**stage: Any) -> planning.JobPlan:
        return planning.plan_run(parse_recipe(recipe_data(general=None, custom=stage), "test")).jobs[0]

    n = job().counts.items
    at_once, in_two, begun = (
        job(epochs=2, batch_size=size, **more) for size, more in ((n, {}), (n - 1, {}), (n - 1, {"max_steps": 3}))
    )
    assert (at_once.steps, in_two.steps, begun.steps) == (2, 4, 3)
    assert in_two.seconds == pytest.approx(at_once.seconds), "n - 1 items, then the one that is left, twice"
    assert begun.seconds == pytest.approx(at_once.seconds * (2 * n - 1) / (2 * n))
