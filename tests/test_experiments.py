"""The design of the paper's questions is balanced, and its effects are those of ordinary least squares."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import statsmodels.api as sm

from experiments.budget.stages import Setting, design, effects


def _staged() -> list[Setting]:
    return [s for s in design() if s.structure != "custom"]


def test_factors_are_balanced_against_one_another() -> None:
    settings = _staged()
    assert len(set(design())) == len(design()) == 14 and len({s.name for s in design()}) == 14
    for a, b in itertools.combinations(list(zip(*settings, strict=True)), 2):
        counts = Counter(zip(a, b, strict=True))
        assert len(counts) == len(set(a)) * len(set(b)) and len(set(counts.values())) == 1


def test_effects_are_those_of_least_squares() -> None:
    settings = _staged()
    y = np.random.default_rng(0).normal(size=len(settings))
    found = effects(settings, list(y))
    x = np.array(
        [
            [
                s.structure.startswith("base"),
                s.enrichment == "general stage",
                s.enrichment == "custom stage",
                s.imitate_general,
                s.imitate_custom,
            ]
            for s in settings
        ],
        float,
    )
    peer = sm.OLS(y, sm.add_constant(x)).fit()
    for k, (effect, interval) in enumerate(found.values(), start=1):
        assert effect == pytest.approx(peer.params[k])
        assert interval == pytest.approx(tuple(peer.conf_int(0.05)[k]))
