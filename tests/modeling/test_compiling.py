"""Compiled modules give the same rewards and gradients, for any shape of batch, and save the same weights."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.errors import ModelError
from rewardsmith.modeling.compiling import compile_modules
from rewardsmith.modeling.reward_model import RewardModel

BATCHES = [
    [TokenizedResponse((11, 12, 13, 14), 2), TokenizedResponse((11, 12, 15), 2)],
    [TokenizedResponse(tuple(range(20, 20 + n)), 4) for n in (9, 17, 6)],
]


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_is_the_same_but_for_rounding(
    model_of: Callable[[str, str], RewardModel], rewards_and_gradients: Callable[..., Any], tmp_path: Path
) -> None:
    model = copy.deepcopy(model_of("llama", "last"))  # it is shared: other tests want it uncompiled
    plain = [rewards_and_gradients(model, batch) for batch in BATCHES]
    names = list(model.state_dict())
    layers = model.backbone.config.num_hidden_layers
    assert compile_modules(model.backbone) == 3 * layers + 1  # two norms and an MLP a layer, and the last norm
    for (rewards, gradients), batch in zip(plain, BATCHES, strict=True):
        again, compiled = rewards_and_gradients(model, batch)
        torch.testing.assert_close(again, rewards, rtol=1e-5, atol=1e-6)
        for name, gradient in gradients.items():
            assert (compiled[name] - gradient).norm() <= 1e-5 * gradient.norm(), name
    assert list(model.state_dict()) == names
    loaded = RewardModel.from_pretrained(model.save_pretrained(tmp_path / "model"))
    torch.testing.assert_close(loaded.rewards_of(BATCHES[0]), plain[0][0], rtol=1e-5, atol=1e-6)


def test_a_machine_that_cannot_compile_says_so_at_once(
    model_of: Callable[[str, str], RewardModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda _: broken)
    with pytest.raises(ModelError, match=r"does not work here.*No working C\+\+ compiler.*leave `compile` out"):
        compile_modules(model_of("llama", "last").backbone)
