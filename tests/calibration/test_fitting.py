"""Length, uncertainty and sureness against plain formulas, and what is fitted against worlds whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit

from rewardsmith.calibration.fitting import (
    BEFORE,
    ISOTONIC,
    MODERATED,
    TEMPERATURE,
    fit,
    halves,
    length_effect,
    read,
)
from rewardsmith.calibration.laplace import posterior_factor
from rewardsmith.calibration.length import explained, fit_length, longer_preferred
from rewardsmith.calibration.parts import Part
from rewardsmith.errors import DataError
from rewardsmith.evaluation.sureness import surer_half
from rewardsmith.modeling.calibration import moderated


def test_length_is_ordinary_least_squares_with_a_dummy_for_each_prompt() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    lengths = [rng.normal(size=r) for r in (2, 3, 5, 2, 4)]
    rewards = [7.0 * k + 0.8 * x + rng.normal(size=len(x)) for k, x in enumerate(lengths)]
    dummies = np.repeat(np.eye(5), [len(x) for x in lengths], axis=0)
    peer = sm.OLS(np.concatenate(rewards), np.column_stack([np.concatenate(lengths), dummies])).fit()
    found = fit_length(rewards, lengths)
    assert found.coefficient == pytest.approx(peer.params[0])
    assert found.mean == pytest.approx(np.concatenate(lengths).mean())
    assert fit_length(rewards[:1], [np.ones(2)]).coefficient == 0.0


def test_explained_is_the_square_of_the_correlation_of_pairs_in_both_orientations() -> None:
    rng = np.random.default_rng(1)
    steps, w = rng.normal(size=60), np.full(60, 1 / 60)
    margins = steps + rng.normal(size=60)
    both = np.corrcoef(np.concatenate([margins, -margins]), np.concatenate([steps, -steps]))[0, 1]
    assert explained(margins, steps, w) == pytest.approx(both**2)
    assert explained(margins, np.zeros(60), w) is None
    assert longer_preferred(np.array([1.0, -1.0, 2.0, 0.0]), np.array([1.0, 1.0, 0.0, 3.0]), np.full(4, 0.25)) == 0.5


def test_the_posterior_is_the_inverse_of_the_hessian() -> None:
    rng = np.random.default_rng(2)
    x, margins, weights = rng.normal(size=(30, 4)) * [1, 10, 0.1, 3], rng.normal(size=30), rng.random(30)
    spread = np.diag(np.sqrt((weights[:, None] * x**2).sum(axis=0) / weights.sum()))
    p = expit(margins)
    precision = (weights @ ((x @ np.linalg.inv(spread)) ** 2).sum(axis=1)) / (weights @ margins**2)
    hessian = sum(w * q * (1 - q) * np.outer(v, v) for w, q, v in zip(weights, p, x, strict=True))
    wanted = np.linalg.inv(hessian + precision * spread**2)
    factor = posterior_factor(x, margins, weights)
    np.testing.assert_allclose(factor.T @ factor, wanted, rtol=1e-8)


def test_without_pairs_that_tell_the_prior_has_the_spread_of_the_margins() -> None:
    rng = np.random.default_rng(3)
    x, margins = rng.normal(size=(50, 6)), rng.normal(scale=0.7, size=50)
    factor = posterior_factor(x, margins, np.full(50, 1e-9))
    assert ((x @ factor.T) ** 2).sum(axis=1).mean() == pytest.approx((margins**2).mean())


def test_the_posterior_covers_the_head_that_made_the_verdicts() -> None:
    """Heads drawn from the prior, learnt by their posterior mode: the errors of margins are as large as stated."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    z = []
    for _ in range(60):
        head, x = rng.normal(size=5), rng.normal(size=(80, 5))
        y = rng.random(80) < expit(x @ head)
        mode = LogisticRegression(C=1.0, fit_intercept=False).fit(x, y).coef_[0]
        factor = posterior_factor(x, x @ mode, np.ones(80))
        new = rng.normal(size=(20, 5))
        z.append((new @ (head - mode)) / np.sqrt(((new @ factor.T) ** 2).sum(axis=1)))
    assert np.std(np.concatenate(z)) == pytest.approx(1.0, abs=0.15)


