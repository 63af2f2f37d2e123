"""Loading pretrained networks: the standard sequence-classification class of any architecture, cut to a depth.

It knows nothing of pooling, preferences or our own checkpoint form.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from rewardsmith.batching.tokenizing import ConversationTokenizer
from rewardsmith.errors import ModelError
from rewardsmith.hub import hub_fault, is_cached
from rewardsmith.modeling.embedded import EMBEDDED, embedded_model
from rewardsmith.modeling.spec import Precision
from rewardsmith.preferences.record import Message

if TYPE_CHECKING:
    from peft import PeftModel


_DAMAGED = (SafetensorError, StrictDataclassError)
LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, AssertionError, *_DAMAGED)
"""What transformers and safetensors raise on a file that is missing, damaged or not what it should be."""

_PAD_CANDIDATES = ("<|endoftext|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<unk>")


@contextmanager
def quiet() -> Iterator[None]:
    """Silences transformers' progress bars and load reports: what they tell of is checked and said by us."""
    logs: Any = transformers_logging  # untyped
    verbosity = logs.get_verbosity()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(verbosity)
        logs.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def resolve(name: str) -> str:
    """The folder or hub name behind `name`; `embedded` is unpacked on first use."""
    return str(embedded_model()) if name == EMBEDDED else name


def refuse_missing(name: str) -> None:
    """Refuses what can only be a folder and is not there, what is a file, and a hub model that is not in the local
    cache while the hub cannot be reached.

    Raises:
        ModelError: as said.
    """
    if Path(name).is_file():
        raise ModelError(f"{name} is a file; name the folder that it is in, a hub model or {EMBEDDED!r}")
    if not Path(name).exists() and (name.startswith(("/", ".", "~")) or name.count("/") > 1):
        raise ModelError(f"there is no folder {name!r}; name a model's folder, a hub model or {EMBEDDED!r}")
    if not Path(name).exists() and not is_cached(name) and (fault := hub_fault()):
        raise ModelError(
            f"there is no folder {name!r}, no such model was downloaded before, and the hub does not answer ({fault}); "
            "name a model's folder, or run again with a network"
        )


def load_config(name: str) -> PreTrainedConfig:
    """The configuration of a folder or hub model.

    Raises:
        ModelError: there is no model of that name, or the folder is none.
    """
    refuse_missing(name)
    try:
        return cast(PreTrainedConfig, AutoConfig.from_pretrained(name))
    except LOAD_ERRORS as error:
        kind = "folder" if Path(name).exists() else "model"
        raise ModelError(f"{name!r} is no {kind} that transformers can load: {first_line(error)}") from error


def load_tokenizer(name: str, config: PreTrainedConfig | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, padding on the right; `config` where transformers cannot read the model's own.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    refuse_missing(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, config=config)
    except LOAD_ERRORS as error:
        raise ModelError(f"{name!r} has no tokenizer that can be loaded: {first_line(error)}") from error
    tokenizer.padding_side = "right"
    return tokenizer


def load_network(
    name: str, config: PreTrainedConfig, outputs: int = 1, dtype: Precision = "float32"
) -> tuple[PreTrainedModel, set[str]]:
    """The sequence-classification network of `name`, and which of its weights are newly drawn: those of the head and
    pooler, where the checkpoint has none or of another number of labels.

    Raises:
        ModelError: the weights cannot be read, the architecture has no such class, or the backbone is incomplete.
    """
    config.num_labels = outputs
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "ignore_mismatched_sizes": True}
    try:
        with quiet():
            network, report = AutoModelForSequenceClassification.from_pretrained(
                name, config=config, output_loading_info=True, **options
            )
    except LOAD_ERRORS as error:
        raise ModelError(f"{name!r} cannot be loaded: {first_line(error)}") from error
    drawn = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    above = tuple(f"{part}." for part in heads_of(network))
    trunk = sorted(key for key in drawn if not key.startswith(above))
    if trunk:
        raise ModelError(f"{name!r} lacks weights of its backbone, for example {trunk[0]!r}; it was not copied whole")
    return network, drawn


def empty_network(name: str, config: PreTrainedConfig, outputs: int = 1) -> PreTrainedModel:
    """The network of `config` on the meta device: its shape, without weights.

    Raises:
        ModelError: the architecture has no class for sequence classification.
    """
    config.num_labels = outputs
    auto: Any = AutoModelForSequenceClassification
    try:
        with quiet(), torch.device("meta"):
            return cast(PreTrainedModel, auto.from_config(config))
    except LOAD_ERRORS as error:
        raise ModelError(f"{name!r} cannot be a reward model: {first_line(error)}") from error


def cut_depth(config: PreTrainedConfig, depth: int | None) -> None:
    """Sets the number of layers in `config`; the weights of later layers are then not loaded.

    Raises:
        ModelError: the backbone has fewer layers.
    """
    if depth is None:
        return
    total = config.num_hidden_layers
    if not 1 <= depth <= total:
        raise ModelError(f"depth {depth} is not possible: the backbone has {total} layers; give 1 to {total}")
    config.num_hidden_layers = depth
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:depth]


