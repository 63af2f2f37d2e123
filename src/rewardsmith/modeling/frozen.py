"""Frozen work is done once: the states behind the frozen layers, computed for each text and reused.

With the first k layers frozen, their output for a text never changes: over epochs, domains, seeds and runs from the
same weights it is read back from a `StateStore`, and a training step runs the layers above alone.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from rewardsmith.batching.rows import Node, Rows
from rewardsmith.modeling.backbone import layers_of
from rewardsmith.modeling.embedded import cache_root
from rewardsmith.modeling.state_store import StateStore, make_room
from rewardsmith.modeling.tree_attention import forward_inputs

logger = logging.getLogger(__name__)

_BLOCK = 32
"""Tokens kept under one key: few enough to share beginnings, many enough to be read in one go."""
_FINAL_NORMS = ("norm", "final_layer_norm", "final_layernorm", "ln_f")


class FrozenPrefix:
    """The first `depth` layers of a decoder, frozen, with a memory of what they gave."""

    def __init__(self, backbone: PreTrainedModel, depth: int, store: StateStore) -> None:
        self.bottom = _part(backbone, 0, depth, final_norm=False)
        self.top = _part(backbone, depth, None, final_norm=True)
        self.store = store

    def hidden(self, rows: Rows) -> torch.Tensor:
        """The last hidden states [1, T, H] of tree rows."""
        blocks = _blocks(rows)
        states = self._remembered(rows, blocks)
        if states is None:
            with torch.no_grad():
                states = self.bottom(**forward_inputs(rows)).last_hidden_state
            flat = states[0].float().cpu().numpy()
            self.store.put({block.key: flat[block.places] for block in blocks})
        inputs = forward_inputs(rows)
        inputs.pop("input_ids")
        output: torch.Tensor = self.top(inputs_embeds=states, **inputs).last_hidden_state
        return output

    def _remembered(self, rows: Rows, blocks: list[_Block]) -> torch.Tensor | None:
        """The states [1, T, H] of all tokens, or None when some are missing."""
        flat = np.empty((rows.tokens, self.store.width), np.float32)
        for block in blocks:
            states = self.store.get(block.key)
            if states is None:
                return None
            flat[block.places] = states
        return torch.from_numpy(flat).unsqueeze(0).to(rows.input_ids.device)


def freeze_prefix(backbone: PreTrainedModel, depth: int) -> FrozenPrefix | None:
    """A prefix of the first `depth` layers, with its store in the cache folder; None where nothing can be reused: a
    layer below trains or has dropout, or the weights are not float32."""
    total = backbone.config.get_text_config().num_hidden_layers
    if not 0 < depth < total:
        return None
    below = [backbone.get_input_embeddings(), *list(layers_of(backbone, total))[:depth]]
    parameters = [p for module in below for p in module.parameters()]
    dropout = any(isinstance(m, nn.Dropout) and m.p > 0 for module in below for m in module.modules())
    dropout = dropout or getattr(backbone.config, "attention_dropout", 0.0) > 0
    if dropout or any(p.requires_grad or p.dtype != torch.float32 for p in parameters):
        return None
    root, name = cache_root() / "frozen", f"{digest_of(parameters)}-{depth}-{_BLOCK}"
    make_room(root, keep=name)
    store = StateStore(root / name, backbone.config.get_text_config().hidden_size)
    prefix = FrozenPrefix(backbone, depth, store)
    if not _agrees(prefix, backbone):
        logger.warning("%s cannot be entered at layer %d: frozen layers are run anew", type(backbone).__name__, depth)
        return None
    return prefix


def digest_of(parameters: Iterable[torch.Tensor]) -> str:
    """A hash of weights, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for p in parameters:
        # numpy has no bfloat16; float32 holds all of its values.
        digest.update(p.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _agrees(prefix: FrozenPrefix, backbone: PreTrainedModel) -> bool:
    """Whether both parts, one after the other, give what the whole does, on one made-up text."""
    n = 16
    ids = torch.arange(n).unsqueeze(0)
    every, nobody = torch.arange(n), torch.empty(0, dtype=torch.long)
    rows = Rows(
        input_ids=ids,
        sequence=torch.zeros(1, dtype=torch.long),
        last=torch.tensor([n - 1]),
        member=every,
        owner=torch.zeros(n, dtype=torch.long),
        lm_state=nobody,
        lm_target=nobody,
        lm_owner=nobody,
        position_ids=ids,
        nodes=(Node(0, n, ()),),
    ).to(backbone.device)
    was_training = backbone.training
    backbone.train(False)
    whole = backbone(**forward_inputs(rows)).last_hidden_state
    parts = prefix.hidden(rows)
    backbone.train(was_training)
    return bool((whole - parts).abs().max() <= 1e-4 * whole.abs().max())


def _part(backbone: PreTrainedModel, start: int, end: int | None, *, final_norm: bool) -> PreTrainedModel:
    """A view of some of the layers: the modules are shared, only the lists are new."""
    total = backbone.config.get_text_config().num_hidden_layers
    layers = layers_of(backbone, total)
    part = copy.copy(backbone)
    part._modules = dict(backbone._modules)
    part.config = copy.deepcopy(backbone.config)
    kept = list(layers)[start:end]
    for name, module in backbone._modules.items():
        if module is layers:
            part._modules[name] = nn.ModuleList(kept)
        elif name in _FINAL_NORMS and not final_norm:
            part._modules[name] = nn.Identity()
    part.config.num_hidden_layers = len(kept)
    if getattr(part.config, "layer_types", None):
        part.config.layer_types = part.config.layer_types[start:end]
    return part


class _Block(NamedTuple):
    """A few neighbouring tokens of a sequence: the hash of all tokens up to their end, and where they stand."""

    key: str
    places: npt.NDArray[np.int64]


def _blocks(rows: Rows) -> list[_Block]:
    """All tokens in blocks. What two sequences share at their beginning is kept once, in whatever rows they come."""
    tokens, member = rows.input_ids.reshape(-1).cpu().numpy(), rows.member.cpu().numpy()
    device = rows.input_ids.device.type
    # What autocast rounds is never taken for what float32 gives.
    rounding = str(torch.get_autocast_dtype(device)).encode() if torch.is_autocast_enabled(device) else b""
    blocks: dict[tuple[str, int], _Block] = {}
    for places in np.split(member, np.cumsum(np.bincount(rows.owner.cpu().numpy()))[:-1]):
        digest = hashlib.blake2b(rounding, digest_size=16)
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            digest.update(tokens[block].tobytes())
            key = digest.hexdigest()
            blocks.setdefault((key, int(block[0])), _Block(key, block))
    return list(blocks.values())
