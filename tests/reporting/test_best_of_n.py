"""Table and plot of best-of-n, from its typed result alone, also where intervals are undefined."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rewardsmith.evaluation.optimisation import CEILING, LONGER, curves_of
from rewardsmith.reporting.best_of_n import best_of_n_table, plot_best_of_n
from rewardsmith.reporting.tables import to_markdown


def rewards(n_prompts: int, n_samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_prompts, n_samples))


def test_the_table_has_a_row_for_each_proxy() -> None:
    gold = rewards(20, 16, 0)
    curves = curves_of({"proxy": gold + rewards(20, 16, 1), LONGER: rewards(20, 16, 2)}, {"gold": gold})
    table = best_of_n_table(curves)
    assert [row[:2] for row in table.rows] == [("gold", "proxy"), ("gold", LONGER), ("gold", CEILING)]
    assert table.columns[2:4] == ("n = 4 [95%]", "n = 16 [95%]")
    best = curves["gold"][CEILING].points[-1].gain
    assert table.rows[-1][3].startswith(f"{best:.2f} [") and table.rows[-1][4:] == ("16 [16, 16]", "0.00", "0.00")


def test_one_prompt_has_figures_and_no_intervals(tmp_path: Path) -> None:
    gold = rewards(1, 2, 0)
    curves = curves_of({"proxy": -gold}, {"gold": gold})
    cells = best_of_n_table(curves).rows[0]
    assert cells[3:] == ("1", "-", "-") and "[" not in cells[2]
    assert "| gold" in to_markdown(best_of_n_table(curves))
    assert plot_best_of_n(curves, tmp_path / "p.png").stat().st_size > 0


def test_a_panel_for_each_gold(tmp_path: Path) -> None:
    one, two = rewards(9, 8, 0), rewards(9, 8, 1)
    curves = curves_of({"proxy": one, LONGER: two}, {"first": one, "second": two})
    assert plot_best_of_n(curves, tmp_path / "plots/p.png").stat().st_size > 0
