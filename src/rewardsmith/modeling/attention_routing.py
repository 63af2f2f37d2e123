"""Routing a network's attention through a function of ours: which architectures allow it, and what a layer may see.

It knows nothing of what the function does.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

_LAYERS = {"full_attention", "sliding_attention"}
"""Kinds of layer that can be routed: others mix neighbours in the row, or see by a mask that is never made."""


def route_attention(network: PreTrainedModel, name: str) -> bool:
    """Gives the network's attention to the function registered under `name`; False where the architecture does not
    allow it."""
    config = network.config.get_text_config()
    if not getattr(network, "_supports_attention_backend", False):
        return False
    # Soft-capped scores are made by the function; other reasons against SDPA (attention sinks, biases) hold for it too.
    if not (getattr(network, "_supports_sdpa", False) or getattr(config, "attn_logit_softcapping", None)):
        return False
    if not set(getattr(config, "layer_types", None) or []) <= _LAYERS:
        return False
    if getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True):
        return False
    try:
        network.set_attn_implementation(name)
    except (ValueError, ImportError):
        return False
    return True


def window_of(module: torch.nn.Module) -> int | None:
    """The sliding window of a layer that is told of it by its mask alone."""
    config: Any = getattr(module, "config", None)
    kinds, layer = getattr(config, "layer_types", None), getattr(module, "layer_idx", None)
    if kinds and layer is not None and kinds[layer] != "sliding_attention":
        return None
    window: int | None = getattr(config, "sliding_window", None)
    return window
