"""The design of the paper's questions is balanced, its outcomes are read from what a run writes, and its effects are
those of ordinary least squares."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from rich.console import Console

from experiments.budget.bench import Bench
from experiments.budget.stages import Setting, _outcome, design, effects, general_stage, over_seeds
from experiments.real_data import DOMAINS, GENERAL_SETS
from rewardsmith.evaluation.evaluate import evaluate_models
from rewardsmith.evaluation.result import save_result
from rewardsmith.evaluation.scored import Scorer
from rewardsmith.preferences.record import Preference


def _staged() -> list[Setting]:
    return [s for s in design() if s.structure != "custom"]


def test_factors_are_balanced_against_one_another() -> None:
    settings = _staged()
    assert len(set(design())) == len(design()) == 14 and len({s.name for s in design()}) == 14
    for a, b in itertools.combinations(list(zip(*settings, strict=True)), 2):
        counts = Counter(zip(a, b, strict=True))
        assert len(counts) == len(set(a)) * len(set(b)) and len(set(counts.values())) == 1


def test_effects_are_those_of_least_squares() -> None:
    settings = _staged()
    y = np.random.default_rng(0).normal(size=(len(settings), 3))
    found = effects(settings, y)
    x = np.array(
        [
            [
                s.structure.startswith("base"),
                s.enrichment == "general stage",
                s.enrichment == "custom stage",
                s.imitate_general,
                s.imitate_custom,
            ]
            for s in settings
        ],
        float,
    )
    for seed in range(3):
        peer = sm.OLS(y[:, seed], sm.add_constant(x)).fit()
        assert [effect[seed] for effect in found.values()] == pytest.approx(list(peer.params[1:]))


def test_a_general_stage_is_held_against_none_where_nothing_is_enriched() -> None:
    worth = {"custom": 1.0, "general + custom": 3.0, "base + general + custom": 50.0}
    values = np.array(
        [[worth[s.structure] + (100 if s.enrichment != "none" else 0)] * 2 for s in design()] + np.array([0.0, 7.0])
    )
    assert list(general_stage(design(), values)) == [2.0, 2.0]


def test_an_effect_over_seeds_has_the_interval_of_students_t_test() -> None:
    values = np.array([0.023, 0.030, -0.002])
    low, high = sm.stats.DescrStatsW(values).tconfint_mean()
    assert over_seeds(values) == f"+1.7 [{100 * low:.1f}, +{100 * high:.1f}] (+2.3, +3.0, -0.2)"


def test_an_outcome_is_read_from_a_result_with_a_set_for_each_domain_and_recorded(tmp_path: Path) -> None:
    def preferences(domain: str) -> list[Preference]:
        prompt = [{"role": "user", "content": domain}]
        return [Preference(id=domain, prompt=prompt, responses=["a", "b"], scores=[1, 0], domain=domain)]

    def ranks(*liked: str) -> Scorer:
        """Ranks those domains right and the others wrong."""
        return lambda some: [[1.0, 0.0] if p.domain in liked else [0.0, 1.0] for p in some]

    first, *others = DOMAINS
    scorers = {first: ranks(first, *GENERAL_SETS)} | {domain: ranks(domain) for domain in others}
    sets = {name: preferences(name) for name in (*DOMAINS, *GENERAL_SETS)}
    setting = design()[0]
    result = evaluate_models(scorers, sets, baselines=False)
    save_result(tmp_path / "stages" / f"{setting.name}-3" / "result.json", result)
    bench = Bench("unused", tmp_path, tmp_path, tmp_path, (3,), 0, Console())
    found = _outcome(bench, setting, 3)
    assert (found.custom, found.general) == (1.0, 0.25)
    shutil.rmtree(tmp_path / "stages")
    assert _outcome(bench, setting, 3) == found