def test_moderation_is_close_to_the_mean_of_the_sigmoid() -> None:
    noise = np.random.default_rng(5).normal(size=200_000)
    for m, v in ((0.5, 1.0), (2.0, 4.0), (-1.0, 0.3)):
        wanted = expit(m + np.sqrt(v) * noise).mean()
        assert expit(moderated(np.array([m]), np.array([v])))[0] == pytest.approx(wanted, abs=0.01)


def test_halves_are_what_sorting_gives_and_their_interval_covers() -> None:
    rng = np.random.default_rng(6)
    covered = []
    for seed in range(60):
        size = rng.uniform(0, 2, size=200)
        margins = np.where(rng.random(200) < np.where(size > 1, 0.8, 0.6), size, -size)
        found = surer_half(size, margins, np.full(200, 1 / 200), np.arange(200), seed=seed)
        order = np.argsort(-size)
        right = margins[order] > 0
        assert (found.surer, found.rest) == pytest.approx((right[:100].mean(), right[100:].mean()))
        assert found.ci95 is not None
        covered.append(found.ci95[0] <= 0.2 <= found.ci95[1])
    assert np.mean(covered) > 0.85
    assert surer_half(np.ones(1), np.ones(1), np.ones(1), np.zeros(1, np.int64)).difference is None


def test_a_model_on_a_wrong_scale_is_mended(made_up: Callable[..., Part]) -> None:
    first, test = (made_up(1200, temperature=4.0, seed=seed) for seed in (0, 1))
    fitted = fit(first)
    assert fitted.temperature == pytest.approx(4.0, rel=0.15)
    readings = {way: read(margins, test, 0) for way, margins in fitted.readings(test).items()}
    assert list(readings) == [BEFORE, TEMPERATURE, ISOTONIC, MODERATED]
    assert readings[BEFORE].ece is not None and readings[BEFORE].ece > 0.1
    assert readings[BEFORE].accuracy == readings[TEMPERATURE].accuracy == readings[MODERATED].accuracy
    for way in (TEMPERATURE, ISOTONIC, MODERATED):
        found = readings[way]
        assert found.ece is not None and found.ece < 0.06 and found.ece_ci95 is not None and found.nll is not None
        assert found.nll < readings[BEFORE].nll
    assert readings[TEMPERATURE].slope == pytest.approx(1.0, abs=0.15)
    means = [r.mean() for r in first.rewards]
    assert fitted.offset == pytest.approx(np.mean(means) / fitted.temperature)
    assert all(h.difference is not None and h.difference > 0.1 for h in halves(fitted.readings(test), test, 0).values())


def test_length_that_was_put_in_is_taken_out(made_up: Callable[..., Part]) -> None:
    part = made_up(1200, length=1.5, temperature=1.0)
    fitted = fit(part, uncertainty=False)
    assert fitted.length.coefficient * fitted.temperature == pytest.approx(1.5, abs=0.15)
    effect = length_effect(fitted.margins(part), fitted.without_length(part), part, 0)
    assert effect.explained[0] > 0.05 > 0.01 > effect.explained[1]
    assert effect.prefers_longer[0] > 0.55 > effect.prefers_longer[1] > 0.45
    assert effect.difference is not None and effect.difference < 0 and effect.accuracy[0] > effect.accuracy[1]
    assert set(fitted.readings(part)) == {BEFORE, TEMPERATURE, ISOTONIC} and fitted.standard_errors(part) is None


def test_a_model_that_knows_nothing_is_refused(made_up: Callable[..., Part]) -> None:
    with pytest.raises(DataError, match=r"a higher reward is no sign of being preferred \(\d+ % of pairs"):
        fit(made_up(60, temperature=-1.0))
