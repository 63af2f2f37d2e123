"""How good a reward model is: accuracy, calibration, intervals, comparisons, and the result file that holds them.

Knows no model: a scorer is any callable from preferences to rewards.
"""

from rewardsmith.evaluation.compare import compare_all, compare_models
from rewardsmith.evaluation.evaluate import evaluate_sets, summarise, summarise_models
from rewardsmith.evaluation.result import Comparison, EvaluationResult, ModelResult, SetResult, load_result, save_result
from rewardsmith.evaluation.scored import (
    ScoredPreference,
    Scorer,
    name_sets,
    score_preferences,
    score_sets,
    write_rewards,
)

__all__ = [
    "Comparison",
    "EvaluationResult",
    "ModelResult",
    "ScoredPreference",
    "Scorer",
    "SetResult",
    "compare_all",
    "compare_models",
    "evaluate_sets",
    "load_result",
    "name_sets",
    "save_result",
    "score_preferences",
    "score_sets",
    "summarise",
    "summarise_models",
    "write_rewards",
]
