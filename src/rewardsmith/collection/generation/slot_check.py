"""Routing a language model's attention through slots, and proving on an untried architecture that nothing changes.

Encoders, layers that share keys and the like do not fail by themselves: they would write nonsense.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from rewardsmith.collection.generation.slots import NAME, Pass, Piece, Slots, run_pass
from rewardsmith.modeling.attention_routing import route_attention
from rewardsmith.modeling.backbone import LOAD_ERRORS
from rewardsmith.modeling.tree_attention import VERIFIED

_TOKENS = 48
_TOLERANCE = {torch.bfloat16: 0.1, torch.float16: 0.02}
_FLOAT32 = 1e-3
"""Relative to the largest logit; exact architectures are below 1e-5."""


def use_slots(network: PreTrainedModel) -> bool:
    """Routes the attention of `network` through slots; False where that is not possible or changes what it says."""
    if network.config.get_text_config().model_type in VERIFIED:
        return route_attention(network, NAME)
    ids = [k % network.config.get_text_config().vocab_size for k in range(7, 7 + _TOKENS)]
    expected = _whole(network, ids)
    if not route_attention(network, NAME):
        return False
    try:
        found = _in_parts(network, ids)
    except LOAD_ERRORS:
        return False
    tolerance = _TOLERANCE.get(network.dtype, _FLOAT32)
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


@torch.no_grad()
def _whole(network: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """Logits after the last two tokens, by the model as it comes."""
    logits: torch.Tensor = network(input_ids=torch.tensor([ids], device=network.device), use_cache=False).logits
    return logits[0, -2:].float()


def _in_parts(network: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """The same in three passes: two pieces of a prompt, and a token that goes on."""
    slots, last = Slots(1, len(ids)), len(ids) - 1
    half = last // 2
    run_pass(network, Pass(slots, [], [Piece(0, 0, half)]), ids[:half])
    piece = run_pass(network, Pass(slots, [], [Piece(0, half, last - half)]), ids[half:last])
    step = run_pass(network, Pass(slots, [last], []), ids[last:])
    return torch.cat([piece, step]).float()
