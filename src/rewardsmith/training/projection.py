"""Averaged gradient episodic memory: a step that does not raise the loss on what was learnt before.

Chaudhry et al. 2019, arXiv 1812.00420, equation 11: where the step's gradient g and that of the reference loss, g_ref,
point apart (g·g_ref < 0), g becomes g - (g·g_ref / g_ref·g_ref) g_ref. The scale of the reference loss is of no
account. To first order a step along the result leaves the reference loss as it is; what AdamW makes of it need not.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch


class GradientProjection:
    """Projects the gradients of those of `parameters` that train."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._reference: list[torch.Tensor] | None = None

    def hold(self, loss: torch.Tensor) -> None:
        """Adds the gradient of a part of the reference loss, whose graph is kept for the backward pass to come."""
        found = torch.autograd.grad(
            loss, self._parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        before = self._reference
        self._reference = list(found) if before is None else [a + b for a, b in zip(before, found, strict=True)]

    @torch.no_grad()
    def apply(self) -> None:
        """Projects what the backward passes have gathered, and forgets the reference."""
        if self._reference is None:
            return
        pairs = [(p.grad, r) for p, r in zip(self._parameters, self._reference, strict=True) if p.grad is not None]
        dot = sum((g.double() * r.double()).sum().item() for g, r in pairs)
        if dot < 0:
            square = sum(r.double().square().sum().item() for r in self._reference)
            for g, r in pairs:
                g.sub_(r, alpha=dot / square)
        self._reference = None