def ensure_pad_token(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Gives model and tokenizer a pad token that is neither eos nor what the chat template ends with.

    A pad equal to eos makes a reader that looks for the last non-pad token stop one token early.
    """
    special = {tokenizer.eos_token_id, tokenizer.bos_token_id}
    if tokenizer.chat_template:
        special |= {_last_token(tokenizer)}
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in special:
        vocabulary = tokenizer.get_vocab()
        found = next((t for t in _PAD_CANDIDATES if t in vocabulary and vocabulary[t] not in special), None)
        if found is None:
            tokenizer.add_special_tokens({"pad_token": "[PAD]"})
            fit_vocabulary(network, tokenizer)
        else:
            tokenizer.pad_token = found
    set_pad_id(network, tokenizer)


def fit_vocabulary(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Adds rows to the embedding where the tokenizer has more tokens."""
    if len(tokenizer) > embedding_of(network).num_embeddings:
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def set_pad_id(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Tells the network the tokenizer's pad id, at both places where an architecture may look for it."""
    network.config.pad_token_id = network.config.get_text_config().pad_token_id = tokenizer.pad_token_id


def embedding_of(network: PreTrainedModel) -> nn.Embedding:
    """The input embedding."""
    return cast(nn.Embedding, network.get_input_embeddings())


def position_limit(network: PreTrainedModel) -> int | None:
    """Tokens for which the network has positions, or None where it sets no limit."""
    config = network.config.get_text_config()
    limit: int | None = getattr(config, "max_position_embeddings", None)
    embeddings = getattr(network.base_model, "embeddings", None)
    if limit is not None and hasattr(embeddings, "create_position_ids_from_input_ids"):
        # RoBERTa and its kin count positions from the pad id on.
        limit -= config.pad_token_id + 1
    return limit


def unwrap(network: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The Hugging Face network itself, whether or not adapters are wrapped around it."""
    get_base_model = getattr(network, "get_base_model", None)
    return cast(PreTrainedModel, get_base_model() if get_base_model else network)


def merged(network: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """A plain network with the adapters folded into its weights: a copy where there are some, else `network` itself."""
    plain = unwrap(network)
    if network is plain:
        return plain
    wrapped: Any = copy.deepcopy(network)
    return cast(PreTrainedModel, wrapped.merge_and_unload())


def is_decoder(network: PreTrainedModel) -> bool:
    """Whether the architecture's own class scores the last token: those put a head named `score` on every token."""
    return isinstance(getattr(network, "score", None), nn.Module)


def head_name(network: PreTrainedModel) -> str:
    """Name of the module that gives the labels, as the architecture has it.

    Raises:
        ModelError: an architecture whose head is named otherwise.
    """
    for name in ("score", "classifier"):
        if isinstance(getattr(network, name, None), nn.Module):
            return name
    raise ModelError(f"{type(network).__name__} has no head named score or classifier; use another architecture")


def output_layer(network: PreTrainedModel) -> tuple[nn.Module, str]:
    """The linear layer that gives the labels, as its parent and its name there: the head, or the last layer in it."""
    holder, name = cast(nn.Module, network), head_name(network)
    while not isinstance(layer := getattr(holder, name), nn.Linear):
        linear = [child for child, module in layer.named_children() if isinstance(module, nn.Linear)]
        if hasattr(layer, "modules_to_save"):  # peft's wrapper around a head that trains in full
            holder, name = layer.modules_to_save, layer.active_adapters[0]
        elif linear:
            holder, name = layer, linear[-1]
        else:
            raise ModelError(f"{type(network).__name__} has no linear head; use another architecture")
    return holder, name


def heads_of(network: PreTrainedModel) -> dict[str, nn.Module]:
    """Everything above the backbone that has weights (heads, poolers), by name: new in what was no classifier."""
    prefix = network.base_model_prefix
    above = {name: module for name, module in network.named_children() if name != prefix}
    if (pooler := getattr(network.base_model, "pooler", None)) is not None:
        above[f"{prefix}.pooler"] = pooler
    return {name: module for name, module in above.items() if any(True for _ in module.parameters())}


def layers_of(backbone: nn.Module, count: int) -> nn.ModuleList:
    """The list of transformer layers.

    Raises:
        ModelError: an architecture that keeps them otherwise.
    """
    for module in backbone.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"no list of {count} layers found in {type(backbone).__name__}")


def load_language_model(name: str, config: PreTrainedConfig, dtype: Precision) -> PreTrainedModel:
    """The causal language model of `name`.

    Raises:
        ModelError: the weights cannot be read, some are missing, or the architecture has no such class.
    """
    network, missing = _language_model(name, config, dtype)
    if missing:
        raise ModelError(f"{name!r} is no whole language model: it lacks, for example, {min(missing)!r}")
    return network


def load_lm_head(name: str, dtype: Precision) -> nn.Linear:
    """The language-modelling head of a decoder whose head is not its embedding.

    Raises:
        ModelError: the checkpoint has none.
    """
    config = load_config(name)
    cut_depth(config.get_text_config(), 1)
    language_model, missing = _language_model(name, config, dtype)
    head = cast(Any, language_model).get_output_embeddings()
    drawn = [weight for key, weight in language_model.named_parameters() if key in missing]
    if not isinstance(head, nn.Linear) or any(weight is head.weight for weight in drawn):
        raise ModelError(f"{name!r} has no language-modelling head; set imitation to 0 or name the original backbone")
    return head


def _language_model(name: str, config: PreTrainedConfig, dtype: Precision) -> tuple[PreTrainedModel, set[str]]:
    """The model, and the weights that its checkpoint lacks."""
    auto: Any = AutoModelForCausalLM
    try:
        with quiet():
            network, report = auto.from_pretrained(
                name, config=config, dtype=getattr(torch, dtype), output_loading_info=True
            )
    except LOAD_ERRORS as error:
        raise ModelError(f"{name!r} cannot be loaded as a language model: {first_line(error)}") from error
    return cast(PreTrainedModel, network), set(report["missing_keys"])


def precision_of(config: PreTrainedConfig) -> Precision:
    """The precision in which the weights are kept."""
    return "bfloat16" if config.dtype == torch.bfloat16 else "float32"


def _last_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    ids = ConversationTokenizer(tokenizer, 64).batch([([Message(role="user", content="q")], "a")])[0].ids
    return ids[-1] if ids else None
