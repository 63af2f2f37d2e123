"""Reward heads: from pooled hidden states to one reward for each domain, always computed in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def initialise(linear: nn.Linear) -> None:
    """Small normal weights: rewards start near zero and differences near a coin toss (loss log 2)."""
    nn.init.normal_(linear.weight, std=1.0 / (linear.in_features + 1))
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def apply_linear(linear: nn.Module, pooled: torch.Tensor) -> torch.Tensor:
    """`linear` in float32 whatever its dtype or autocast: a bfloat16 reward has steps of 1/128 near 1.

    A head that trains beside adapters is wrapped by peft; its active copy counts.
    """
    while not isinstance(linear, nn.Linear):
        wrapper: Any = linear
        passive = wrapper.disable_adapters or not wrapper.active_adapters
        linear = wrapper.original_module if passive else wrapper.modules_to_save[wrapper.active_adapters[0]]
    with torch.autocast(device_type=pooled.device.type, enabled=False):
        bias = None if linear.bias is None else linear.bias.float()
        return F.linear(pooled.float(), linear.weight.float(), bias)


@contextmanager
def float32_output(linear: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Within it, `linear` gives float32 wherever it is called, and what it read is collected: for heads that an
    architecture calls itself."""
    read: list[torch.Tensor] = []

    def again(module: nn.Module, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> torch.Tensor:
        read.append(inputs[0])
        return apply_linear(module, inputs[0])

    handle = linear.register_forward_hook(again)
    try:
        yield read
    finally:
        handle.remove()


class MLPHead(nn.Module):
    """`in -> hidden -> outputs` with a GELU, hidden as wide as one layer of the backbone. Never portable."""

    def __init__(self, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, outputs, bias=False)
        initialise(self.out)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Rewards [n, outputs] from pooled states [n, width]."""
        return apply_linear(self.out, self.hidden(pooled))

    def hidden(self, pooled: torch.Tensor) -> torch.Tensor:
        """What the last layer reads, [n, hidden]."""
        return F.gelu(apply_linear(self.up, pooled))


class LinearHead(nn.Module):
    """A bias-free linear map, for shapes whose pooled width is not the architecture's own."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, outputs, bias=False)
        initialise(self.out)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Rewards [n, outputs] from pooled states [n, width]."""
        return apply_linear(self.out, pooled)


class MixtureHead(nn.Module):
    """Several linear heads, weighed by a gate: `Σ_k softmax(gate)_k reward_k`.

    For general sets whose tastes conflict: what is preferred then depends on what kind of dialogue it is (a mixture
    of experts, Jacobs et al. 1991). The gate reads the mean over all tokens, prompt included, whatever the heads read.
    Never portable.
    """

    def __init__(self, width: int, gate_width: int, experts: int, outputs: int) -> None:
        super().__init__()
        self.gate = nn.Linear(gate_width, experts)
        self.out = nn.Linear(width, experts * outputs, bias=False)
        initialise(self.gate)
        initialise(self.out)

    def forward(self, pooled: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """Rewards [n, outputs] from pooled states [n, width] and the logits of the gate [n, experts]."""
        rewards = apply_linear(self.out, pooled).view(len(pooled), -1, gate.shape[1])
        return torch.einsum("nok,nk->no", rewards, gate.softmax(dim=-1))

    def gate_logits(self, mean: torch.Tensor) -> torch.Tensor:
        """How much each expert should count, [n, experts] before the softmax, from the mean states [n, gate_width]."""
        return apply_linear(self.gate, mean)


Head = LinearHead | MLPHead | MixtureHead
"""A head of our own, where the architecture's cannot express the shape."""
