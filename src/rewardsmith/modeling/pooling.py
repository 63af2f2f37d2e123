"""Pooling: from the hidden states of a sequence to one vector.

`native` is what the architecture's own sequence-classification class does: the last token for decoders, the first
token (with its own pooler) for encoders. It is the only pooling that other tools can load.
"""

from __future__ import annotations

import torch

from rewardsmith.batching.rows import Rows
from rewardsmith.modeling.spec import Pooling


def pool(hidden: torch.Tensor, rows: Rows, how: Pooling) -> torch.Tensor:
    """Pools hidden states [B, T, H] to one vector for each of the n sequences of `rows`, [n, H].

    `last` takes each sequence's final token, so neither the padding side nor the pad token's id matters; `mean` and
    `max` go over all its tokens, prompt included, as in the paper's code.
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    if how in ("last", "native"):
        return flat[rows.last]
    states, n = flat[rows.member], len(rows.last)
    if how == "mean":
        counts = torch.bincount(rows.owner, minlength=n).unsqueeze(1).to(flat.dtype)
        return flat.new_zeros(n, flat.shape[1]).index_add(0, rows.owner, states) / counts
    start = flat.new_full((n, flat.shape[1]), -torch.inf)
    index = rows.owner.unsqueeze(1).expand_as(states)
    return start.scatter_reduce(0, index, states, reduce="amax", include_self=False)
