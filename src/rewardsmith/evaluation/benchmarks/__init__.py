"""Public benchmarks of reward models, each read from its published files and scored in its own way.

A suite is here when its scoring was held against the suite's own code and worked examples.
"""

from __future__ import annotations

from rewardsmith.errors import UserError, nearest
from rewardsmith.evaluation.benchmarks.judgebench import JudgeBench
from rewardsmith.evaluation.benchmarks.llmbar import LlmBar
from rewardsmith.evaluation.benchmarks.rewardbench import RewardBench
from rewardsmith.evaluation.benchmarks.rewardbench2 import RewardBench2
from rewardsmith.evaluation.benchmarks.rm_bench import RmBench
from rewardsmith.evaluation.benchmarks.suite import Suite

SUITES: dict[str, Suite] = {
    suite.name: suite for suite in (RewardBench(), RewardBench2(), RmBench(), JudgeBench(), LlmBar())
}

UNCHECKED = ("rmb", "ppe")
"""Known benchmarks whose scoring, or whose number of rows, was not checked: better no score than a doubtful one."""


def suite_named(name: str) -> Suite:
    """The suite of that name. Raises UserError for another."""
    if name in UNCHECKED:
        raise UserError(f"{name} cannot be scored yet, its scoring was not checked; there are {', '.join(SUITES)}")
    if name not in SUITES:
        raise UserError(f"there is no suite {name!r}{nearest(name, SUITES)}; there are {', '.join(SUITES)}")
    return SUITES[name]
