"""The language-modelling head that imitation needs: logits only where a token carries a loss, a chunk at a time.

The weights are the tied embedding, or the backbone's own `lm_head`; they are never part of a saved reward model.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rewardsmith.batching.rows import Rows
from rewardsmith.modeling.cpu_linear import cpu_linear

_CHUNK = 512
"""Tokens whose logits exist at one time: 100 MB for a vocabulary of 50k in float32."""


class LanguageModelHead(nn.Module):
    """Negative log likelihood of labelled tokens, summed for each sequence."""

    def __init__(self, embedding: nn.Embedding, untied: nn.Linear | None = None, softcap: float | None = None) -> None:
        super().__init__()
        # In a tuple, so that a tied embedding is not registered a second time as a parameter of this module.
        self._tied = (embedding,)
        self.untied = untied
        self.softcap = softcap

    def forward(self, hidden: torch.Tensor, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states [B, T, H] to (summed nll [n] float32, number of labelled tokens [n]) of the rows' sequences."""
        states = hidden.reshape(-1, hidden.shape[-1])[rows.lm_state]
        total = torch.zeros(len(rows.last), device=hidden.device)
        chunks = [
            checkpoint(self._nll, states[k : k + _CHUNK], rows.lm_target[k : k + _CHUNK], use_reentrant=False)
            for k in range(0, len(rows.lm_target), _CHUNK)
        ]
        if chunks:
            total = total.index_add(0, rows.lm_owner, torch.cat(chunks))
        return total, torch.bincount(rows.lm_owner, minlength=len(total)).to(total.dtype)

    def _nll(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weight, bias = (self._tied[0].weight, None) if self.untied is None else (self.untied.weight, self.untied.bias)
        logits = cpu_linear(states, weight, bias).float()
        if self.softcap:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return F.cross_entropy(logits, targets, reduction="none")
