"""The gate before a head of the custom preferences' own: how much a dialogue looks like theirs.

`r = (1 - q(m)) r_general + q(m) w·h` with `q(m) = σ(v·m + c)`, m the mean of the last hidden states over the dialogue.
Where q is near 0 the general model's verdicts stay; where it is near 1 they have no say. A gate may win by knowing a
format: what it keeps on general sets that it never saw is to be measured on such sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from rewardsmith.evaluation.pairs import FloatArray, IntArray
from rewardsmith.modeling.reward_model import RewardModel

_PENALTY = 100.0
"""Of the squared weights, in units of the features' spread: the classes are far apart, and an unpenalised gate would be
a step."""
_SHARPNESS = 4.0
"""The penalty is there for the direction: at the scale that it leaves, the gate stands ajar on general dialogues. Four
times the logits flip a third as many general pairs and gain as much (DSP, seeds 6 to 9)."""


@dataclass(frozen=True)
class Gate:
    """`σ(v·m + c)`."""

    weight: FloatArray
    """v [width]."""
    bias: float

    def __call__(self, means: FloatArray) -> FloatArray:
        """Shares q [n] for mean states [n, width]."""
        shares: FloatArray = expit(means @ self.weight + self.bias)
        return shares


def fit_gate(custom: FloatArray, general: FloatArray) -> Gate:
    """Tells custom dialogues [n, width] from general ones [m, width], both kinds counting as much."""
    labels = np.repeat([1, 0], [len(custom), len(general)])
    weight, bias = fit_logits(np.concatenate([custom, general]), labels, _PENALTY, _SHARPNESS, balanced=True)
    return Gate(weight[0], float(bias[0]))


def fit_logits(
    x: FloatArray, labels: IntArray, penalty: float, sharpness: float, *, balanced: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Weights [k, width] and biases [k] of a logistic regression on `x` [n, width], penalised in units of the features'
    spread; k is 1 for two labels, and else their number. Both are multiplied by `sharpness`."""
    from sklearn.linear_model import LogisticRegression

    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-12
    kinds = "balanced" if balanced else None
    found = LogisticRegression(C=1 / penalty, class_weight=kinds, max_iter=1000).fit((x - centre) / scale, labels)
    weight: FloatArray = found.coef_ / scale
    return sharpness * weight, sharpness * (found.intercept_ - weight @ centre)


def mean_columns(model: RewardModel) -> slice | None:
    """Which of the features that the last layer reads are the mean of the last hidden states; None where none are."""
    width = model.inner.config.get_text_config().hidden_size
    depth = model.inner.config.get_text_config().num_hidden_layers
    layers = model.info.layers or [depth]
    if model.info.pooling != "mean" or model.info.head == "mlp" or depth not in layers:
        return None
    start = width * layers.index(depth)
    return slice(start, start + width)
