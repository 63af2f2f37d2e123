"""Every picture is a PNG with something on it, and its parts do not overlap."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from rewardsmith.errors import UserError
from rewardsmith.reporting import MetricPoint, plot_accuracy, plot_calibration, plot_learning_curves, plot_margins
from rewardsmith.reporting.curves import _along_the_run, _running_mean
from rewardsmith.reporting.style import COLORS, RIGHT, WRONG, color, marker, spread

PLOTS = [plot_accuracy, plot_calibration, plot_margins]


def has_color(path: Path, wanted: str) -> bool:
    """Whether at least 30 pixels have that colour: a mark and not a stray edge."""
    pixels = imread(path)[:, :, :3]
    return int((np.abs(pixels - np.array(to_rgb(wanted))).max(axis=2) < 0.02).sum()) >= 30


def check_picture(path: Path) -> None:
    pixels = imread(path)
    assert pixels.shape[0] > 200 and pixels.shape[1] > 600
    share_of_ink = (pixels[:, :, :3].min(axis=2) < 0.9).mean()
    assert 0.005 < share_of_ink < 0.6


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("which", ["result", "one_model"])
def test_plots_of_results(plot, which, request, tmp_path):
    path = plot(request.getfixturevalue(which), tmp_path / "deep" / "plot.png")
    check_picture(path)
    assert has_color(path, COLORS[0])


def test_one_colour_a_model(result, tmp_path):
    for plot in (plot_accuracy, plot_calibration):
        path = plot(result, tmp_path / "plot.png")
        assert has_color(path, color(0)) and has_color(path, color(1)) and not has_color(path, color(2))


def test_margins_show_right_and_wrong(one_model, tmp_path):
    path = plot_margins(one_model, tmp_path / "plot.png")
    assert has_color(path, RIGHT) and has_color(path, WRONG)


@pytest.mark.parametrize("plot", PLOTS)
def test_nothing_to_draw_is_said(plot, nothing, tmp_path):
    with pytest.raises(UserError, match="to draw"):
        plot(nothing, tmp_path / "plot.png")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def points() -> list[MetricPoint]:
    return [
        MetricPoint(stage, step, step / 60, 0.7 - step / 300, {"mine": 0.5 + step / 200, "general": 0.7})
        for stage in ("general", "custom")
        for step in range(0, 61)
    ]


def test_learning_curves(points, tmp_path):
    path = plot_learning_curves(points, tmp_path / "curves.png")
    check_picture(path)
    assert has_color(path, color(0)) and has_color(path, color(1))


@pytest.mark.parametrize("keep", ["loss", "accuracy", "one point"])
def test_learning_curves_of_little(points, keep, tmp_path):
    few = {
        "loss": [MetricPoint(p.stage, p.step, loss=p.loss) for p in points],
        "accuracy": [MetricPoint(p.stage, p.step, accuracy=p.accuracy) for p in points],
        "one point": points[:1],
    }[keep]
    check_picture(plot_learning_curves(few, tmp_path / "curves.png"))


def test_learning_curves_of_nothing(tmp_path):
    for empty in ([], [MetricPoint("custom", 1)]):
        with pytest.raises(UserError, match="nothing to draw"):
            plot_learning_curves(empty, tmp_path / "curves.png")


def test_a_stage_begins_where_the_one_before_it_ended():
    points = [MetricPoint("a", 10), MetricPoint("a", 20), MetricPoint("b", 0), MetricPoint("b", 5)]
    placed, stages = _along_the_run(points)
    assert [x for x, _ in placed] == [10, 20, 20, 25]
    assert stages == [("a", 0, 20), ("b", 20, 25)]


def test_running_mean_is_the_slow_one():
    values = np.random.default_rng(0).random(30).tolist()
    slow = [np.mean(values[max(0, k - 3) : k + 4]) for k in range(30)]
    assert _running_mean(values, 3) == pytest.approx(slow)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_labels_keep_their_order_and_distance(wanted):
    placed = spread(wanted, 0.1)
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    gaps = np.diff([placed[k] for k in order])
    assert (gaps >= 0.1 - 1e-9).all()
    assert np.mean(placed or [0]) == pytest.approx(np.mean(wanted or [0]))


def test_labels_with_room_stay_where_they_are():
    assert spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])


def test_colour_and_marker_tell_many_models_apart():
    assert len({(color(k), marker(k)) for k in range(49)}) == 49


def test_no_global_state_of_matplotlib(one_model, tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    plot_accuracy(one_model, tmp_path / "plot.png")
    assert ("matplotlib.pyplot" in sys.modules) == before
