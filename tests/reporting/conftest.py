"""A result with several sets, domains, models and notes, made without a model."""

from __future__ import annotations

import numpy as np
import pytest

from rewardsmith.evaluation import EvaluationResult, ScoredPreference, summarise, summarise_models
from rewardsmith.preferences.record import Message, Preference


def _records(n_prompts: int, skill: float, seed: int, domains: tuple[str, ...]) -> list[ScoredPreference]:
    rng = np.random.default_rng(seed)
    return [
        ScoredPreference(
            Preference(
                id=f"{k}-{domain}",
                prompt=[Message(role="user", content=f"prompt {k}")],
                responses=["the first", "and the second answer"],
                scores=[1, 0],
                domain=domain,
            ),
            (skill * rng.random() + rng.normal(), rng.normal()),
        )
        for k in range(n_prompts)
        for domain in domains
    ]


@pytest.fixture(scope="session")
def result() -> EvaluationResult:
    scored = {
        name: {
            "helpful_and_harmless test": _records(80, skill, seed, ("general",)),
            "mine": _records(60, 2 * skill, seed + 9, ("academy", "business")),
        }
        for seed, (name, skill) in enumerate((("general", 1.0), ("custom [v2]", 3.0)))
    }

    return summarise_models(scored)


@pytest.fixture(scope="session")
def one_model(result: EvaluationResult) -> EvaluationResult:
    return EvaluationResult(models=result.models[:1])


@pytest.fixture(scope="session")
def nothing() -> EvaluationResult:
    return EvaluationResult(models=[summarise("m", {"empty": []})])
