"""Linear layers in float32 on CPUs where PyTorch's own matmul leaves half of the machine idle.

PyTorch multiplies float32 matrices with MKL, which takes its AVX2 path on AVX-512 CPUs that Intel did not make. oneDNN,
which builds of PyTorch for x86 carry too, does not ask who made the CPU: at equal rounding it is 2.2 times as fast on a
Zen 5. `torch.backends.mkldnn.enabled = False` leaves everything with MKL.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

_LEAST_WORK = 1 << 22
"""Multiplications below which the call costs more than it saves."""

_CPUINFO = Path("/proc/cpuinfo")


def _onednn_is_faster() -> bool:
    """AVX-512 on a CPU of another maker than Intel, in a build of PyTorch that has the operator."""
    return (
        hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "GenuineIntel" not in (_CPUINFO.read_text() if _CPUINFO.exists() else platform.processor())
    )


ONEDNN_IS_FASTER = _onednn_is_faster()
"""Whether this machine gains."""


class CPULinear(nn.Linear):
    """`nn.Linear`, computed by `cpu_linear`; names, weights and results are the same."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """`input` [..., in] to [..., out]."""
        return cpu_linear(input, self.weight, self.bias)


def speed_up_linears(network: nn.Module) -> None:
    """Makes every plain `nn.Linear` of `network` a `CPULinear`, in place; nothing on machines that do not gain."""
    if not ONEDNN_IS_FASTER:
        return
    for module in network.modules():
        if type(module) is nn.Linear:
            module.__class__ = CPULinear


def cpu_linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`torch.nn.functional.linear`, by oneDNN where this is faster: float32 on a CPU that MKL does not favour."""
    if not _multiplies(input, weight):
        return F.linear(input, weight, bias)
    product: torch.Tensor = _onednn_linear(input.flatten(0, -2), weight, bias)
    return product.view(*input.shape[:-1], weight.shape[0])


def _multiplies(input: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether oneDNN is to multiply these."""
    return bool(
        ONEDNN_IS_FASTER
        and input.dtype == weight.dtype == torch.float32
        and input.device.type == weight.device.type == "cpu"
        and input.ndim > 1
        and input.numel() * weight.shape[0] >= _LEAST_WORK
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
    )


# An operator of its own, and not a plain autograd function: torch.compile passes it through without looking inside.
@torch.library.custom_op("rewardsmith::onednn_linear", mutates_args=())
def _onednn_linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`input` [n, in], `weight` [out, in], `bias` [out] to [n, out]; transposed views are read as they lie."""
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return product


@_onednn_linear.register_fake
def _(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return input.new_empty(input.shape[0], weight.shape[0])


def _save(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None], output: torch.Tensor) -> None:
    input, weight, _ = inputs
    ctx.save_for_backward(
        input if ctx.needs_input_grad[1] else None,
        weight if ctx.needs_input_grad[0] else None,
    )


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    input, weight = ctx.saved_tensors
    return (
        _onednn_linear(grad, weight.t(), None) if ctx.needs_input_grad[0] else None,
        _onednn_linear(grad.t(), input.t(), None) if ctx.needs_input_grad[1] else None,
        grad.sum(0) if ctx.needs_input_grad[2] else None,
    )


_onednn_linear.register_autograd(_backward, setup_context=_save)
