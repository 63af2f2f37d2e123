"""Who sees what: preferences that the model was not trained on, split by prompt into a part to fit on and one to test.

A part is laid out as arrays, a row for each ranked pair. Knows nothing of what is fitted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from rewardsmith.errors import DataError
from rewardsmith.evaluation.pairs import FloatArray, PairTable, pair_table, prompt_weights
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.modeling.calibration import log_lengths
from rewardsmith.preferences.record import Preference, content_hash
from rewardsmith.preferences.splitting import split_preferences

FIT, TEST = "fit", "test"

_OWN_DRAW = 104_729
"""Added to the seed: the model's own training part may have been drawn by the same hash, and the prompts that it left
out all lie at one end of it."""

Known = tuple[FloatArray, FloatArray]
"""Features [r, width] and rewards [r] of a preference's responses."""


@dataclass(frozen=True, eq=False)
class Part:
    """Preferences with what the model gives for them.

    table: margins, prompts and clusters of the n ranked pairs.
    weights: (n,) that add up to 1, the same for every prompt.
    x: [n, width] differences of features; steps: (n,) differences of log length, both chosen minus rejected.
    rewards, lengths: for each preference those of its responses.
    mean: [width] mean features over preferences.
    """

    table: PairTable
    weights: FloatArray
    x: FloatArray
    steps: FloatArray
    rewards: list[FloatArray]
    lengths: list[FloatArray]
    mean: FloatArray

    @classmethod
    def of(cls, preferences: Sequence[Preference], known: Sequence[Known]) -> Part:
        """Lays out preferences of which each ranks something."""
        lengths = [log_lengths(p.responses) for p in preferences]
        x, steps = [], []
        for p, (features, _), length in zip(preferences, known, lengths, strict=True):
            for i, j in p.pairs():
                x.append(features[i] - features[j])
                steps.append(length[i] - length[j])
        records = [ScoredPreference.of(p, r.tolist()) for p, (_, r) in zip(preferences, known, strict=True)]
        table = pair_table(records)
        if table.n_failed:
            raise DataError(f"{table.n_failed} preferences get rewards that are not finite; mend the model first")
        return cls(
            table=table,
            weights=prompt_weights(table.prompts),
            x=np.array(x),
            steps=np.array(steps),
            rewards=[r for _, r in known],
            lengths=lengths,
            mean=np.mean([features.mean(axis=0) for features, _ in known], axis=0),
        )


def split_unseen(
    source: str, preferences: Sequence[Preference], trained_on: Collection[str], *, share: float = 0.5, seed: int = 0
) -> tuple[dict[str, list[Preference]], list[str]]:
    """The parts to fit and to test on, and remarks on what was left out.

    Args:
        trained_on: hashes of the prompts that the model was trained on: on them it is surer than it should be.
        share: of the prompts, to fit on.

    Raises:
        DataError: a part would hold nothing.
    """
    notes: list[str] = []
    ranking = [p for p in preferences if p.pairs()]
    if not ranking:
        raise DataError(f"{source}: none of {len(preferences)} preferences ranks anything (all are ties or identical)")
    if len(ranking) < len(preferences):
        notes.append(f"{len(preferences) - len(ranking)} preferences rank nothing and are left out")
    seen = set(trained_on)
    unseen = [p for p in ranking if content_hash(p.prompt_key()) not in seen]
    if not unseen:
        raise DataError(f"{source}: the model was trained on the prompts of all of them; give held-out preferences")
    if len(unseen) < len(ranking):
        notes.append(f"{len(ranking) - len(unseen)} preferences left out, the model was trained on their prompts")
    parts = split_preferences(unseen, {FIT: share, TEST: 1 - share}, seed=seed + _OWN_DRAW)
    for part, kept in parts.items():
        if not kept:
            raise DataError(f"{source}: of {len(unseen)} preferences none is left to {part} on; give more")
    return parts, notes
