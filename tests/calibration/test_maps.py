"""The two maps against statsmodels, a known temperature, and the min-max formula of isotonic regression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from rewardsmith.calibration.maps import fit_isotonic, fit_slope, platt_target

ENOUGH = 10**9
"""Units so many that Platt's targets are 1."""


def drawn(n: int, slope: float, seed: int = 0) -> np.ndarray:
    """Margins of chosen minus rejected whose verdicts have odds exp(slope x margin)."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(scale=2.0, size=n)
    return np.where(rng.random(n) < expit(slope * margins), margins, -margins)


def test_the_slope_is_that_of_weighted_logistic_regression() -> None:
    import statsmodels.api as sm

    margins, weights = drawn(300, 0.6), np.random.default_rng(1).random(300)
    flip = np.random.default_rng(2).random(300) < 0.5
    x, y = np.where(flip, -margins, margins), (~flip).astype(float)
    peer = sm.GLM(y, x, family=sm.families.Binomial(), freq_weights=weights).fit()
    assert fit_slope(margins, weights / weights.sum(), ENOUGH) == pytest.approx(peer.params[0], rel=1e-6)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_a_known_temperature_comes_back(temperature: float) -> None:
    margins = temperature * drawn(20_000, 1.0, seed=3)
    assert 1 / fit_slope(margins, np.full(20_000, 1 / 20_000), 20_000) == pytest.approx(temperature, rel=0.05)


def test_pairs_that_are_all_right_prove_only_so_much() -> None:
    """With one size of margin the probability ends at Platt's target."""
    slope = fit_slope(np.full(8, 3.0), np.full(8, 1 / 8), 8)
    assert expit(slope * 3.0) == pytest.approx(platt_target(8)) == pytest.approx(0.9)


@pytest.mark.parametrize("margins", [[0.0, 0.0], [-1.0, -2.0], [1.0, -1.0]])
def test_rewards_that_say_nothing_have_no_slope(margins: list[float]) -> None:
    assert fit_slope(np.array(margins), np.full(2, 0.5), 2) == 0.0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-8, 8).filter(bool), st.integers(1, 3)), min_size=1, max_size=14))
def test_isotonic_is_the_min_max_formula_in_both_orientations(pairs: list[tuple[int, int]]) -> None:
    margins, weights = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    weights /= weights.sum()
    found = fit_isotonic(margins, weights, ENOUGH)
    x = np.concatenate([margins, -margins])
    y, w = np.repeat([1.0, 0.0], len(margins)), np.tile(weights, 2)
    knots = np.unique(x)
    mass = np.array([w[x == k].sum() for k in knots])
    mean = np.array([(w * y)[x == k].sum() for k in knots]) / mass
    for i, knot in enumerate(knots):
        # max over starts up to i of the min over ends from i on of the mean between them (Barlow et al. 1972)
        wanted = max(
            min(np.average(mean[a : b + 1], weights=mass[a : b + 1]) for b in range(i, len(knots)))
            for a in range(i + 1)
        )
        assert found.probability(np.array([knot]))[0] == pytest.approx(wanted, abs=1e-7)


@settings(max_examples=30)
@given(st.integers(1, 400), st.integers(0, 50))
def test_isotonic_is_antisymmetric_monotone_and_never_certain(n: int, seed: int) -> None:
    found = fit_isotonic(drawn(n, 1.0, seed), np.full(n, 1 / n), n)
    grid = np.linspace(-9, 9, 61)
    p = found.probability(grid)
    assert np.all(np.diff(p) >= 0) and p.max() <= platt_target(n)
    np.testing.assert_allclose(p + p[::-1], 1.0, atol=1e-12)
    np.testing.assert_array_equal(found.logits(grid), -found.logits(-grid))
    np.testing.assert_allclose(expit(found.logits(grid)), p, atol=1e-9)


def test_isotonic_finds_a_curve_that_no_temperature_has() -> None:
    """Small margins mean nothing, large ones are right in nine of ten."""
    rng = np.random.default_rng(5)
    size = rng.uniform(0, 4, size=8000)
    margins = np.where(rng.random(8000) < np.where(size < 2, 0.5, 0.9), size, -size)
    found = fit_isotonic(margins, np.full(8000, 1 / 8000), 8000)
    np.testing.assert_allclose(found.probability(np.array([0.7, 1.3, 2.7, 3.3])), [0.5, 0.5, 0.9, 0.9], atol=0.04)
