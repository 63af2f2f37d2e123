"""Compiling what is elementwise: norms and gated MLPs, where many small operators run over the same states.

Attention and the layers' order stay as they are, so prompt trees of any shape pass through one compiled graph. Seen on
two cores: a training step of SmolLM2-135M takes 12 % less time, after half a minute of compiling.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rewardsmith.errors import ModelError

_COMPILED = ("RMSNorm", "MLP")
"""Ends of the class names that transformers gives these modules; `nn.LayerNorm` is one kernel already."""


def compile_modules(network: nn.Module) -> int:
    """Compiles the normalisations and MLPs of `network` in place, for any number of tokens; gives how many there are.

    Results differ from uncompiled ones in rounding only. Names and weights of the modules stay the same.

    Raises:
        ModelError: this machine cannot compile.
    """
    found = [module for module in network.modules() if type(module).__name__.endswith(_COMPILED)]
    if found:
        _require_compiler()
    for module in found:
        module.compile(dynamic=True)
    return len(found)


def _double(x: torch.Tensor) -> torch.Tensor:
    return x + x


def _require_compiler() -> None:
    """Compiles something small: what fails fails here, with a plain message, not in the middle of the first step."""
    doubled: Any = torch.compile(_double)
    try:
        doubled(torch.zeros(2))
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            f"torch.compile does not work here ({first}); install a C++ compiler (g++), or leave `compile` out"
        ) from error
