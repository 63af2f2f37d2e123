"""Several domains on one backbone: a reward output for each, and each one's own model out of them."""

from __future__ import annotations

import copy

import torch
from torch import nn
from transformers import PreTrainedModel

from rewardsmith.errors import ModelError, nearest
from rewardsmith.modeling.backbone import head_name, merged, output_layer
from rewardsmith.modeling.reward_model import RewardModel


def replace_domains(model: RewardModel, domains: list[str]) -> None:
    """Gives `model` one output for each of `domains`, each a copy of the first output it has.

    Raises:
        ModelError: the model carries adapters, whose head cannot be exchanged.
    """
    if model.network is not model.inner:
        raise ModelError("a model with adapters cannot change its domains; save it merged and load it again")
    holder, name = _output_layer(model)
    old = getattr(holder, name)
    setattr(holder, name, _rows(old, _rows_of(model, 0) * len(domains)))
    _set_outputs(model.inner, len(domains))
    model.info = model.info.model_copy(update={"domains": list(domains)})


def domain_model(model: RewardModel, domain: str) -> RewardModel:
    """The model of one domain out of several: the backbone is shared, not copied (adapters are folded into a copy); the
    head is a copy. A model of that domain alone is given back itself.

    Raises:
        ModelError: the model has no such domain.
    """
    if domain not in model.info.domains:
        known = ", ".join(model.info.domains)
        raise ModelError(f"the model has no domain {domain!r}{nearest(domain, model.info.domains)}; it has {known}")
    if model.info.domains == [domain]:
        return model
    index = model.info.domains.index(domain)
    info = model.info.model_copy(update={"domains": [domain]})
    # Adapters hold the head of all domains: fold them in, on a copy, to take one domain out.
    network = copy.copy(model.inner) if model.network is model.inner else merged(model.network)
    network._modules = dict(network._modules)
    network.config = copy.deepcopy(network.config)
    head = head_name(network)
    setattr(network, head, copy.deepcopy(getattr(network, head)))
    _set_outputs(network, 1)
    single = RewardModel(network, model.tokenizer, info, copy.deepcopy(model.own_head))
    holder, name = _output_layer(single)
    setattr(holder, name, _rows(getattr(holder, name), _rows_of(model, index)))
    return single


def _output_layer(model: RewardModel) -> tuple[nn.Module, str]:
    return (model.own_head, "out") if model.own_head is not None else output_layer(model.inner)


def _rows_of(model: RewardModel, output: int) -> list[int]:
    """The rows of the output layer that give one output: a mixture has one for each expert."""
    experts = len(model.info.experts) if model.info.experts else 1
    return list(range(output * experts, (output + 1) * experts))


def _set_outputs(network: PreTrainedModel, count: int) -> None:
    network.config.num_labels = count
    if hasattr(network, "num_labels"):
        setattr(network, "num_labels", count)  # noqa: B010  (an attribute that the base class does not declare)


def _rows(linear: nn.Linear, indices: list[int]) -> nn.Linear:
    """A new linear layer with the chosen outputs of `linear`."""
    new = nn.Linear(linear.in_features, len(indices), bias=linear.bias is not None, dtype=linear.weight.dtype)
    new.to(linear.weight.device)
    with torch.no_grad():
        new.weight.copy_(linear.weight[indices])
        if linear.bias is not None:
            new.bias.copy_(linear.bias[indices])
    return new
