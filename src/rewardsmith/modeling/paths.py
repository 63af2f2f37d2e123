"""The straight path between two reward models of one shape (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903), and a
change of the last layer alone: everywhere, or another one where a gate says so."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn

from rewardsmith.errors import ModelError
from rewardsmith.modeling.backbone import embedding_of, layers_of
from rewardsmith.modeling.heads import MixtureHead
from rewardsmith.modeling.reward_model import RewardModel


@torch.no_grad()
def interpolated(general: RewardModel, custom: RewardModel, strength: float) -> RewardModel:
    """A model with the weights `general + strength (custom - general)`; both stay as they are.

    Raises:
        ModelError: the two are not of one shape.
    """
    there, other = general.state_dict(), custom.state_dict()
    if there.keys() != other.keys() or any(there[key].shape != other[key].shape for key in there):
        raise ModelError("the two models are not of one shape: their weights cannot be mixed")
    new = copy.deepcopy(custom)
    mixed = {k: torch.lerp(there[k].float(), other[k].float(), strength).to(there[k].dtype) for k in there}
    new.load_state_dict(mixed)
    return new


def shared_layers(one: RewardModel, other: RewardModel) -> int:
    """How many layers, from the first, have the same weights in both models of one shape; 0 where the embeddings
    differ. All models on the path between the two share them."""
    if not _same(embedding_of(one.inner), embedding_of(other.inner)):
        return 0
    total = one.inner.config.get_text_config().num_hidden_layers
    pairs = zip(layers_of(one.backbone, total), layers_of(other.backbone, total), strict=True)
    return sum(1 for _ in itertools.takewhile(lambda pair: _same(*pair), pairs))


def _same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@torch.no_grad()
def with_residual(general: RewardModel, residual: torch.Tensor) -> RewardModel:
    """A copy of `general` whose last layer has `residual` [width] added to its weights (in a mixture, to those of every
    expert: the gate's shares add up to 1)."""
    new = copy.deepcopy(general)
    weight = new.last_layer.weight
    weight += residual.to(weight)
    return new


@torch.no_grad()
def with_gated_head(
    general: RewardModel, weights: torch.Tensor, strength: float, gate: tuple[torch.Tensor, float], name: str
) -> RewardModel:
    """A model with the reward `r_general + strength q (w·h - r_general)`, `q = σ(v·m + c)`, m the mean of the last
    hidden states: a mixture that has every expert of the general model twice, as it is and led towards w.

    Args:
        weights: w [width], of what the last layer reads.
        gate: v [hidden size] and c.
        name: of the preferences that the new experts are for.
    """
    new = copy.deepcopy(general)
    old = new.own_head
    weight, bias = gate
    experts = old.gate.out_features if isinstance(old, MixtureHead) else 1
    head = MixtureHead(new.last_layer.in_features, len(weight), 2 * experts, len(general.info.domains))
    for layer in (head.gate.weight, head.gate.bias):
        layer.zero_()
    if isinstance(old, MixtureHead):
        head.gate.weight[:experts] = head.gate.weight[experts:] = old.gate.weight
        head.gate.bias[:experts] = head.gate.bias[experts:] = old.gate.bias
    head.gate.weight[experts:] += weight.to(head.gate.weight)
    head.gate.bias[experts:] += bias
    # Rows are outputs of experts: of every output the old experts, then the new ones.
    rows = new.last_layer.weight.view(len(general.info.domains), experts, -1)
    led = torch.lerp(rows, weights.to(rows).expand_as(rows), strength)
    head.out.weight.copy_(torch.cat([rows, led], dim=1).flatten(0, 1))
    new.own_head = head.to(general.device)
    names = general.info.experts or ["general"]
    new.info = general.info.model_copy(
        update={"head": "mixture", "experts": [*names, *(f"{n} for {name}" for n in names)], "portable": False}
    )
    return new
