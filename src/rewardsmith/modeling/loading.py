"""Loading reward models: ours in any form, a run's folder, a peft adapter, or what other tools trained.

Whatever is loaded has a trained head: a checkpoint without one is refused, never given a random one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rewardsmith.batching.templates import TEMPLATES
from rewardsmith.batching.tokenizing import context_limit
from rewardsmith.errors import ModelError, nearest
from rewardsmith.modeling.backbone import (
    LOAD_ERRORS,
    cut_depth,
    ensure_pad_token,
    first_line,
    fit_vocabulary,
    load_config,
    load_network,
    load_tokenizer,
    position_limit,
    precision_of,
    refuse_missing,
    resolve,
    set_pad_id,
)
from rewardsmith.modeling.checkpoint import ADAPTER, MODELS, OWN_TYPE, ModelParts, folder_name, is_model, own_head
from rewardsmith.modeling.embedded import EMBEDDED
from rewardsmith.modeling.info import FILE_NAME, ModelInfo, read_info
from rewardsmith.modeling.posterior import read_posterior
from rewardsmith.modeling.reference import read_reference

_OTHER_FORMATS = ["*.h5", "*.msgpack", "*.onnx", "*.gguf", "*.ot", "onnx/*", "openvino/*"]
"""Weights that PyTorch does not read: not fetched."""


def load_parts(path: str | Path, domain: str | None = None) -> ModelParts:
    """Loads any reward model on the CPU: see `RewardModel.from_pretrained`."""
    name = _locate(str(path), domain)
    return _load(name)._replace(posterior=read_posterior(Path(name)), reference=read_reference(Path(name)))


def _load(name: str) -> ModelParts:
    folder = Path(name)
    if (folder / ADAPTER).is_file():
        return _load_adapter(folder)
    if (own := _own_config(folder)) is not None:
        return _load_own(folder, own)
    config = load_config(name)
    _check_reward_config(name, config)
    network, drawn = load_network(name, config, 1, precision_of(config))
    if drawn:
        raise ModelError(
            f"{name!r} has no reward head ({min(drawn)} is not among its weights); train it first: rewardsmith train"
        )
    tokenizer = load_tokenizer(name)
    _require_template(tokenizer, name)
    pad_id = config.get_text_config().pad_token_id
    if pad_id is None or not 0 <= pad_id < len(tokenizer):
        ensure_pad_token(network, tokenizer)
    elif tokenizer.pad_token_id != pad_id:
        # The class reads the last token that is not this one: what the weights were trained with counts.
        tokenizer.pad_token_id = pad_id
    return ModelParts(network, tokenizer, read_info(folder) or _foreign_info(network, tokenizer))


def check_reward_model(path: str | Path) -> None:
    """Raises ModelError where `load_parts` would for want of a reward model; reads small files alone."""
    name = _locate(str(path), None)
    folder = Path(name)
    if (folder / ADAPTER).is_file() or _own_config(folder) is not None:
        read_info(folder)
        return
    _check_reward_config(name, load_config(name))
    _require_template(load_tokenizer(name), name)


def tokenizer_of(path: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer alone of any model: a folder's, a run's, the hub's; no weights are fetched or read.

    Raises:
        ModelError: there is no such model, or it has no tokenizer.
    """
    name = _locate(str(path), None) if Path(path).exists() else resolve(str(path))
    own = _own_config(Path(name))
    return load_tokenizer(name, None if own is None else _backbone_config(Path(name), own))


def _locate(name: str, domain: str | None) -> str:
    """A model folder behind `name`; in a run's folder, that of `domain`, or the only one."""
    models = Path(name) / MODELS
    if not models.is_dir():
        if Path(name).is_dir() and not is_model(Path(name)):
            raise ModelError(f"{name} is a folder without a model: no config.json, no {MODELS}/; name a model or a run")
        return _from_hub(name) if name != EMBEDDED and not Path(name).exists() else resolve(name)
    found = sorted(f.name for f in models.iterdir() if (f / FILE_NAME).is_file())
    if domain is None and len(found) == 1:
        return str(models / found[0])
    if domain is None or (chosen := folder_name(domain)) not in found:
        hint = nearest(domain, found) if domain else ""
        wanted = f"no model of domain {domain!r}{hint}" if domain else "several models; name one with --domain"
        raise ModelError(f"{name} holds {wanted}: {', '.join(found) or 'none yet'}")
    return str(models / chosen)


