"""The report of customisations: made of the result alone, whole without a network, and filtered in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardsmith.errors import DataError
from rewardsmith.evaluation.customization import (
    CalibrationChange,
    Candidate,
    Change,
    CurvePoint,
    Customization,
    Flip,
    GeneralChange,
    LearningCurve,
    Reliability,
    load_customization,
)
from rewardsmith.evaluation.result import CalibrationBin, Verdict
from rewardsmith.preferences.audit import audit_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.reporting.customization import limits_of, path_outwards, verdict_sentence, write_report
from rewardsmith.reporting.pictures import accuracy_pictures, front_of, loss_picture, reliability_picture, ticks

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def made_up(method: str = "anchored", **changes: object) -> Customization:
    change = Change(before=0.6, after=0.8, difference=0.2, ci95=(0.1, 0.3), n_prompts=50)
    verdict = Verdict(
        set="all general sets", budget=0.02, confidence=95, verdict="within", bound=0.013, difference=-0.001,
        ci95=(-0.01, 0.01), n_prompts=800, flipped=0.02,
    )  # fmt: skip
    candidates = [
        Candidate(
            name=f"anchored x {s:g}", method="anchored", settings={"ridge": 0.1}, strength=s, custom=0.2 * s,
            general=-0.01 * s, on_path=True, verdicts=[verdict] if s < 0.8 else [], chosen=s == 0.5,
        )
        for s in (0.25, 0.5, 1.0)
    ]  # fmt: skip
    flips = [
        Flip(
            set="helpful", prompt=f"Question about {word}?", chosen="<b>yes</b>", rejected="no", before=0.3, after=-0.2
        )
        for word in ("apples", "pears", "apple pie")
    ]
    values: dict[str, object] = {
        "certified": True, "budget": 2.0, "budgets": {"all general sets": 2.0}, "confidence": 95, "metric": "accuracy",
        "bound": 1.3, "method": method, "strength": 0.5, "domain": "academy", "general_model": "general",
        "general": GeneralChange(**dict(change), sets={"helpful": change}), "custom": change, "unconstrained": change,
        "verdicts": [verdict], "candidates": candidates, "flips": flips, "seconds": 12.0, "command": ["rewardsmith"],
        "parts": {"custom": {"train": 5, "choose": 2, "test": 3}}, "versions": {"python": "3.11"},
    }  # fmt: skip
    return Customization.model_validate(values | changes)


def with_evidence(**changes: object) -> Customization:
    """With all that a run of a method that trains has."""
    bins = [
        CalibrationBin(confidence=0.5 + 0.1 * k, accuracy=0.45 + 0.12 * k, n_pairs=20, standard_error=0.04)
        for k in range(5)
    ]
    reading = Reliability(ece=0.031, ece_ci95=(0.0, 0.07), ece_plain=0.06, bins=bins)
    worse = reading.model_copy(update={"ece": 0.123})
    points = [
        CurvePoint(step=k, loss=0.7 / k, accuracy={"mine": 0.5 + k / 20} if k % 3 == 0 else {}) for k in range(1, 10)
    ]
    audit = audit_preferences(
        [
            Preference(
                id=str(k), prompt=[{"role": "user", "content": f"Why {k}?"}], responses=["Because of that.", "So."],
                scores=[1, 0], domain="academy",
            )
            for k in range(40)
        ]
    )  # fmt: skip
    evidence: dict[str, object] = {
        "calibration": {"custom": CalibrationChange(before=reading, after=worse)},
        "curves": [LearningCurve(run="distillation", stage="custom", points=points)],
        "audits": {"custom": audit},
        "recipes": {"distillation": "name: distillation\nseed: 3\n"},
        "options": {"--seed": 3, "--budget": {"all general sets": 2.0}, "--preferences": "f00d"},
        "command": ["/somewhere/bin/rewardsmith", "customize", "--domain", "two words"],
    }
    return made_up(**evidence | changes)


class Tags(HTMLParser):
    """Open elements that were never closed, and addresses that a page would fetch."""

    void = frozenset({"meta", "input", "br", "line", "circle", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("#")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    write_report([made_up(), made_up(domain="business")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert not tags.open and not tags.fetched and "url(" not in page
    assert "<b>yes</b>" not in page and "&lt;b&gt;yes&lt;/b&gt;" in page


def test_what_stands_beside_the_figures(tmp_path: Path) -> None:
    write_report([with_evidence()], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert not tags.open and not tags.fetched
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
    for words in (
        "0.031 [0.000, 0.070] 0.123 [0.000, 0.070]",
        "custom: fail , 40 preferences, 40 pairs (length,",
        "distillation, custom stage: mine",
        "name: distillation seed: 3",
        "rewardsmith customize --domain 'two words'",
        "--budget all general sets 2.0",
        "Its error rate, 5 %, is that of one run",
    ):
        assert words in text, words
    # Every place that the page's head leads to is there, also where a result has no evidence.
    write_report([with_evidence(), made_up()], tmp_path / "both.html")
    both = (tmp_path / "both.html").read_text(encoding="utf-8")
    targets = re.findall(r'href="#([^"]+)"', both)
    assert len(targets) > 15 and all(both.count(f'id="{target}"') == 1 for target in targets)


def test_limits_say_what_was_asked() -> None:
    two = made_up()
    sets = {"a": two.custom, "b": two.custom}
    two = two.model_copy(update={"general": two.general.model_copy(update={"sets": sets})})
    assert any("on a single set the loss may be larger" in limit for limit in limits_of(two))
    for other in (made_up(), two.model_copy(update={"budgets": {"all general sets": 2.0, "a": 1.0}})):
        assert not any("on a single set" in limit for limit in limits_of(other))
    assert limits_of(made_up("none")) == [
        "The model is the general one: it lost nothing, gained nothing, and carries no certificate."
    ]


def test_pictures_lie_within_their_frames() -> None:
    curve = with_evidence().curves[0]
    loss = loss_picture(curve)
    assert loss is not None and list(accuracy_pictures(curve)) == ["mine"]
    change = with_evidence().calibration["custom"]
    reliability = reliability_picture(change.before, change.after)
    for picture in (loss, *accuracy_pictures(curve).values(), reliability):
        frame = picture.frame
        for line in picture.lines:
            points = [tuple(map(float, point.split(","))) for point in line.points.split()]
            places = [*points, *((x, at) for x, y, low, high in line.bars for at in (y, low, high))]
            assert all(frame.left <= x <= frame.right and frame.top <= y <= frame.bottom for x, y in places)
    unmeasured = curve.model_copy(update={"points": [CurvePoint(step=1, loss=None)]})
    assert loss_picture(unmeasured) is None and accuracy_pictures(unmeasured) == {}


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_ticks_are_few_and_hold_what_lies_between_them(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 10 and found[0] <= low + 1e-6 and found[-1] >= low + span - 1e-6
    assert np.allclose(np.diff(found), found[1] - found[0])


def test_the_verdict_comes_first_in_plain_words(tmp_path: Path) -> None:
    write_report([made_up()], tmp_path / "page.html")
    body = re.sub(r"<[^>]+>", " ", (tmp_path / "page.html").read_text(encoding="utf-8").split("<body>")[1])
    first = " ".join(body.split())[:400]
    assert first.startswith("academy: customised, within budget The model prefers as academy does in 80.0 % of unseen")
    assert "lost at most 1.3 points of general accuracy; allowed were 2 points on all general sets" in first


def test_other_verdicts() -> None:
    none = made_up("none", strength=0.0, bound=0.0)
    assert verdict_sentence(none).startswith("No candidate for academy could be proved to lose no more than 2 points")
    idle = none.model_copy(update={"candidates": [c.model_copy(update={"on_path": False}) for c in none.candidates]})
    assert "gains anything" in verdict_sentence(idle)
    assert "lost no points of general accuracy" in verdict_sentence(made_up(bound=-0.4))


def test_the_path_is_shown_from_the_general_model_outwards() -> None:
    run = made_up()
    placed = [c.model_copy(update={"place": k}) for k, c in enumerate(run.candidates, start=1)]
    beside = placed[0].model_copy(update={"on_path": False, "place": None})
    result = run.model_copy(update={"candidates": [*placed[::-1], beside]})
    assert path_outwards(result) == placed


def test_points_lie_where_their_figures_say() -> None:
    front = front_of(made_up())
    by_label = {m.label.split(":")[0]: m for m in front.marks}
    low, high = by_label["anchored x 0.25"], by_label["anchored x 1"]
    assert low.x > high.x > (front.budget_x or 0) and low.y > high.y
    assert [by_label[n].kind for n in ("anchored x 0.25", "anchored x 0.5", "anchored x 1")] == [
        "within",
        "chosen",
        "path",
    ]
    # Linear between the ticks: 1.0 points of loss, twice 0.5.
    assert front.zero[0] - high.x == pytest.approx(4 * (front.zero[0] - low.x))


def test_a_result_reads_back_and_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(made_up().model_dump_json(), encoding="utf-8")
    assert load_customization(path) == made_up()
    old = Path(__file__).parents[1] / "evaluation" / "fixtures" / "customization_v1.json"
    assert load_customization(old) == made_up()
    path.write_text('{"version": 1, "models": []}', encoding="utf-8")
    with pytest.raises(DataError, match="no result of customize that this version reads"):
        load_customization(path)


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
def test_a_browser_filters_the_flipped_pairs(tmp_path: Path) -> None:
    write_report([made_up()], tmp_path / "page.html")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*command, f"file://{tmp_path}/page.html#search=apple"], capture_output=True, text=True, timeout=60, check=True
    )
    shown = re.findall(r'<article class="flip"( hidden="")?>', done.stdout)
    assert shown == ["", ' hidden=""', ""] and "2 of 3" in done.stdout
