"""What the report shows beside the figures: curves thinned without a bias, and the calibration of `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rewardsmith.customization.evidence import MOST_POINTS, calibration_change, curves_in, recipes_in
from rewardsmith.evaluation import ScoredPreference, summarise
from rewardsmith.preferences.record import Preference


def test_curves_and_recipes_of_every_run_below_the_folder(tmp_path: Path) -> None:
    losses = np.random.default_rng(0).exponential(size=1234).tolist()
    lines = [{"stage": "custom", "step": k + 1, "loss": loss} for k, loss in enumerate(losses)]
    lines.append({"stage": "custom", "step": 1234, "loss": None, "accuracy": {"mine": 0.75}})
    for name, rows in (("l2-sp", lines), ("lora/rank-4", lines[:3])):
        run = tmp_path / name
        run.mkdir(parents=True)
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (run / "recipe.yaml").write_text(f"name: {name}\n", encoding="utf-8")
    long, short = curves_in(tmp_path)
    assert [(c.run, c.stage) for c in (long, short)] == [("l2-sp", "custom"), ("lora/rank-4", "custom")]
    assert [p.loss for p in short.points] == losses[:3]
    assert len(long.points) == MOST_POINTS and long.points[-1].step == 1234
    assert long.points[-1].accuracy == {"mine": 0.75}
    ends = [p.step for p in long.points]
    for start, end, point in zip([0, *ends], ends, long.points, strict=False):
        assert point.loss == pytest.approx(np.mean(losses[start:end]))
    assert recipes_in(tmp_path) == {"l2-sp": "name: l2-sp\n", "lora/rank-4": "name: lora/rank-4\n"}
    assert curves_in(tmp_path / "nothing") == [] and recipes_in(tmp_path / "nothing") == {}


def test_calibration_is_that_of_evaluate() -> None:
    rng = np.random.default_rng(1)
    preferences = [
        Preference(
            id=str(k),
            prompt=[{"role": "user", "content": f"prompt {k // 2}"}],
            responses=["one", "two"],
            scores=[1, 0],
            domain="general",
        )
        for k in range(120)
    ]
    before, after = (
        [ScoredPreference.of(p, (scale * rng.normal(0.5), 0.0)) for p in preferences] for scale in (1.0, 4.0)
    )
    change = calibration_change(before, after)
    for found, scored in ((change.before, before), (change.after, after)):
        expected = summarise("m", {"s": scored}, baselines=False).sets["s"]
        assert (found.ece, found.ece_plain, found.bins) == (expected.ece, expected.ece_plain, expected.calibration)
        assert found.ece_ci95 is not None and found.ece_ci95[0] <= found.ece_ci95[1]
