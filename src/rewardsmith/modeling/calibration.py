"""What a calibrated model knows of its own rewards: their scale, their share of length, and how sure they are.

It is fitted in the calibration room; here is what is kept in `rewardsmith.json`, and how it is applied. The
temperature is in the head already, so that every tool that loads the checkpoint gives rewards on the common scale; all
else needs this. Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import expit, logit

from rewardsmith.preferences.record import Response, response_text

FloatArray = npt.NDArray[np.float64]


class IsotonicMap(BaseModel):
    """A monotone map from the size of a margin to the probability that the response with the higher reward is the
    preferred one: straight between its knots, level beyond them."""

    margins: list[float] = Field(min_length=2, description="Where the knots lie, rising from 0.")
    probabilities: list[float] = Field(description="Rising from 0.5, which a margin of 0 means.")

    @model_validator(mode="after")
    def _rising(self) -> IsotonicMap:
        if len(self.margins) != len(self.probabilities):
            raise ValueError("as many probabilities as margins")
        if any(np.diff(self.margins) < 0) or any(np.diff(self.probabilities) < 0):
            raise ValueError("margins and probabilities must rise")
        if (self.margins[0], self.probabilities[0]) != (0.0, 0.5):
            raise ValueError("a margin of 0 must mean 0.5")
        return self

    def probability(self, margins: FloatArray) -> FloatArray:
        """(n,) of margins (n,) in either orientation: g(-m) = 1 - g(m)."""
        return 0.5 + np.sign(margins) * (np.interp(np.abs(margins), self.margins, self.probabilities) - 0.5)

    def logits(self, margins: FloatArray) -> FloatArray:
        """(n,) the margins whose σ the probabilities are; of opposite margins exactly opposite."""
        logits: FloatArray = np.sign(margins) * logit(np.interp(np.abs(margins), self.margins, self.probabilities))
        return logits


class LengthControl(BaseModel):
    """What response length alone explains of a reward: `coefficient` for each unit of log length."""

    coefficient: float
    mean: float = Field(description="Mean log length of the responses it was fitted on; there nothing is changed.")

    def without(self, rewards: FloatArray, responses: Sequence[Response]) -> FloatArray:
        """(r,) rewards less what the responses' length alone explains."""
        return rewards - self.coefficient * (log_lengths(responses) - self.mean)


class Calibration(BaseModel):
    """What was fitted, on rewards on the common scale: one more is odds of e."""

    model_config = ConfigDict(extra="allow")

    head: str = Field(description="Hash of the last layer that it belongs to.")
    temperature: float = Field(gt=0, description="What the rewards were divided by; the head is scaled already.")
    offset: float = Field(description="Mean reward of the responses it was fitted on.")
    isotonic: IsotonicMap
    length: LengthControl
    moderated_temperature: float | None = Field(
        default=None, gt=0, description="Of margins that uncertainty has moderated; null without a posterior."
    )
    source: str
    n_prompts: int = Field(description="Prompts it was fitted on.")
    seed: int


def moderated(margins: FloatArray, variances: FloatArray) -> FloatArray:
    """(n,) margins drawn towards 0 by their uncertainty, m / sqrt(1 + π v / 8): σ of that is close to the mean of σ
    over N(m, v) (MacKay 1992, "The evidence framework applied to classification networks", equation 10)."""
    return margins / np.sqrt(1 + np.pi * variances / 8)


def moderated_probability(margins: FloatArray, variances: FloatArray, temperature: float) -> FloatArray:
    """(n,) probability that the response with the higher reward is the preferred one, uncertainty counted."""
    probability: FloatArray = expit(moderated(margins, variances) / temperature)
    return probability


def log_lengths(responses: Sequence[Response]) -> FloatArray:
    """(r,) log(1 + characters): twice as long is one step whatever the length, and no words need to be told apart."""
    return np.log1p([float(len(response_text(r))) for r in responses])
