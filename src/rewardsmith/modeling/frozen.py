"""Frozen work is done once: the states behind the frozen layers, computed for each text and reused.

With the first k layers frozen, their output for a text never changes: over epochs, domains, seeds and runs from the
same weights it is read back from a `StateStore`, and a training step runs the layers above alone.
"""

from __future__ import annotations

import copy
import hashlib
import logging

import torch
from torch import nn
from transformers import PreTrainedModel

from rewardsmith.batching.rows import Node, Rows
from rewardsmith.modeling.backbone import layers_of
from rewardsmith.modeling.embedded import cache_root
from rewardsmith.modeling.state_store import StateStore, make_room
from rewardsmith.modeling.tree_attention import forward_inputs

logger = logging.getLogger(__name__)

_FINAL_NORMS = ("norm", "final_layer_norm", "final_layernorm", "ln_f")


class FrozenPrefix:
    """The first `depth` layers of a decoder, frozen, with a memory of what they gave."""

    def __init__(self, backbone: PreTrainedModel, depth: int, store: StateStore) -> None:
        self.bottom = _part(backbone, 0, depth, final_norm=False)
        self.top = _part(backbone, depth, None, final_norm=True)
        self.store = store

    def hidden(self, rows: Rows) -> torch.Tensor:
        """The last hidden states [1, T, H] of tree rows."""
        states = self._remembered(rows)
        if states is None:
            with torch.no_grad():
                states = self.bottom(**forward_inputs(rows)).last_hidden_state
            self._remember(rows, states)
        inputs = forward_inputs(rows)
        inputs.pop("input_ids")
        output: torch.Tensor = self.top(inputs_embeds=states, **inputs).last_hidden_state
        return output

    def _remembered(self, rows: Rows) -> torch.Tensor | None:
        found = [self.store.get(key) for key in _keys(rows)]
        if any(states is None for states in found):
            return None
        flat = torch.empty(rows.input_ids.numel(), self.store.width)
        flat[rows.member.cpu()] = torch.cat([torch.from_numpy(states.copy()) for states in found if states is not None])
        return flat.unsqueeze(0).to(rows.input_ids.device)

    def _remember(self, rows: Rows, states: torch.Tensor) -> None:
        flat = states[0].float().cpu()
        parts = torch.split(flat[rows.member.cpu()], _lengths(rows))
        self.store.put({key: part.numpy() for key, part in zip(_keys(rows), parts, strict=True)})


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
    root = cache_root() / "frozen"
    digest = hashlib.blake2b(digest_size=16)
    for p in parameters:
        digest.update(p.detach().cpu().contiguous().numpy().tobytes())
    make_room(root)
    store = StateStore(root / f"{digest.hexdigest()}-{depth}", backbone.config.get_text_config().hidden_size)
    prefix = FrozenPrefix(backbone, depth, store)
    if not _agrees(prefix, backbone):
        logger.warning("%s cannot be entered at layer %d: frozen layers are run anew", type(backbone).__name__, depth)
        return None
    return prefix


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


def _keys(rows: Rows) -> list[str]:
    """A hash of each sequence's tokens."""
    tokens = rows.input_ids.reshape(-1)[rows.member].cpu()
    parts = torch.split(tokens, _lengths(rows))
    return [hashlib.blake2b(part.numpy().tobytes(), digest_size=16).hexdigest() for part in parts]


def _lengths(rows: Rows) -> list[int]:
    """Tokens of each sequence."""
    lengths: list[int] = torch.bincount(rows.owner.cpu()).tolist()
    return lengths
