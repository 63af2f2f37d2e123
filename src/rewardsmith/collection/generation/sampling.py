"""Drawing the next token of many rows at once, each row from a source of chance of its own.

Top-p without sorting: a token is drawn from all tokens and kept if it belongs to the nucleus, else the row draws again.
That is exactly a draw from the nucleus, and the nucleus of a row is never made: whether one token belongs to it is one
sum. (Nucleus sampling: Holtzman et al. 2020, arXiv:1904.09751.) It knows nothing of models or text.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import torch

from rewardsmith.collection.requests import Sampling


def next_tokens(logits: torch.Tensor, sampling: Sequence[Sampling], chance: Sequence[Random]) -> torch.Tensor:
    """A token for each row of `logits` [B, vocabulary]; at temperature 0 the likeliest, and no chance is used up."""
    drawn = [k for k, s in enumerate(sampling) if s.temperature > 0]
    likeliest = [k for k, s in enumerate(sampling) if s.temperature == 0]
    tokens = torch.empty(len(sampling), dtype=torch.long, device=logits.device)
    if likeliest:
        tokens[likeliest] = _rows(logits, likeliest).argmax(dim=-1)
    if drawn:
        heat = logits.new_tensor([sampling[k].temperature for k in drawn], dtype=torch.float32)
        probabilities = (_rows(logits, drawn).float() / heat[:, None]).softmax(dim=-1)
        top_p = probabilities.new_tensor([sampling[k].top_p for k in drawn])
        tokens[drawn] = _draw(probabilities, top_p, [chance[k] for k in drawn])
    return tokens


def in_nucleus(probabilities: torch.Tensor, tokens: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Whether each row's token is of the fewest likeliest ones that make up `top_p`: the likelier ones do not yet.

    Tokens exactly as likely as the last of them belong as well.
    """
    own = probabilities.gather(1, tokens[:, None])
    likelier = torch.where(probabilities > own, probabilities, 0.0).sum(dim=-1)
    return (own[:, 0] > 0) & ((likelier < top_p) | (top_p >= 1))


def _draw(probabilities: torch.Tensor, top_p: torch.Tensor, chance: Sequence[Random]) -> torch.Tensor:
    """Draws until every row has a token of its nucleus: on average at most 1 / top_p times."""
    tokens = torch.empty(len(chance), dtype=torch.long, device=probabilities.device)
    cumulated = probabilities.cumsum(dim=-1)
    left = list(range(len(chance)))
    while left:
        here, below = _rows(probabilities, left), _rows(cumulated, left)
        share = below.new_tensor([chance[k].random() for k in left])[:, None]
        found = torch.searchsorted(below, share * below[:, -1:], right=True).clamp_(max=below.shape[1] - 1)[:, 0]
        kept = in_nucleus(here, found, top_p[left]).tolist()
        tokens[left] = found
        left = [k for k, done in zip(left, kept, strict=True) if not done]
    return tokens


def _rows(values: torch.Tensor, chosen: list[int]) -> torch.Tensor:
    """Some rows, without a copy where they are all."""
    return values if len(chosen) == len(values) else values[chosen]
