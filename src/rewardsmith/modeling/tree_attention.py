"""Attention over prompt trees, through transformers' attention interface.

Linear layers see one packed row without padding; attention runs node by node: a node's queries against the keys of its
ancestors and its own, causally. No mask over the whole row is ever made. Sliding windows and logit soft-capping are
kept. Rows without a tree (padded ones) take the ordinary scaled-dot-product path.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rewardsmith.batching.rows import Node, Rows
from rewardsmith.modeling.attention_routing import route_attention, window_of

NAME = "rewardsmith_tree"


VERIFIED = frozenset({"llama", "qwen3", "gemma", "gemma2", "gemma3_text", "mistral", "gpt_neox", "opt"})
"""Model types that the tests hold equal to padded rows; any other is compared once before it is used (`tree_check`)."""


def enable_trees(network: PreTrainedModel) -> bool:
    """Routes the network's attention through this module; False where the architecture does not allow it."""
    return route_attention(network, NAME)


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    nodes: tuple[Node, ...] | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention interface: `query` [B, heads, T, d] to output [B, T, heads, d].

    With `nodes` (then B is 1) attention follows the tree; without, `attention_mask` says what is seen.
    """
    if nodes is None and softcap is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    key, value = (_per_head(t, query.shape[1]) for t in (key, value))
    if nodes is None:
        mask = attention_mask if attention_mask is not None else _causal(query.shape[2], 0, None, query.device)
        return _attend(query, key, value, mask, dropout, scaling, softcap).transpose(1, 2).contiguous(), None
    window = sliding_window if sliding_window is not None else window_of(module)
    sizes = [node.end - node.start for node in nodes]
    queries, keys, values = (torch.split(t, sizes, dim=2) for t in (query, key, value))
    outputs = []
    for k, node in enumerate(nodes):
        path = (*node.path, k)
        seen = sum(sizes[a] for a in node.path)
        all_keys, all_values = (_joined([t[a] for a in path]) for t in (keys, values))
        plain_causal = seen == 0 and softcap is None and (window is None or sizes[k] <= window)
        allowed = None if plain_causal else _causal(sizes[k], seen, window, query.device)
        outputs.append(_attend(queries[k], all_keys, all_values, allowed, dropout, scaling, softcap))
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def forward_inputs(rows: Rows) -> dict[str, Any]:
    """What a backbone is called with for tree rows."""
    # A mask of four dimensions is taken as it is: the models make none, and tree attention needs none.
    nothing = torch.empty(1, 1, 0, 0, device=rows.input_ids.device)
    return {
        "input_ids": rows.input_ids,
        "attention_mask": nothing,
        "position_ids": rows.position_ids,
        "nodes": rows.nodes,
        "use_cache": False,
    }


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    scaling: float | None,
    softcap: float | None,
) -> torch.Tensor:
    """Scaled dot products under a boolean `mask` (None: causal); soft-capped scores are made outright."""
    if softcap is None:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scaling
        )
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    scores = softcap * torch.tanh(query @ key.transpose(2, 3) * scale / softcap)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = F.dropout(scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype), p=dropout)
    return weights @ value


def _causal(size: int, seen: int, window: int | None, device: torch.device) -> torch.Tensor:
    """[size, seen + size]: a node's token sees its ancestors and what stands before it, within the window if any."""
    rows = torch.arange(seen, seen + size, device=device)[:, None]
    columns = torch.arange(seen + size, device=device)[None, :]
    mask = columns <= rows
    return mask if window is None else mask & (rows - columns < window)


def _per_head(states: torch.Tensor, heads: int) -> torch.Tensor:
    """Repeats grouped keys or values for their query heads."""
    groups = heads // states.shape[1]
    return states if groups == 1 else states.repeat_interleave(groups, dim=1)


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
