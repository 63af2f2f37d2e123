"""The flat view of scored preferences that all pair figures are computed from: one row for each ranked pair.

Which pairs rank something is decided by the record (`Preference.pairs()`); here they only get their margins,
their prompt and their cluster. Knows nothing of figures.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
import numpy.typing as npt

from rewardsmith.errors import UserError
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.preferences.record import PLAIN, Preference
from rewardsmith.preferences.splitting import GroupBy, group_key

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PairTable:
    """The n ranked pairs of the preferences that did not fail, and the counts of what was left out.

    margins: (n,) reward of the chosen minus reward of the rejected response.
    prompts, clusters: (n,) indices from 0 of the pair's prompt and of its unit of resampling.
    named: (n,) whether the responses' names are known; plain: (n,) whether one of them is the plain answer.
    n_ties, n_identical: response pairs (of preferences that did not fail) that rank nothing because the scores are
    equal, or because the texts are; a pair that is both counts as identical. With the n pairs they add up to all.
    """

    margins: FloatArray
    prompts: IntArray
    clusters: IntArray
    named: BoolArray
    plain: BoolArray
    n_preferences: int
    n_failed: int
    n_ties: int
    n_identical: int

    @property
    def n_pairs(self) -> int:
        return len(self.margins)

    @property
    def n_prompts(self) -> int:
        """Prompts with a ranked pair, over which the means are taken."""
        return len(np.unique(self.prompts))

    @property
    def n_clusters(self) -> int:
        return len(np.unique(self.clusters))


def pair_table(scored: Sequence[ScoredPreference], cluster: GroupBy = "prompt") -> PairTable:
    """The table of all ranked pairs, in the order of the preferences and of their `pairs()`.

    Raises DataError when clusters by annotator are asked for and a preference has none.
    """
    margins: list[float] = []
    prompts: list[str] = []
    clusters: list[Hashable] = []
    named: list[bool] = []
    plain: list[bool] = []
    n_failed = n_ties = n_identical = 0
    for record in scored:
        preference, rewards = record.preference, record.usable_rewards()
        if rewards is None:
            n_failed += 1
            continue
        ties, identical = _unranked(preference)
        n_ties, n_identical = n_ties + ties, n_identical + identical
        pairs = preference.pairs()
        key, names = preference.prompt_key(), preference.response_names
        margins += [rewards[i] - rewards[j] for i, j in pairs]
        prompts += [key] * len(pairs)
        clusters += [group_key(preference, cluster)] * len(pairs)
        named += [names is not None] * len(pairs)
        plain += [names is not None and PLAIN in (names[i], names[j]) for i, j in pairs]
    return PairTable(
        margins=np.array(margins, dtype=np.float64),
        prompts=_indices(prompts),
        clusters=_indices(clusters),
        named=np.array(named, dtype=np.bool_),
        plain=np.array(plain, dtype=np.bool_),
        n_preferences=len(scored),
        n_failed=n_failed,
        n_ties=n_ties,
        n_identical=n_identical,
    )


def prompt_weights(prompts: IntArray) -> FloatArray:
    """(n,) weights that add up to 1 and give every prompt the same share, however many pairs it has."""
    _, inverse, counts = np.unique(prompts, return_inverse=True, return_counts=True)
    weights: FloatArray = 1.0 / (len(counts) * counts[inverse]) if len(counts) else np.empty(0)
    return weights


def _unranked(preference: Preference) -> tuple[int, int]:
    """Unordered response pairs with (different texts but equal scores, identical texts)."""
    responses, scores = preference.responses, preference.scores
    ties = identical = 0
    for i in range(len(responses)):
        for j in range(i):
            if responses[i] == responses[j]:
                identical += 1
            elif scores[i] == scores[j]:
                ties += 1
    return ties, identical


def _indices(keys: Iterable[Hashable]) -> IntArray:
    """Keys as indices in order of first appearance."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)


def cluster_named(name: str) -> GroupBy:
    """The unit of that name; raises UserError for another."""
    for cluster in get_args(GroupBy):
        if name == cluster:
            return cast(GroupBy, cluster)
    raise UserError(f"intervals cannot be taken by {name!r}; choose prompt or annotator")
