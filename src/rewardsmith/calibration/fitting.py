"""What is fitted on one part, and what it is worth on another. Pure: no model, no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rewardsmith.calibration.laplace import posterior_factor
from rewardsmith.calibration.length import explained, fit_length, longer_preferred
from rewardsmith.calibration.maps import fit_isotonic, fit_slope
from rewardsmith.calibration.parts import Part
from rewardsmith.errors import DataError
from rewardsmith.evaluation.calibrated import Halves, LengthEffect, Reading
from rewardsmith.evaluation.calibration import (
    debiased_ece,
    debiased_ece_interval,
    negative_log_likelihood,
    plain_ece,
    reliability,
)
from rewardsmith.evaluation.pairs import BoolArray, FloatArray
from rewardsmith.evaluation.ranking import accuracy, accuracy_where, correctness, mean_over_prompts
from rewardsmith.evaluation.result import CalibrationBin
from rewardsmith.evaluation.statistics import cluster_bootstrap
from rewardsmith.evaluation.sureness import surer_half
from rewardsmith.modeling.calibration import IsotonicMap, LengthControl, moderated
from rewardsmith.modeling.posterior import Posterior

BEFORE, TEMPERATURE, ISOTONIC, MODERATED = "as it was", "temperature", "isotonic", "moderated"
"""Ways to read probabilities: σ of the margin as it was, and on the common scale; the monotone map; σ of the margin
that its uncertainty has moderated."""

MARGIN = "margin"
"""Sureness by the size of the margin alone, beside that by the moderated margin."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that is fitted; rewards are divided by `temperature` before anything else is done to them."""

    temperature: float
    offset: float
    isotonic: IsotonicMap
    length: LengthControl
    posterior: Posterior | None
    moderated_temperature: float | None

    def margins(self, part: Part) -> FloatArray:
        """(n,) on the common scale."""
        return part.table.margins / self.temperature

    def without_length(self, part: Part) -> FloatArray:
        """(n,) on the common scale, less what length alone explains."""
        return self.margins(part) - self.length.coefficient * part.steps

    def standard_errors(self, part: Part) -> FloatArray | None:
        """(n,) of the margins; None without a posterior."""
        return None if self.posterior is None else np.sqrt(self.posterior.variance(part.x))

    def readings(self, part: Part) -> dict[str, FloatArray]:
        """For each way to read probabilities, the margins (n,) whose σ they are."""
        found = {BEFORE: part.table.margins, TEMPERATURE: self.margins(part)}
        found[ISOTONIC] = self.isotonic.logits(found[TEMPERATURE])
        if self.posterior is not None and self.moderated_temperature is not None:
            variances = self.posterior.variance(part.x)
            found[MODERATED] = moderated(found[TEMPERATURE], variances) / self.moderated_temperature
        return found


def fit(part: Part, *, uncertainty: bool = True) -> Fitted:
    """Fits everything on one part.

    Raises:
        DataError: the rewards rank it no better than a coin, so that there is no scale to put them on.
    """
    n = part.table.n_prompts
    slope = fit_slope(part.table.margins, part.weights, n)
    if slope == 0:
        share = accuracy(part.table.margins, part.table.prompts)
        assert share is not None
        raise DataError(
            f"on the {n} prompts to fit on a higher reward is no sign of being preferred ({100 * share:.0f} % of pairs "
            "are ranked right): there is no scale to put these rewards on; give preferences of the kind that the "
            "model was trained for, or more of them"
        )
    margins = slope * part.table.margins
    rewards = [slope * r for r in part.rewards]
    posterior, moderated_temperature = None, None
    if uncertainty:
        posterior = Posterior(posterior_factor(part.x, margins, n * part.weights), part.mean)
        drawn = moderated(margins, posterior.variance(part.x))
        moderated_temperature = 1 / fit_slope(drawn, part.weights, n)
    return Fitted(
        temperature=1 / slope,
        offset=float(np.mean([r.mean() for r in rewards])),
        isotonic=fit_isotonic(margins, part.weights, n),
        length=fit_length(rewards, part.lengths),
        posterior=posterior,
        moderated_temperature=moderated_temperature,
    )


def read(margins: FloatArray, part: Part, seed: int) -> Reading:
    """How far σ of these margins of the part's pairs can be believed."""
    table, weights = part.table, part.weights
    return Reading(
        accuracy=accuracy(margins, table.prompts),
        ci95=cluster_bootstrap(correctness(margins), table.clusters, weights, seed=seed),
        nll=mean_over_prompts(negative_log_likelihood(margins), table.prompts),
        ece_plain=plain_ece(margins, weights, table.clusters),
        ece=debiased_ece(margins, weights, table.clusters),
        ece_ci95=debiased_ece_interval(margins, weights, table.clusters, seed=seed),
        slope=fit_slope(margins, weights, table.n_prompts),
        bins=[CalibrationBin(**vars(b)) for b in reliability(margins, weights, table.clusters)],
    )


def halves(readings: Mapping[str, FloatArray], part: Part, seed: int) -> dict[str, Halves]:
    """The surer half by the size of the margin alone, and by that of the moderated margin."""
    table, margins = part.table, readings[TEMPERATURE]
    by = {MARGIN: margins} | ({MODERATED: readings[MODERATED]} if MODERATED in readings else {})
    return {
        name: surer_half(np.abs(sureness), margins, part.weights, table.clusters, seed=seed)
        for name, sureness in by.items()
    }


def length_effect(before: FloatArray, after: FloatArray, part: Part, seed: int) -> LengthEffect:
    """What length does to the margins of a part, before and after it is taken out."""
    table, weights, steps = part.table, part.weights, part.steps
    change = correctness(after) - correctness(before)

    def both(keep: BoolArray) -> tuple[float | None, float | None]:
        return accuracy_where(before, table.prompts, keep), accuracy_where(after, table.prompts, keep)

    return LengthEffect(
        explained=(explained(before, steps, weights), explained(after, steps, weights)),
        longer_wins=longer_preferred(np.ones_like(steps), steps, weights),
        prefers_longer=(longer_preferred(before, steps, weights), longer_preferred(after, steps, weights)),
        accuracy=both(np.ones(len(steps), dtype=np.bool_)),
        longer_chosen=both(steps > 0),
        shorter_chosen=both(steps < 0),
        difference=mean_over_prompts(change, table.prompts),
        ci95=cluster_bootstrap(change, table.clusters, weights, seed=seed),
    )
