"""How trivial rules do on the same pairs as the model: longer, shorter, bag of words.

A model that is no better than these has learnt a shortcut. The rules themselves live in `preferences.shortcuts`; here
their verdicts are laid beside the model's, pair by pair, and averaged in the same way.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from rewardsmith.evaluation.pairs import FloatArray, PairTable, prompt_weights
from rewardsmith.evaluation.ranking import mean_over_prompts
from rewardsmith.evaluation.result import Baseline
from rewardsmith.evaluation.statistics import cluster_bootstrap
from rewardsmith.preferences.record import Preference

BASELINES = ("longer", "shorter", "bag_of_words")

Verdicts = dict[str, FloatArray]
"""For one preference: rule -> (its pairs,) 1 right, 0 wrong, 0.5 undecided, in the order of `pairs()`. A rule that
could not be learnt is absent."""


def shortcut_verdicts(preferences: Sequence[Preference]) -> list[Verdicts]:
    """The rules' verdicts on each preference, bag of words under cross-validation by prompt over all of them.

    All preferences teach it, also those that the model failed on, so that it is the same for every model.
    """
    from rewardsmith.preferences import shortcuts

    table = shortcuts.pair_table(preferences)
    longer = shortcuts.longer_wins(table)
    words = shortcuts.bag_of_words_wins(table)
    flat = {"longer": longer, "shorter": 1.0 - longer} | ({} if words is None else {"bag_of_words": words})
    ends = np.cumsum([len(p.pairs()) for p in preferences])[:-1]
    parts = {name: np.split(values, ends) for name, values in flat.items()}
    return [{name: parts[name][k] for name in parts} for k in range(len(preferences))]


class ShortcutMemory:
    """Learns the shortcuts of the same preferences once, so that several models on one file do not pay for it again."""

    def __init__(self) -> None:
        self._learnt: dict[Hashable, tuple[Sequence[Preference], list[Verdicts]]] = {}

    def verdicts(self, key: Hashable, preferences: Sequence[Preference]) -> list[Verdicts]:
        """`shortcut_verdicts`, remembered under `key` for as long as the preferences are equal."""
        known = self._learnt.get(key)
        if known is None or known[0] != preferences:
            known = self._learnt[key] = (preferences, shortcut_verdicts(preferences))
        return known[1]


def baseline_figures(
    verdicts: Sequence[Verdicts], table: PairTable, *, seed: int = 0
) -> tuple[dict[str, Baseline], list[str]]:
    """Each rule's accuracy and interval over the pairs of `table`, and notes; `verdicts` in its preferences' order."""
    weights = prompt_weights(table.prompts)
    ranking = [v for v in verdicts if len(v["longer"])]
    figures, notes = {}, []
    for name in BASELINES:
        if not all(name in v for v in ranking) or not ranking:
            figures[name] = Baseline(accuracy=None, ci95=None)
            if ranking:
                notes.append(
                    f"baseline {name} is undefined: it takes two prompts to learn from one and test on another"
                )
            continue
        values = np.concatenate([v[name] for v in ranking])
        ci95 = cluster_bootstrap(values, table.clusters, weights, seed=seed)
        figures[name] = Baseline(accuracy=mean_over_prompts(values, table.prompts), ci95=ci95)
    return figures, notes
