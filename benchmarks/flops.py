"""Floating-point operations that a training step needs, and how many this machine does a second in a matmul."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.training import now
from rewardsmith.batching.rows import Rows
from rewardsmith.modeling.backbone import layers_of
from rewardsmith.modeling.cpu_linear import cpu_linear
from rewardsmith.modeling.reward_model import RewardModel

_SQUARES = (1024, 2048)
_TOKENS = 2048
_SECONDS = 0.3
"""How long each shape is multiplied for."""


def needed_flops(model: RewardModel, rows: Iterable[Rows]) -> float:
    """Of forward and backward over tree rows: 2 + 4 for each weight of a linear layer and token, and 4 + 8 for each
    channel and key that a token attends to. Norms, activations, embedding, head and optimiser are not counted."""
    config = model.inner.config.get_text_config()
    layers = list(layers_of(model.backbone, config.num_hidden_layers))
    weights = sum(m.weight.numel() for layer in layers for m in layer.modules() if isinstance(m, nn.Linear))
    width = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    total = 0.0
    for r in rows:
        assert r.position_ids is not None, "keys are counted by the positions of tree rows"
        keys = float((r.position_ids + 1).sum())
        total += 6.0 * weights * r.tokens + 12.0 * width * len(layers) * keys
    return total


def matmul_rates(model: RewardModel, dtype: torch.dtype) -> tuple[float, float]:
    """The highest rates, FLOP/s, at large squares and at the shapes of the model's linear layers: by what a reward
    model's layers use, and by PyTorch's own matmul."""
    config = model.inner.config.get_text_config()
    h, f = config.hidden_size, config.intermediate_size
    shapes = [(n, n, n) for n in _SQUARES] + [(_TOKENS, h, f), (_TOKENS, f, h), (_TOKENS, h, h)]
    ours, plain = (max(_rate(multiply, s, dtype, model.device) for s in shapes) for multiply in (cpu_linear, F.linear))
    return ours, plain


def _rate(
    multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> float:
    n, k, m = shape
    a, b = torch.randn(n, k, dtype=dtype, device=device), torch.randn(m, k, dtype=dtype, device=device)
    multiply(a, b)
    best, until = 0.0, time.perf_counter() + _SECONDS
    while time.perf_counter() < until:
        start = now()
        multiply(a, b)
        best = max(best, 2.0 * n * k * m / (now() - start))
    return best
