"""Trivial baselines: how well the pairs can be told apart without a reward model.

The longer response wins, the shorter wins, and a linear bag-of-words model under cross-validation by prompt. A reward
model has to beat them, and data on which they do well may teach little else. Accuracy is, as everywhere in this
project, the mean over prompts of the share of a prompt's pairs that are ranked right; a draw counts one half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rewardsmith.errors import DataError
from rewardsmith.preferences.record import Preference, response_text
from rewardsmith.preferences.splitting import hash_share

Floats = NDArray[np.float64]
MOST_PAIRS = 5000
FOLDS = 5
HASHED_WORDS = 2**16


@dataclass(frozen=True, slots=True)
class PairTable:
    """All pairs that some preferences rank, one row a pair: texts, names, and the number of the pair's prompt."""

    chosen: list[str]
    rejected: list[str]
    names: list[tuple[str | None, str | None]]
    prompts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chosen)

    def without(self, names: Collection[str]) -> NDArray[np.bool_]:
        """Shape (pairs,): true where neither response was given by one of `names`, e.g. `{"normal"}`."""
        return np.array([a not in names and b not in names for a, b in self.names], dtype=bool)

    def rows(self, positions: NDArray[np.int64]) -> PairTable:
        """The table of some of the pairs."""
        kept = [int(position) for position in positions]
        return PairTable(
            [self.chosen[k] for k in kept],
            [self.rejected[k] for k in kept],
            [self.names[k] for k in kept],
            self.prompts[kept],
        )


class Baseline(BaseModel):
    """An accuracy in [0, 1] with its 95 % interval from a bootstrap over prompts."""

    model_config = ConfigDict(frozen=True)

    accuracy: float
    low: float
    high: float


class ShortcutReport(BaseModel):
    """What the trivial baselines reach. `bag_of_words` is null where there are not two prompts to hold one out."""

    model_config = ConfigDict(frozen=True)

    pairs: int = Field(description="Pairs looked at.")
    all_pairs: int = Field(description="Pairs there are; more than `pairs` when whole prompts were sampled for speed.")
    prompts: int
    longer: Baseline
    shorter: Baseline
    bag_of_words: Baseline | None


def shortcut_baselines(
    preferences: Sequence[Preference], *, without: Collection[str] = (), seed: int = 0
) -> ShortcutReport:
    """The three baselines on the pairs of `preferences`, leaving out pairs with a response by one of `without`.

    More than 5000 pairs are cut to about as many by drawing whole prompts, by hash. Raises DataError without pairs.
    """
    table = pair_table(preferences)
    if without:
        table = table.rows(np.flatnonzero(table.without(without)))
    if not len(table):
        raise DataError("no pair ranks anything: all are ties or identical, so shortcuts cannot be measured")
    sample = sampled(table, seed)
    longer = longer_wins(sample)
    words = bag_of_words_wins(sample)
    return ShortcutReport(
        pairs=len(sample),
        all_pairs=len(table),
        prompts=len(np.unique(sample.prompts)),
        longer=measured(longer, sample.prompts, seed),
        shorter=measured(1.0 - longer, sample.prompts, seed),
        bag_of_words=None if words is None else measured(words, sample.prompts, seed),
    )


def pair_table(preferences: Sequence[Preference]) -> PairTable:
    """One row for each pair that each preference ranks, in order."""
    table = PairTable([], [], [], np.zeros(0, dtype=np.int64))
    numbers: dict[str, int] = {}
    prompts = []
    for preference in preferences:
        prompt = numbers.setdefault(preference.prompt_key(), len(numbers))
        names: Sequence[str | None] = preference.response_names or [None] * len(preference.responses)
        for i, j in preference.pairs():
            table.chosen.append(response_text(preference.responses[i]))
            table.rejected.append(response_text(preference.responses[j]))
            table.names.append((names[i], names[j]))
            prompts.append(prompt)
    return PairTable(table.chosen, table.rejected, table.names, np.array(prompts, dtype=np.int64))


def sampled(table: PairTable, seed: int, most: int = MOST_PAIRS) -> PairTable:
    """The table itself, or whole prompts of it in hashed order until there are `most` pairs."""
    if len(table) <= most:
        return table
    rank = np.argsort([hash_share(f"{seed}\0{prompt}") for prompt in range(int(table.prompts.max()) + 1)])
    pairs_of = np.bincount(table.prompts, minlength=len(rank))
    kept = rank[: int(np.searchsorted(np.cumsum(pairs_of[rank]), most)) + 1]
    return table.rows(np.flatnonzero(np.isin(table.prompts, kept)))


def longer_wins(table: PairTable) -> Floats:
    """Shape (pairs,): 1 where the chosen response has more characters, 0.5 where both have as many, else 0."""
    differences = [len(a) - len(b) for a, b in zip(table.chosen, table.rejected, strict=True)]
    return _wins(np.array(differences, dtype=np.float64))


def bag_of_words_wins(table: PairTable) -> Floats | None:
    """Shape (pairs,): 1 where a bag-of-words model that never saw the prompt is right; None below two prompts.

    Logistic regression without intercept on the difference of the two hashed word sets (each of length 1). Hashing has
    no vocabulary to learn, so nothing of a held-out prompt is seen.
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    folds = min(FOLDS, len(np.unique(table.prompts)))
    if folds < 2:
        return None
    hashing: Any = HashingVectorizer(n_features=HASHED_WORDS, binary=True, alternate_sign=False)
    differences = (hashing.transform(table.chosen) - hashing.transform(table.rejected)).tocsr()
    differences = differences[:, np.unique(differences.indices)]  # a column of zeros costs time and changes nothing
    if differences.shape[1] == 0:  # all pairs hold the same words: none can be told
        return np.full(len(table), 0.5)
    # every other pair is turned round: two classes are needed, and without intercept the fit is the same
    sign = np.where(np.arange(len(table)) % 2, 1.0, -1.0)
    turned = differences.multiply(sign[:, None]).tocsr()
    wins = np.zeros(len(table))
    for train, test in GroupKFold(folds).split(turned, groups=table.prompts):
        if len(np.unique(sign[train])) < 2:
            return None
        model = LogisticRegression(fit_intercept=False, solver="liblinear").fit(turned[train], sign[train])
        wins[test] = _wins(model.decision_function(differences[test]))
    return wins


def measured(correct: Floats, prompts: NDArray[np.int64], seed: int = 0, resamples: int = 1000) -> Baseline:
    """Accuracy of per-pair correctness (1, 0.5, 0), with the 95 % percentile interval of a bootstrap over prompts."""
    means = prompt_means(correct, prompts)
    draws = np.random.default_rng(seed).integers(0, len(means), size=(resamples, len(means)))
    low, high = np.quantile(means[draws].mean(axis=1), [0.025, 0.975])
    return Baseline(accuracy=float(means.mean()), low=float(low), high=float(high))


def prompt_means(correct: Floats, prompts: NDArray[np.int64]) -> Floats:
    """Shape (prompts,): each prompt's share of pairs ranked right."""
    _, group = np.unique(prompts, return_inverse=True)
    means: Floats = np.bincount(group, weights=correct) / np.bincount(group)
    return means


def _wins(differences: Floats) -> Floats:
    wins: Floats = np.heaviside(differences, 0.5)
    return wins
