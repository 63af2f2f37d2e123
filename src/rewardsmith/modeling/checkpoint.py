"""Saving reward models.

A portable model is a standard `AutoModelForSequenceClassification` folder with one label and `rewardsmith.json` beside
it. What that class cannot express is saved under a model type of its own, which the Auto classes refuse by name: a
reader that does not know it must fail, never draw a random head.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rewardsmith.errors import ModelError, OutputExistsError, RewardsmithError
from rewardsmith.modeling.backbone import first_line, heads_of, is_decoder, merged, precision_of, quiet, unwrap
from rewardsmith.modeling.heads import Head, LinearHead, MixtureHead, MLPHead
from rewardsmith.modeling.info import ModelInfo
from rewardsmith.modeling.posterior import Posterior
from rewardsmith.modeling.reference import Reference

if TYPE_CHECKING:
    from peft import PeftModel

MODELS = "models"
"""Folder of a run that holds one model for each domain."""

OWN_TYPE = "rewardsmith"
"""Model type of what the Auto classes cannot express."""

ADAPTER = "adapter_config.json"
"""Name of the file by which a folder is known for a peft adapter."""


class ModelParts(NamedTuple):
    """What a reward model is made of, and all that a checkpoint holds."""

    network: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    info: ModelInfo
    own_head: Head | None = None
    posterior: Posterior | None = None
    reference: Reference | None = None


def save_parts(model: ModelParts, path: Path, *, merge: bool = True, overwrite: bool = False) -> Path:
    """Saves `model` with its tokenizer to the folder `path`, whole or not at all, and checks what was written.

    Args:
        merge: fold LoRA adapters into the weights; otherwise a PEFT folder is saved.
        overwrite: replace a model that is there; a folder that holds anything else is refused all the same.

    Raises:
        OutputExistsError: `path` holds something already.
        ModelError: a model of several domains (save `domain_model` of each).
        RewardsmithError: the folder cannot be written, or does not give back what was saved.
    """
    if (count := len(model.info.domains)) != 1:
        raise ModelError(f"a saved model has one reward; this one has {count}: save the model of each domain")
    try:
        _check_free(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OutputExistsError:
        raise
    except OSError as error:
        raise RewardsmithError(f"cannot write to {path.parent}: {error.strerror}; name another folder") from error
    try:
        whole = scratch / "new"
        whole.mkdir()
        _write(model, whole, merge)
        if path.exists():
            path.rename(scratch / "old")
        whole.rename(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, RewardsmithError):
            raise
        if (scratch / "old").exists():
            (scratch / "old").rename(path)
        reason = getattr(error, "strerror", None) or first_line(error)
        raise RewardsmithError(
            f"the model could not be saved to {path}: {reason}; nothing was changed there: make room, or name another "
            "folder"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return path


def _write(model: ModelParts, folder: Path, merge: bool) -> None:
    precision = precision_of(unwrap(model.network).config)
    info = model.info.model_copy(update={"portable": model.own_head is None, "precision": precision})
    adapted = model.network is not unwrap(model.network)
    with _clean_config(unwrap(model.network)):
        if not info.portable:
            _write_own(model, folder)
        elif adapted and not merge:
            _write_adapter(model, folder)
        else:
            network = merged(model.network)
            with quiet():
                network.save_pretrained(folder)
            above = tuple(f"{name}." for name in heads_of(network))
            _check_written(folder, {k: v for k, v in network.state_dict().items() if k.startswith(above)})
    model.tokenizer.save_pretrained(folder)
    info.write(folder)
    if model.posterior is not None:
        model.posterior.write(folder)
    if model.reference is not None:
        model.reference.write(folder)


@contextmanager
def _clean_config(network: PreTrainedModel) -> Iterator[None]:
    """Saves without the run-time settings that training leaves in the configuration."""
    kept = network.config.use_cache if hasattr(network.config, "use_cache") else None
    if kept is not None:
        network.config.use_cache = True
    try:
        yield
    finally:
        if kept is not None:
            network.config.use_cache = kept


def _write_adapter(model: ModelParts, folder: Path) -> None:
    from peft import get_peft_model_state_dict

    wrapped: Any = model.network
    heads = [f".{name}." for name in heads_of(unwrap(model.network))]
    tensors = get_peft_model_state_dict(wrapped)
    if lacking := [name.strip(".") for name in heads if not any(name in key for key in tensors)]:
        raise RewardsmithError(f"the adapter would be saved without its {lacking[0]}; it must be in modules_to_save")
    with quiet():
        wrapped.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)  # an empty form
    _check_written(folder, tensors)


def _write_own(model: ModelParts, folder: Path) -> None:
    """A shape the Auto classes cannot express: weights under our own model type."""
    network = merged(model.network)
    assert model.own_head is not None
    tensors = {f"backbone.{k}": v for k, v in network.base_model.state_dict().items()}
    tensors |= {f"head.{k}": v for k, v in model.own_head.state_dict().items()}
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    _check_written(folder, {k: v for k, v in tensors.items() if k.startswith("head.")})
    config = {"model_type": OWN_TYPE, "architectures": ["RewardsmithModel"], "backbone": network.config.to_dict()}
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8")


def own_head(info: ModelInfo, network: PreTrainedModel) -> Head | None:
    """A new head of our own for the shape that `info` describes; None where the architecture's own head does.

    Where it is needed, what the architecture has above its backbone lies idle: frozen, and zero, so that a model which
    is loaded twice is the same to whoever hashes its weights.
    """
    native = info.pooling == "native" or (info.pooling == "last" and is_decoder(network))
    if info.head == "linear" and info.layers is None and native:
        return None
    for idle in heads_of(network).values():
        for weight in idle.requires_grad_(False).parameters():
            weight.data.zero_()
    config = network.config.get_text_config()
    width = config.hidden_size * len(info.layers or [0])
    outputs = len(info.domains)
    head: Head
    if info.head == "mixture":
        head = MixtureHead(width, config.hidden_size, len(info.experts or []), outputs)
    elif info.head == "mlp":
        head = MLPHead(width, config.hidden_size, outputs)
    else:
        head = LinearHead(width, outputs)
    # Heads stay in float32 whatever the backbone's precision, and are small.
    return head.float()


def _check_written(folder: Path, want: dict[str, torch.Tensor]) -> None:
    """Reads weights back from what was written: a head lost in saving is found now, not at the user's site."""
    left = dict(want)
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            for key in set(stored.keys()) & set(left):
                if torch.equal(stored.get_tensor(key), left[key].cpu()):
                    left.pop(key)
    if left:
        raise RewardsmithError(f"the saved model does not give back its weights ({', '.join(sorted(left)[:3])})")


def folder_name(name: str) -> str:
    """A domain's name as that of its model's folder: what a path would take apart is replaced."""
    return name.replace("/", "-").lstrip(".") or "domain"


def is_model(folder: Path) -> bool:
    """Whether the folder holds a model or an adapter."""
    return any((folder / name).is_file() for name in ("config.json", ADAPTER))


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not overwrite):
        raise OutputExistsError(f"{path} exists and is not empty; name another folder or overwrite it")
    if path.is_dir() and any(path.iterdir()) and not is_model(path):
        raise OutputExistsError(f"{path} holds something that is no model; it is not overwritten: name another folder")
