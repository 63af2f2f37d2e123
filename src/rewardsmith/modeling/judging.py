"""Rewards as a calibrated model means them: on the common scale, without length if asked for, with their uncertainty.

It knows no files: `scoring` writes what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.errors import ModelError
from rewardsmith.modeling.calibration import FloatArray, moderated_probability
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Message, Response


@dataclass(frozen=True)
class Doubts:
    """How sure the rewards of a prompt's r responses are.

    standard_errors: (r,) of each reward above 0, the mean of the data that the model was calibrated on.
    margins, margin_errors, probabilities: (r - 1,) of each response, best first, above the next one; the probability
    that it is truly the preferred one. Errors of one prompt's responses go together, so those of margins are no sums.
    """

    standard_errors: list[float]
    margins: list[float]
    margin_errors: list[float]
    probabilities: list[float]


@dataclass(frozen=True)
class Judgement:
    """The rewards of a prompt's responses: 0 is an average response, and one more is odds of e."""

    rewards: list[float]
    doubts: Doubts | None = None


class Judge:
    """Judges responses with a calibrated model.

    Example:
        >>> judge = Judge(RewardModel.from_pretrained("runs/calibrated"), uncertainty=True)     # doctest: +SKIP
        >>> judge.judge("Why is the sky blue?", ["Rayleigh scattering.", "Ask the sky."]).doubts     # doctest: +SKIP
    """

    def __init__(self, model: RewardModel, *, length_controlled: bool = False, uncertainty: bool = False) -> None:
        """Raises ModelError where the model does not know what is asked for."""
        if model.calibration is None:
            changed = "its head was changed after it was calibrated" if model.info.calibration else "it is not"
            raise ModelError(
                f"this needs a calibrated model, and {changed}: rewardsmith calibrate MODEL --data FILE --out DIR"
            )
        if uncertainty and (model.posterior is None or model.calibration.moderated_temperature is None):
            raise ModelError("this model was calibrated without uncertainty (a mixture head, or a folder not whole)")
        self.model, self.calibration = model, model.calibration
        self.length_controlled, self.uncertainty = length_controlled, uncertainty

    def judge(self, prompt: str | Sequence[Message], responses: Sequence[Response]) -> Judgement:
        """The responses to one prompt."""
        dialogue = [Message(role="user", content=prompt)] if isinstance(prompt, str) else list(prompt)
        return self.judge_all(self.model.text.batch([(dialogue, r) for r in responses]), [responses])[0]

    def judge_all(
        self, sequences: Sequence[TokenizedResponse], responses: Sequence[Sequence[Response]]
    ) -> list[Judgement]:
        """The responses to several prompts, `sequences` being all of them as tokens, in order."""
        features, outputs = self.model.features_of(sequences)
        x, rewards = features.double().numpy(), outputs[:, 0].double().numpy() - self.calibration.offset
        ends = np.cumsum([len(r) for r in responses])[:-1]
        parts = zip(responses, np.split(x, ends), np.split(rewards, ends), strict=True)
        return [self._judgement(*part) for part in parts]

    def _judgement(self, responses: Sequence[Response], x: FloatArray, rewards: FloatArray) -> Judgement:
        if self.length_controlled:
            rewards = self.calibration.length.without(rewards, responses)
        return Judgement(rewards.tolist(), self._doubts(x, rewards) if self.uncertainty else None)

    def _doubts(self, x: FloatArray, rewards: FloatArray) -> Doubts:
        posterior, temperature = self.model.posterior, self.calibration.moderated_temperature
        assert posterior is not None and temperature is not None  # checked when it was made
        order = best_first(rewards.tolist())
        margins, variances = -np.diff(rewards[order]), posterior.variance(-np.diff(x[order], axis=0))
        return Doubts(
            standard_errors=np.sqrt(posterior.variance(x - posterior.mean)).tolist(),
            margins=margins.tolist(),
            margin_errors=np.sqrt(variances).tolist(),
            probabilities=moderated_probability(margins, variances, temperature).tolist(),
        )


def best_first(rewards: Sequence[float]) -> list[int]:
    """Response numbers in the order of their rewards; equal rewards keep their order."""
    return sorted(range(len(rewards)), key=lambda k: -rewards[k])
