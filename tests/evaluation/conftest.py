"""Small worlds to evaluate: preferences made from numbers, and scorers that are lookups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.preferences.record import Message, Preference

MakePreference = Callable[..., Preference]


def build_preference(
    prompt: str, scores: Sequence[float], texts: Sequence[str] | None = None, **fields: object
) -> Preference:
    """A preference with the given scores; the texts differ unless given."""
    responses = list(texts) if texts is not None else [f"answer {k}" for k in range(len(scores))]
    return Preference(
        id=str(fields.pop("id", prompt)),
        prompt=[Message(role="user", content=prompt)],
        responses=responses,
        scores=list(scores),
        **fields,  # type: ignore[arg-type]  # pydantic checks them
    )


@pytest.fixture(scope="session")
def preference() -> MakePreference:
    return build_preference


@pytest.fixture(scope="session")
def noisy_scored() -> Callable[..., list[ScoredPreference]]:
    """Records whose rewards are the scores times `skill` plus noise that one prompt's records share in part."""

    def make(n_prompts: int, *, skill: float = 1.0, seed: int = 0, data_seed: int = 0) -> list[ScoredPreference]:
        data, noise = np.random.default_rng(data_seed), np.random.default_rng([seed, 1])
        records = []
        for k in range(n_prompts):
            shared = noise.normal()
            for domain in ("academy", "business")[: 1 + int(data.integers(0, 2))]:
                r = int(data.integers(2, 5))
                scores = data.permutation(r).astype(float)
                rewards = skill * scores + noise.normal(size=r) + shared * np.arange(r)
                names = ["normal", "academy", "business", "literature"][:r]
                p = build_preference(f"prompt {k}", scores, id=f"{k}-{domain}", domain=domain, response_names=names)
                records.append(ScoredPreference(p, tuple(rewards.tolist())))
        return records

    return make
