"""The path: what is tested for, in which order, going by what the choosing part showed."""

from __future__ import annotations

import numpy as np

from rewardsmith.customization.candidates import HeadOption
from rewardsmith.customization.choosing import LONGEST, Judged, path_of


def judged(method: str, strength: float, *, gain: float, risk: float) -> Judged:
    return Judged(HeadOption(method, {}, strength, np.zeros(1), None), gain, 0.0, risk, {})  # type: ignore[arg-type]


def names(path: list[Judged]) -> list[str]:
    return [c.name for c in path]


def test_only_what_gains_more_than_every_safer_one_is_on_the_path() -> None:
    safe, worse, far = (
        judged("a", 0.5, gain=0.2, risk=0.3),
        judged("b", 0.5, gain=0.1, risk=0.4),
        judged("c", 0.5, gain=0.3, risk=0.9),
    )
    idle = judged("d", 0.5, gain=0.0, risk=0.1)
    assert names(path_of([far, worse, idle, safe])) == ["a x 0.5", "c x 0.5"]


def test_where_nothing_flipped_the_weaker_comes_first() -> None:
    strengths = (1.0, 0.5, 0.15)
    gentle = [judged("a", s, gain=0.1 + 0.1 * s, risk=0.3) for s in strengths]
    assert names(path_of(gentle)) == ["a x 0.15", "a x 0.5", "a x 1"]
    equal = [judged("a", 0.5, gain=0.1, risk=0.3), judged("b", 0.5, gain=0.2, risk=0.3)]
    assert names(path_of(equal)) == ["b x 0.5"], "at one strength the one that gains most"


def test_a_long_path_is_thinned_and_keeps_its_ends() -> None:
    many = [judged("a", k / 100, gain=k / 100, risk=k / 100) for k in range(1, 60)]
    path = path_of(many)
    assert len(path) == LONGEST and (path[0], path[-1]) == (many[0], many[-1])