def _from_hub(name: str) -> str:
    """The local copy of a hub model, with every small file it has (`rewardsmith.json` among them)."""
    from huggingface_hub import snapshot_download

    refuse_missing(name)
    try:
        return snapshot_download(name, ignore_patterns=_OTHER_FORMATS)
    except LOAD_ERRORS as error:
        raise ModelError(f"{name!r} is neither a folder nor a hub model at hand: {first_line(error)}") from error


def _check_reward_config(name: str, config: PreTrainedConfig) -> None:
    kinds = config.architectures or []
    if not any("SequenceClassification" in kind or "RewardModel" in kind for kind in kinds):
        raise ModelError(
            f"{name!r} is {kinds[0] if kinds else 'a model'} and no reward model (AutoModelForSequenceClassification "
            "with one label); train one from it: rewardsmith train"
        )
    if config.num_labels != 1:
        raise ModelError(
            f"{name!r} has {config.num_labels} labels and a reward model one; name another, or train one from it: "
            "rewardsmith train"
        )


def _load_own(folder: Path, raw: dict[str, Any]) -> ModelParts:
    info = read_info(folder)
    if info is None:
        raise ModelError(f"{folder} lacks {FILE_NAME}; it was not copied whole")
    auto: Any = AutoModelForSequenceClassification
    config = _backbone_config(folder, raw)
    try:
        network = auto.from_config(config, dtype=config.dtype)
        own = own_head(info, network)
        assert own is not None
        tensors = load_file(folder / "model.safetensors")
        network.base_model.load_state_dict(_part(tensors, "backbone."))
        own.load_state_dict(_part(tensors, "head."))
    except LOAD_ERRORS as error:
        raise ModelError(f"{str(folder)!r} cannot be loaded, it is damaged: {first_line(error)}") from error
    tokenizer = load_tokenizer(str(folder), config)
    return ModelParts(network, tokenizer, info, own)


def _load_adapter(folder: Path) -> ModelParts:
    from peft import PeftConfig, PeftModel

    info = read_info(folder)
    tokenizer = load_tokenizer(str(folder))
    _require_template(tokenizer, str(folder))
    try:
        base = resolve(str(PeftConfig.from_pretrained(str(folder)).base_model_name_or_path))
        stored = set(load_file(folder / "adapter_model.safetensors"))
    except LOAD_ERRORS as error:
        raise ModelError(f"{str(folder)!r} is no adapter that peft can load: {first_line(error)}") from error
    config = load_config(base)
    cut_depth(config.get_text_config(), info.depth if info else None)
    network, drawn = load_network(base, config, 1, info.precision if info and info.precision else precision_of(config))
    for key in sorted(drawn):
        if f"base_model.model.{key}" not in stored:
            raise ModelError(f"{str(folder)!r} has no reward head: neither it nor its base {base!r} holds {key}")
    fit_vocabulary(network, tokenizer)
    if tokenizer.pad_token_id is None:
        ensure_pad_token(network, tokenizer)
    set_pad_id(network, tokenizer)
    wrapped = PeftModel.from_pretrained(network, str(folder))
    return ModelParts(wrapped, tokenizer, info or _foreign_info(network, tokenizer))


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _require_template(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    if not tokenizer.chat_template:
        raise ModelError(
            f"the tokenizer of {name!r} has no chat template, so its input form is unknown; "
            f"set one in its folder (chat_template.jinja), for example that of {' or '.join(TEMPLATES)}"
        )


def _foreign_info(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> ModelInfo:
    """What can be known of a model that was trained elsewhere."""
    return ModelInfo(max_length=context_limit(tokenizer, position_limit(network)))


def _backbone_config(folder: Path, own: dict[str, Any]) -> PreTrainedConfig:
    try:
        settings = dict(own["backbone"])
        return AutoConfig.for_model(settings.pop("model_type"), **settings)
    except LOAD_ERRORS as error:
        raise ModelError(
            f"{str(folder)!r} cannot be loaded, its config.json is damaged: {first_line(error)}"
        ) from error


def _own_config(folder: Path) -> dict[str, Any] | None:
    """The configuration of a model under our own type; None for all others."""
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # what is wrong with it will be said where it is loaded
    return raw if isinstance(raw, dict) and raw.get("model_type") == OWN_TYPE else None
