"""Is a later evaluation about the general preferences that a certificate stands on?

A certificate holds for one distribution of prompts. The model keeps a sample of it, as features; what it is later
evaluated on is held against that by a two-sample test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rewardsmith.customization.candidates import KeptOption, Option
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.evaluation.shift import TwoSampleTest, two_sample_test
from rewardsmith.modeling.reference import Reference, prompt_rows, prompt_sample
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.scoring import ModelScorer
from rewardsmith.preferences.record import Preference
from rewardsmith.reporting.format import decimal, p_value

FEWEST = 40
"""Prompts of a set below which nothing is said: only the crudest shift could be told."""

_LEVEL = 0.05
"""Chance of a warning, over all sets of an evaluation, where each is like one of the certified ones."""


def reference_of(option: Option, model: RewardModel, certified: Mapping[str, Sequence[Preference]]) -> Reference:
    """A sample of the certify part of every set, as the candidate's `model` reads it."""
    samples = {name: prompt_sample(preferences) for name, preferences in certified.items()}
    return Reference({name: prompt_rows(sample, _features(option, model, sample)) for name, sample in samples.items()})


def _features(option: Option, model: RewardModel, preferences: Sequence[Preference]) -> list[FloatArray]:
    if isinstance(option, KeptOption):  # it reads what the general model does, and that is kept
        return [features for features, _ in option.bank.of(preferences)]
    sequences = model.text.batch([(p.prompt, r) for p in preferences for r in p.responses])
    features, _ = model.features_of(sequences)
    return np.split(features.double().numpy(), np.cumsum([len(p.responses) for p in preferences])[:-1])


class ShiftCheck:
    """Holds the general sets of an evaluation against those that a model's certificate stands on.

    General are sets that hold nothing of the model's own domains. Prompts that the model was trained on are left out.
    """

    def __init__(self, scorer: ModelScorer, sets: Mapping[str, Sequence[Preference]]) -> None:
        """Before the scorer scores the sets: their features come from that pass."""
        self._scorer = scorer
        self._samples: dict[str, list[Preference]] = {}
        if scorer.model.reference is None:
            return
        own = set(scorer.model.info.domains)
        for name, preferences in sets.items():
            if not own & {p.domain for p in preferences}:
                unseen = [p for p, seen in zip(preferences, scorer.seen(preferences), strict=True) if not seen]
                self._samples[name] = prompt_sample(unseen)
                scorer.watch(self._samples[name])

    def remarks(self) -> list[str]:
        """Warnings, after the scorer has scored the sets."""
        found = []
        for name, sample in self._samples.items():
            test = self._nearest(prompt_rows(sample, self._scorer.features(sample)))
            if test is not None and test.p_value < _LEVEL / len(self._samples):
                found.append(
                    f"the general pairs of '{name}' look different from those that the certificate of "
                    f"{self._scorer.name} stands on: it says nothing about them (a classifier tells the prompts "
                    f"apart with an AUC of {decimal(test.auc, 2)}, p {p_value(test.p_value)})"
                )
        return found

    def _nearest(self, rows: FloatArray) -> TwoSampleTest | None:
        """The test against that certified set which is least different; None where there are too few prompts to say.

        A set like any of the certified ones has a p-value at least as large as that one's: the level holds.
        """
        reference = self._scorer.model.reference
        assert reference is not None
        tests = [two_sample_test(own, rows) for own in reference.rows.values() if min(len(own), len(rows)) >= FEWEST]
        return max(tests, key=lambda t: t.p_value, default=None)
