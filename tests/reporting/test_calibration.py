"""Tables and plot of a calibration, from its typed result alone, also where figures are undefined."""

from __future__ import annotations

from pathlib import Path

from rewardsmith.evaluation.calibrated import CalibrationResult, Halves, LengthEffect, Reading
from rewardsmith.evaluation.result import CalibrationBin
from rewardsmith.reporting.calibration import calibration_tables, plot_reliability
from rewardsmith.reporting.tables import to_markdown


def result(*, known: bool) -> CalibrationResult:
    """With all figures, or with none."""
    bins = [CalibrationBin(confidence=0.7, accuracy=0.6, n_pairs=9, standard_error=0.1 if known else None)]
    reading = Reading(
        accuracy=0.6 if known else None,
        ci95=(0.5, 0.7) if known else None,
        nll=0.65 if known else None,
        ece_plain=0.1 if known else None,
        ece=0.081 if known else None,
        ece_ci95=(0.0, 0.2) if known else None,
        slope=0.5,
        bins=bins,
    )
    pair = (0.6, 0.5) if known else (None, None)
    difference = {"difference": -0.1 if known else None, "ci95": (-0.2, 0.0) if known else None}
    return CalibrationResult(
        model="m",
        data="d",
        seed=0,
        temperature=2.0,
        offset=0.0,
        n_prompts={"fit": 9, "test": 9},
        n_pairs={"fit": 9, "test": 9},
        readings={"as it was": reading},
        halves={"margin": Halves(surer=0.7 if known else None, rest=0.5 if known else None, **difference)},
        coefficient=0.3,
        length=LengthEffect(
            explained=pair,
            longer_wins=pair[0],
            prefers_longer=pair,
            accuracy=pair,
            longer_chosen=pair,
            shorter_chosen=pair,
            **difference,
        ),
        standard_error=None,
    )


def test_tables_say_the_figures_and_dashes_where_there_are_none() -> None:
    readings, halves, length = map(to_markdown, calibration_tables(result(known=True)))
    assert "| as it was | 60.0 [50.0, 70.0] | 0.650 | 0.100 | 0.081 [0.000, 0.200] | 0.50 |" in readings
    assert "| margin | 70.0 | 50.0 | -10.0 [-20.0, 0.0] |" in halves
    assert "| rewards without length | 50.0 |" in length
    for table in map(to_markdown, calibration_tables(result(known=False))):
        assert "| - |" in table and "None" not in table


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    path = plot_reliability(result(known=False).readings, tmp_path / "plots" / "reliability.png")
    assert path.read_bytes().startswith(b"\x89PNG")
