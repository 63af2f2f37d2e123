"""(e) Are the rewards of customised models probabilities, as they are and after calibration?"""

from __future__ import annotations

import numpy as np

from experiments.budget.bench import Bench
from experiments.budget.cross import GENERAL, GENERAL_MODEL, scored_parts
from experiments.budget.front import POINTS
from experiments.real_data import DOMAINS
from rewardsmith.calibration.fitting import BEFORE, ISOTONIC, TEMPERATURE
from rewardsmith.calibration.maps import fit_isotonic, fit_slope
from rewardsmith.customization.parts import CERTIFY, TEST
from rewardsmith.evaluation.calibration import debiased_ece, debiased_ece_interval
from rewardsmith.evaluation.pairs import FloatArray, IntArray, PairTable, pair_table, prompt_weights
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.reporting.format import decimal_with_interval
from rewardsmith.reporting.tables import Table, to_markdown

_FOLDS = 5
_ORDER = (BEFORE, TEMPERATURE, ISOTONIC)


def section(bench: Bench) -> str:
    """Scores held-out parts, and tells of each model on what it is for: its domain, and the general preferences."""
    scored: dict[tuple[str, str], list[ScoredPreference]] = {}
    margins: dict[tuple[str, str], list[dict[str, FloatArray]]] = {}
    for name, column, found in scored_parts(bench, CERTIFY, TEST, across=False):
        table = pair_table(found)
        scored.setdefault((name, column), []).extend(found)
        margins.setdefault((name, column), []).append(_calibrated(table.margins, table.prompts))
    rows = []
    for row in [(GENERAL_MODEL, GENERAL), *((d, d) for d in DOMAINS), *((d, GENERAL) for d in DOMAINS)]:
        table = pair_table(scored[row])
        errors = (_error(np.concatenate([m[how] for m in margins[row]]), table) for how in _ORDER)
        rows.append((*row, f"{table.n_pairs:,}", *errors))
    return "\n\n".join(
        [
            "## (e) Are the rewards probabilities?",
            f"The models within {POINTS[0]:g} points of (a) on preferences that they were not trained on (a "
            f"domain's test part; the certify and test parts of the general sets), all {len(bench.seeds)} seeds read "
            "together: debiased ECE [95 %, by prompt] of σ of the reward margin, as it was, after one temperature for "
            "each kind of preferences, and after an isotonic map of the margin. Of "
            f"{_FOLDS} folds of the prompts each is calibrated by the others.",
            to_markdown(Table("", ("model", "preferences", "pairs", *_ORDER), tuple(rows))),
        ]
    )


def _calibrated(margins: FloatArray, prompts: IntArray) -> dict[str, FloatArray]:
    """The margins (n,) as they are, and by what was fitted on the folds that a pair's prompt is not in."""
    found = {how: margins.copy() for how in _ORDER}
    for k in range(_FOLDS):
        held_out = prompts % _FOLDS == k
        others, n = prompts[~held_out], len(np.unique(prompts[~held_out]))
        given = margins[~held_out], prompt_weights(others), n
        found[TEMPERATURE][held_out] *= fit_slope(*given)
        found[ISOTONIC][held_out] = fit_isotonic(*given).logits(margins[held_out])
    return found


def _error(margins: FloatArray, table: PairTable) -> str:
    given = margins, prompt_weights(table.prompts), table.clusters
    return decimal_with_interval(debiased_ece(*given), debiased_ece_interval(*given))
