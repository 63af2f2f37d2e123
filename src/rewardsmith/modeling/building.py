"""Building a trainable reward model from a backbone: depth, head, pooling, adapters, freezing, imitation.

What comes out is a `RewardModel` whose head is new. It knows nothing of recipes or stages.
"""

from __future__ import annotations

import re

from torch import nn
from transformers import PreTrainedModel

from rewardsmith.batching.templates import TEMPLATES, set_template
from rewardsmith.batching.tokenizing import context_limit
from rewardsmith.errors import ModelError, nearest
from rewardsmith.modeling.backbone import (
    cut_depth,
    embedding_of,
    empty_network,
    ensure_pad_token,
    heads_of,
    is_decoder,
    layers_of,
    load_config,
    load_lm_head,
    load_network,
    load_tokenizer,
    output_layer,
    position_limit,
    resolve,
)
from rewardsmith.modeling.checkpoint import own_head
from rewardsmith.modeling.heads import initialise
from rewardsmith.modeling.imitation import LanguageModelHead
from rewardsmith.modeling.info import ModelInfo
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec, LoraSpec


def build_reward_model(spec: BackboneSpec, domains: list[str] | None = None, *, weights: bool = True) -> RewardModel:
    """A reward model with a new head, one output for each of `domains`, on the backbone that `spec` names.

    Args:
        weights: False gives its shape alone, on PyTorch's meta device: in no time, of no use but to be looked at.

    Raises:
        ModelError: the backbone is none, or cannot take the shape asked for.
    """
    name = resolve(spec.model)
    config = load_config(name)
    total = config.get_text_config().num_hidden_layers
    cut_depth(config.get_text_config(), spec.depth)
    names = domains or ["general"]
    if weights:
        network, _ = load_network(name, config, len(names), spec.precision)
    else:
        network = empty_network(name, config, len(names))
    tokenizer = load_tokenizer(name)
    set_template(tokenizer, spec.template)
    ensure_pad_token(network, tokenizer)
    _check_layers(spec.layers, spec.depth or total)
    limit = context_limit(tokenizer, position_limit(network))
    if limit is not None and spec.max_length > limit:
        raise ModelError(f"max_length {spec.max_length} is more than {spec.model!r} can read; give at most {limit}")
    info = ModelInfo(
        pooling=spec.pooling,
        head=spec.head,
        experts=spec.experts,
        layers=spec.layers,
        depth=spec.depth,
        domains=names,
        max_length=spec.max_length,
        provenance={"backbone": spec.model},
    )
    own = own_head(info, network)
    info.portable = own is None
    if own is None:
        holder, layer = output_layer(network)
        initialise(getattr(holder, layer))
    model = RewardModel(network, tokenizer, info, own)
    if is_decoder(network) and spec.pooling in ("native", "last") and not model.text.end_of_turn:
        raise ModelError(
            f"the chat template of {spec.model!r} ends a response without an end-of-turn token, where the reward would "
            f"be read; name another with backbone.template: {' | '.join(TEMPLATES)}"
        )
    if spec.lora is not None:
        add_lora(model, spec.lora)
    return model


def add_lora(model: RewardModel, spec: LoraSpec, frozen: int = 0) -> None:
    """Wraps the network in LoRA (or DoRA) adapters; what is new above the backbone trains in full beside them and is
    saved with them. The first `frozen` layers get none: their weights stay those that others share.

    Raises:
        ModelError: no layer is left to adapt, or none has a name that `spec` gives.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    there = dict(model.backbone.named_modules())
    for target in () if isinstance(spec.targets, str) else spec.targets:
        if not any(f".{name}".endswith(f".{target}") for name in there):
            names = dict.fromkeys(n.rpartition(".")[2] for n, module in there.items() if isinstance(module, nn.Linear))
            hint = nearest(target, names)
            raise ModelError(f"lora.targets: no layer is called {target!r}{hint}; there are {', '.join(names)}")
    heads = heads_of(model.inner)
    excluded = [*heads, *_lowest_layers(model.inner, frozen)]
    exclude = rf"(.*\.)?({'|'.join(re.escape(name) for name in excluded)})(\..*)?"
    settings = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=spec.rank,
        lora_alpha=spec.alpha,  # type: ignore[arg-type]  # peft divides it: a float does as well
        lora_dropout=spec.dropout,
        target_modules=spec.targets,
        modules_to_save=list(heads) if model.own_head is None else None,
        exclude_modules=exclude,
        use_dora=spec.dora,
    )
    model.network = get_peft_model(model.inner, settings)
    if model.own_head is not None:
        # peft lets the architecture's head train unasked; beside a head of our own it lies idle.
        for idle in heads_of(model.inner).values():
            idle.requires_grad_(False)


def _lowest_layers(network: PreTrainedModel, count: int) -> list[str]:
    """Names of the first `count` layers."""
    total = network.config.get_text_config().num_hidden_layers
    if count >= total:
        raise ModelError(f"lora has nothing to adapt: all {total} layers are frozen; lower freeze_layers")
    layers = layers_of(network.base_model, total)
    place = next(name for name, module in network.named_modules() if module is layers)
    return [f"{place}.{k}" for k in range(count)]


def prepare_imitation(model: RewardModel, spec: BackboneSpec) -> None:
    """Gives the model its language-modelling head.

    Raises:
        ModelError: the backbone is an encoder, or its language-modelling head is not at hand.
    """
    refuse_imitation(model, spec)
    config = model.inner.config.get_text_config()
    tied = getattr(config, "tie_word_embeddings", False)
    untied = None if tied else load_lm_head(resolve(spec.model), spec.precision)
    softcap = getattr(config, "final_logit_softcapping", None)
    model.lm_head = LanguageModelHead(embedding_of(model.inner), untied, softcap)


def refuse_imitation(model: RewardModel, spec: BackboneSpec) -> None:
    """Raises ModelError for a backbone that is no language model, or whose logits are not known."""
    if not is_decoder(model.inner):
        raise ModelError(f"imitation needs a decoder; {spec.model!r} is an encoder: set imitation to 0")
    config = model.inner.config.get_text_config()
    scaled = next((name for name in ("logit_scale", "logits_scaling") if getattr(config, name, None)), None)
    if scaled:
        raise ModelError(f"imitation does not know the {scaled} of {spec.model!r}: set imitation to 0")


def freeze_layers(model: RewardModel, count: int) -> None:
    """`freeze_network` on a reward model's own."""
    freeze_network(model.inner, count)


def freeze_network(network: PreTrainedModel, count: int) -> None:
    """Freezes the embeddings and the first `count` layers; 0 freezes nothing.

    Raises:
        ModelError: the backbone has fewer layers.
    """
    total = network.config.get_text_config().num_hidden_layers
    if count > total:
        raise ModelError(f"cannot freeze {count} layers: the backbone has {total}")
    if count == 0:
        return
    getattr(network.base_model, "embeddings", embedding_of(network)).requires_grad_(False)
    for layer in list(layers_of(network.base_model, total))[:count]:
        layer.requires_grad_(False)


def _check_layers(layers: list[int] | None, total: int) -> None:
    if layers is not None and (not layers or any(not 1 <= k <= total for k in layers)):
        raise ModelError(f"layers {layers}: give numbers from 1 to {total}, the layers of the backbone")
