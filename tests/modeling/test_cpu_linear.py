"""Linear layers by oneDNN: the same results and gradients, only where they gain, unseen by everything else."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.modeling import cpu_linear as module
from rewardsmith.modeling.compiling import compile_modules
from rewardsmith.modeling.cpu_linear import CPULinear, cpu_linear, speed_up_linears
from rewardsmith.modeling.reward_model import RewardModel

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this build of PyTorch is without oneDNN"
)
TEXTS = [TokenizedResponse(tuple(range(20, 20 + n)), 4) for n in (9, 17, 6)]


class Calls(TorchDispatchMode):
    """Counts oneDNN's multiplications within it."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += func is torch.ops.rewardsmith.onednn_linear.default
        return func(*args, **(kwargs or {}))


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this CPU gained, however little there is to multiply."""
    monkeypatch.setattr(module, "ONEDNN_IS_FASTER", True)
    monkeypatch.setattr(module, "_LEAST_WORK", 0)


@pytest.mark.parametrize("shape", [(5,), (2, 7), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("strided", [True, False])
def test_values_and_gradients_are_those_of_float64(
    always: None, shape: tuple[int, ...], bias: bool, strided: bool
) -> None:
    torch.manual_seed(0)
    x, w, b = torch.randn(*shape, 12), torch.randn(9, 12), torch.randn(9)
    x = x.repeat_interleave(2, dim=-1)[..., ::2] if strided else x
    weights = torch.randn(*shape, 9)

    def measure(linear: Callable[..., torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
        leaves = [t.to(dtype).detach().requires_grad_() for t in ((x, w, b) if bias else (x, w))]
        y = linear(*leaves)
        return [y.detach(), *torch.autograd.grad((y * weights.to(dtype)).sum(), leaves)]

    with Calls() as calls:
        found = measure(cpu_linear, torch.float32)
    assert calls.count == 3
    for tensor, truth in zip(found, measure(F.linear, torch.float64), strict=True):
        torch.testing.assert_close(tensor.double(), truth, rtol=1e-5, atol=1e-5)


def test_only_gradients_that_are_needed_are_computed(always: None) -> None:
    x, w = torch.randn(4, 3), torch.randn(2, 3)
    for wanted in (x, w):
        leaf = wanted.requires_grad_()
        with Calls() as calls:
            cpu_linear(x, w).sum().backward()
        assert calls.count == 2 and leaf.grad is not None
        leaf.requires_grad_(False)


def test_the_gradient_of_a_gradient_is_right(always: None) -> None:
    x, w = (torch.randn(4, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True))

    def curvature(linear: Callable[..., torch.Tensor]) -> torch.Tensor:
        (slope,) = torch.autograd.grad(linear(x, w).pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), w)[0]

    torch.testing.assert_close(curvature(cpu_linear), curvature(F.linear), rtol=1e-4, atol=1e-4)


def test_what_does_not_gain_is_left_to_pytorch(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = torch.randn(4, 3), torch.randn(2, 3)
    with Calls() as calls:
        cpu_linear(x.double(), w.double())
        cpu_linear(x[0], w)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert cpu_linear(x, w).dtype == torch.bfloat16
        with torch.backends.mkldnn.flags(enabled=False):
            cpu_linear(x, w)
        monkeypatch.setattr(module, "_LEAST_WORK", 4 * 3 * 2 + 1)
        cpu_linear(x, w)
        monkeypatch.undo()
        monkeypatch.setattr(module, "ONEDNN_IS_FASTER", False)
        cpu_linear(torch.randn(512, 256), torch.randn(256, 256))
    assert calls.count == 0


@pytest.mark.parametrize(
    ("maker", "capability", "gains"),
    [("AuthenticAMD", "AVX512", True), ("GenuineIntel", "AVX512", False), ("AuthenticAMD", "AVX2", False)],
)
def test_which_machines_gain(
    maker: str, capability: str, gains: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {maker}\n")
    monkeypatch.setattr(module, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert module._onednn_is_faster() is gains
    monkeypatch.setattr(module, "ONEDNN_IS_FASTER", gains)
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    speed_up_linears(network)
    assert all(isinstance(m, CPULinear) is gains for m in network.modules() if isinstance(m, nn.Linear))


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
@pytest.mark.parametrize("how", ["plain", "checkpointing", "lora", pytest.param("compiled", marks=pytest.mark.slow)])
def test_a_model_gives_the_same_and_saves_the_same(
    how: str,
    build: Callable[..., RewardModel],
    rewards_and_gradients: Callable[..., Any],
    always: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if how == "compiled" and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    from rewardsmith.modeling.spec import LoraSpec

    model = build("llama", **({"lora": LoraSpec(rank=2)} if how == "lora" else {}))
    assert any(isinstance(m, CPULinear) for m in model.network.modules())
    if how == "checkpointing":
        model.inner.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    with monkeypatch.context() as without:
        without.setattr(module, "ONEDNN_IS_FASTER", False)
        rewards, gradients = rewards_and_gradients(copy.deepcopy(model), TEXTS)
    if how == "compiled":
        assert compile_modules(model.backbone)
    with Calls() as calls:
        again, found = rewards_and_gradients(model, TEXTS)
    assert calls.count or how == "compiled"
    torch.testing.assert_close(again, rewards, rtol=1e-5, atol=1e-6)
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-8, name
    loaded = RewardModel.from_pretrained(model.eval().save_pretrained(tmp_path / "model"))
    torch.testing.assert_close(loaded.rewards_of(TEXTS), rewards, rtol=1e-5, atol=1e-6)
