"""The losses, each a few lines that read like their equation (DESIGN section 6 names the sources).

All work on flat rewards and an index of pairs, and return sums: the caller divides by counts taken over the whole
global batch, so that accumulation and several processes change nothing. They know nothing of models or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Pairs:
    """Comparisons between rewards: pair p says `rewards[winner[p], output[p]]` beats `rewards[loser[p], output[p]]`.

    `weight` [P] is 1/|P| of the pair's preference (list-wise mean) or 1 (mean over pairs); `margin` [P] is asked of the
    difference; `target` [P] is the wanted probability of the winner: 1, or 0.5 for a tie.
    """

    winner: torch.Tensor
    loser: torch.Tensor
    output: torch.Tensor
    weight: torch.Tensor
    margin: torch.Tensor
    target: torch.Tensor

    def __len__(self) -> int:
        return len(self.winner)

    def to(self, device: torch.device | str) -> Pairs:
        """The same pairs on another device."""
        return Pairs(**{name: tensor.to(device) for name, tensor in vars(self).items()})

    def difference(self, rewards: torch.Tensor) -> torch.Tensor:
        """Winner's minus loser's reward, [P]."""
        return rewards[self.winner, self.output] - rewards[self.loser, self.output]

    def total(self, rewards: torch.Tensor) -> torch.Tensor:
        """Winner's plus loser's reward, [P]."""
        return rewards[self.winner, self.output] + rewards[self.loser, self.output]


def ranking_loss(rewards: torch.Tensor, pairs: Pairs, label_smoothing: float = 0.0) -> torch.Tensor:
    """Bradley-Terry over all pairs: sum of `-w (t log σ(Δ - m) + (1 - t) log σ(m - Δ))`, t the smoothed target.

    Bradley and Terry 1952; list-wise as in Cheng et al. 2023, equation 3.
    """
    delta = pairs.difference(rewards) - pairs.margin
    target = pairs.target * (1 - label_smoothing) + (1 - pairs.target) * label_smoothing
    return -(pairs.weight * (target * F.logsigmoid(delta) + (1 - target) * F.logsigmoid(-delta))).sum()


def centring_loss(rewards: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """Sum of `w (r_i + r_j)²`: keeps rewards around zero (Eisenstein et al. 2023, arXiv 2312.09244)."""
    return (pairs.weight * pairs.total(rewards) ** 2).sum()


def imitation_nll(lm_nll: torch.Tensor) -> torch.Tensor:
    """Sum over preferred responses of their tokens' negative log likelihood; the caller divides by the tokens."""
    return lm_nll.sum()


def grm_imitation(lm_nll: torch.Tensor, imitated: torch.Tensor, beta: float = 0.1) -> torch.Tensor:
    """Sum of `-log σ(b Σ log p)` over the preferred responses (GRM's SFT regulariser, arXiv 2406.10216, equation 7)."""
    return -(imitated * F.logsigmoid(-beta * lm_nll)).sum()


def distillation_loss(
    rewards: torch.Tensor, reference: torch.Tensor, pairs: Pairs, temperature: float = 1.0
) -> torch.Tensor:
    """Sum of `w BCE(σ(Δ_now / T), σ(Δ_general / T))`: keep the general model's probabilities, whatever the labels say.

    `reference` [n, outputs] holds the general model's rewards.
    """
    now = pairs.difference(rewards) / temperature
    wanted = torch.sigmoid(pairs.difference(reference) / temperature)
    return (pairs.weight * F.binary_cross_entropy_with_logits(now, wanted, reduction="none")).sum()


def gate_loss(gate: torch.Tensor, expert: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Sum of `share * -log softmax(gate)[expert]`: which expert a text belongs to.

    `gate` [n, experts]; `expert` [n], -1 where it is not known; `share` [n] is 1/r of a preference of r responses.
    """
    known = expert >= 0
    return (share[known] * F.cross_entropy(gate[known], expert[known], reduction="none")).sum()


def l2_sp(parameters: Sequence[torch.Tensor], start: Sequence[torch.Tensor]) -> torch.Tensor:
    """`1/2 ‖θ - θ_start‖²` (Li, Grandvalet and Davoine 2018): pulls the weights back to where they started."""
    return 0.5 * torch.stack([((p - s) ** 2).sum() for p, s in zip(parameters, start, strict=True)]).sum()
