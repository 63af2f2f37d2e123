"""(e) Are the rewards of customised models probabilities, as they are and after one temperature?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.budget.bench import Bench
from experiments.budget.cross import GENERAL, GENERAL_MODEL, scored_parts
from experiments.budget.front import POINTS
from experiments.real_data import DOMAINS
from rewardsmith.calibration.maps import fit_slope
from rewardsmith.customization.parts import CERTIFY, TEST
from rewardsmith.evaluation.calibration import debiased_ece, debiased_ece_interval
from rewardsmith.evaluation.pairs import pair_table, prompt_weights
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.preferences.splitting import hash_share
from rewardsmith.reporting.format import decimal_with_interval
from rewardsmith.reporting.tables import Table, to_markdown

_FOLDS = 5


def section(bench: Bench) -> str:
    """Scores held-out parts, and tells of each model on what it is for: its domain, and the general preferences."""
    before: dict[tuple[str, str], list[ScoredPreference]] = {}
    after: dict[tuple[str, str], list[ScoredPreference]] = {}
    temperatures: dict[tuple[str, str], list[float]] = {}
    for name, column, scored in scored_parts(bench, CERTIFY, TEST):
        if column not in (name, GENERAL):
            continue
        row = name, column
        before.setdefault(row, []).extend(scored)
        for scaled, temperature in _folds_by_the_others(scored):
            after.setdefault(row, []).extend(scaled)
            temperatures.setdefault(row, []).append(temperature)
    rows = []
    for row in [(GENERAL_MODEL, GENERAL), *((d, d) for d in DOMAINS), *((d, GENERAL) for d in DOMAINS)]:
        used = f"{min(temperatures[row]):.2f} to {max(temperatures[row]):.2f}"
        rows.append((*row, f"{pair_table(before[row]).n_pairs:,}", _error(before[row]), _error(after[row]), used))
    return "\n\n".join(
        [
            "## (e) Are the rewards probabilities?",
            f"The models within {POINTS[0]:g} points of (a) on preferences that they were not trained on (a "
            f"domain's test part; the certify and test parts of the general sets), all {len(bench.seeds)} seeds read "
            "together: debiased ECE [95 %, by prompt] of σ of the reward margin, as it was and after one temperature "
            f"for each kind of preferences. Of {_FOLDS} folds each takes the temperature that the others give.",
            to_markdown(
                Table("", ("model", "preferences", "pairs", "as it was", "temperature", "temperatures"), tuple(rows))
            ),
        ]
    )


def _folds_by_the_others(scored: Sequence[ScoredPreference]) -> list[tuple[list[ScoredPreference], float]]:
    """Each fold of the prompts, its rewards divided by the temperature of the other folds, and that temperature."""
    fold_of = [int(_FOLDS * hash_share(f"fold\0{s.preference.prompt_key()}")) for s in scored]
    found = []
    for k in range(_FOLDS):
        table = pair_table([s for s, fold in zip(scored, fold_of, strict=True) if fold != k])
        slope = fit_slope(table.margins, prompt_weights(table.prompts), table.n_prompts)
        held_out = [s for s, fold in zip(scored, fold_of, strict=True) if fold == k]
        scaled = [ScoredPreference.of(s.preference, [slope * r for r in s.rewards or ()]) for s in held_out]
        found.append((scaled, 1 / slope if slope else np.inf))
    return found


def _error(scored: Sequence[ScoredPreference]) -> str:
    table = pair_table(scored)
    given = table.margins, prompt_weights(table.prompts), table.clusters
    return decimal_with_interval(debiased_ece(*given), debiased_ece_interval(*given))
