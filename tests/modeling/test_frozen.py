"""Frozen layers computed once: the same rewards and gradients as running them, and a store that survives a kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.errors import ModelError
from rewardsmith.modeling import frozen
from rewardsmith.modeling.building import add_lora, build_reward_model, freeze_layers, prepare_imitation
from rewardsmith.modeling.frozen import freeze_prefix
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec, LoraSpec
from rewardsmith.modeling.state_store import StateStore, make_room
from rewardsmith.preferences.record import Preference


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def step(model: RewardModel, preferences: list[Preference]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Rewards, and the gradients of everything that trains, of a loss over rewards and imitation."""
    model.zero_grad()
    sequences = model.text.batch([(p.prompt, r) for p in preferences for r in p.responses])
    output = model(model.layout().rows(sequences, [True] * len(sequences)))
    (output.rewards.pow(2).sum() + 0.01 * output.lm_nll.sum()).backward()
    return output.rewards.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma", "gemma2", "mistral", "gpt_neox"])
@pytest.mark.parametrize("depth", [1, 2])
def test_remembered_states_change_nothing(
    make_backbone: Callable[..., Path], tiny_preferences: list[Preference], name: str, depth: int
) -> None:
    spec = BackboneSpec(model=str(make_backbone(name)), max_length=128)
    model = build_reward_model(spec)
    prepare_imitation(model, spec)
    freeze_layers(model, depth)
    rewards, gradients = step(model, tiny_preferences)
    model.frozen = freeze_prefix(model.backbone, depth)
    assert model.frozen is not None
    for _ in ("computed and kept", "read back"):
        again, others = step(model, tiny_preferences)
        torch.testing.assert_close(again, rewards, rtol=1e-5, atol=1e-6)
        assert len(others) == len(gradients)
        for a, b in zip(others, gradients, strict=True):
            assert (a - b).norm() <= 1e-5 * b.norm() + 1e-12


def test_a_backbone_that_cannot_be_entered_is_run_anew(
    make_backbone: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Here the final norm goes by a name that is not known, so it would be applied twice."""
    monkeypatch.setattr(frozen, "_FINAL_NORMS", ())
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
    freeze_layers(model, 1)
    assert freeze_prefix(model.backbone, 1) is None
    assert "LlamaModel cannot be entered at layer 1" in caplog.text


def test_nothing_is_remembered_where_a_layer_below_trains(make_backbone: Callable[..., Path]) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
    assert freeze_prefix(model.backbone, 2) is None
    freeze_layers(model, 1)
    assert freeze_prefix(model.backbone, 2) is None
    assert freeze_prefix(model.backbone, 0) is None


def test_what_autocast_rounds_is_not_read_in_float32(
    make_backbone: Callable[..., Path], tiny_preferences: list[Preference]
) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
    freeze_layers(model, 1)
    model.frozen = freeze_prefix(model.backbone, 1)
    sequences = model.text.batch([(p.prompt, r) for p in tiny_preferences for r in p.responses])
    rows = model.layout().rows(sequences, [False] * len(sequences))[0]
    assert model.frozen is not None
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model.frozen.bottom(**frozen.forward_inputs(rows)).last_hidden_state.float()
            model.frozen.hidden(rows)
        exact = model.frozen.bottom(**frozen.forward_inputs(rows)).last_hidden_state
        model.frozen.hidden(rows)
    for block in frozen._blocks(rows):
        np.testing.assert_array_equal(model.frozen.store.get(block.key), exact[0].numpy()[block.places])
    assert not torch.equal(rounded, exact)


def test_other_weights_have_another_store(make_backbone: Callable[..., Path], own_cache: Path) -> None:
    for change in (0.0, 1.0):
        model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
        freeze_layers(model, 1)
        with torch.no_grad():
            model.inner.get_input_embeddings().weight[0, 0] += change
        assert freeze_prefix(model.backbone, 1) is not None
    assert len(list((own_cache / "frozen").iterdir())) == 2


def test_adapters_keep_off_frozen_layers_and_share_their_store(
    make_backbone: Callable[..., Path], own_cache: Path
) -> None:
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
        if seed:
            add_lora(model, LoraSpec(rank=2), frozen=2)
        freeze_layers(model, 2)
        prefix = freeze_prefix(model.backbone, 2)
        assert prefix is not None
        prefix.store.close()
    assert len(list((own_cache / "frozen").iterdir())) == 1
    adapted = {name.split(".layers.")[1][0] for name, p in model.named_parameters() if "lora_" in name}
    assert adapted == {"2"}
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
    with pytest.raises(ModelError, match="lora has nothing to adapt: all 3 layers are frozen"):
        add_lora(model, LoraSpec(rank=2), frozen=3)


def test_a_store_gives_back_what_it_got(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {str(n): rng.normal(size=(n, 4)).astype(np.float32) for n in (1, 7, 3)}
    store = StateStore(tmp_path / "s", 4)
    store.put(arrays)
    store.put({"7": np.zeros((7, 4), np.float32)})
    store.close()
    again = StateStore(tmp_path / "s", 4)
    for key, array in arrays.items():
        np.testing.assert_array_equal(again.get(key), array)
    assert again.get("other") is None


def test_a_full_store_keeps_what_it_has(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "s", 4, room=100)
    store.put({"a": np.ones((4, 4), np.float32)})
    store.put({"b": np.ones((4, 4), np.float32)})
    assert store.get("a") is not None and store.get("b") is None


def test_what_a_kill_left_behind_is_cut_off(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "s", 2)
    store.put({"a": np.full((3, 2), 1, np.float32)})
    store.close()
    with open(tmp_path / "s/states.bin", "ab") as file:
        file.write(b"half a state")
    with open(tmp_path / "s/index.jsonl", "ab") as file:
        file.write(b'["b", 3, 10]\n["torn')
    again = StateStore(tmp_path / "s", 2)
    assert again.get("b") is None
    again.put({"c": np.full((2, 2), 3, np.float32)})
    np.testing.assert_array_equal(again.get("a"), np.full((3, 2), 1))
    np.testing.assert_array_equal(again.get("c"), np.full((2, 2), 3))


def test_processes_share_what_they_keep(tmp_path: Path) -> None:
    first, second = StateStore(tmp_path / "s", 2), StateStore(tmp_path / "s", 2)
    first.put({"a": np.full((1, 2), 1, np.float32)})
    code = (
        "import numpy as np; from pathlib import Path; from rewardsmith.modeling.state_store import StateStore\n"
        f"s = StateStore(Path({str(tmp_path / 's')!r}), 2)\n"
        "s.put({'a': np.zeros((1, 2), np.float32), 'b': np.full((2, 2), 2, np.float32)})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    first.put({"b": np.zeros((5, 2), np.float32), "c": np.full((1, 2), 3, np.float32)})
    for store in (first, second, StateStore(tmp_path / "s", 2)):
        found = [store.get(key) for key in "abc"]
        assert [array.tolist() for array in found if array is not None] == [[[1, 1]], [[2, 2], [2, 2]], [[3, 3]]]


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    stores = [StateStore(tmp_path / "s", 3) for _ in range(4)]

    def write(n: int) -> None:
        for k in range(25):
            stores[n].put(
                {f"{n}-{k}": np.full((n + 1, 3), k, np.float32), f"shared-{k}": np.full((1, 3), -k, np.float32)}
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    again = StateStore(tmp_path / "s", 3)
    assert (tmp_path / "s/states.bin").stat().st_size == 12 * 25 * (1 + 2 + 3 + 4 + 1)
    for k in range(25):
        for n in range(4):
            np.testing.assert_array_equal(again.get(f"{n}-{k}"), np.full((n + 1, 3), k))
        np.testing.assert_array_equal(again.get(f"shared-{k}"), np.full((1, 3), -k))


def test_a_reader_cuts_nothing_off_that_is_being_written(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "s", 2)
    store.put({"a": np.ones((1, 2), np.float32)})
    with open(tmp_path / "s/states.bin", "ab") as file:
        file.write(bytes(8))
    assert StateStore(tmp_path / "s", 2).get("a") is not None
    assert (tmp_path / "s/states.bin").stat().st_size == 16


def test_what_sequences_share_is_kept_once_and_read_in_any_company(
    make_backbone: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "_BLOCK", 4)
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
    freeze_layers(model, 1)
    prefix = model.frozen = freeze_prefix(model.backbone, 1)
    assert prefix is not None
    shared = tuple(range(5, 45))
    texts = [TokenizedResponse((*shared, *own), 40) for own in ((50, 51), (50, 52, 53), (60,))]
    before = prefix.store._rows
    model.rewards_of(texts)
    kept = prefix.store._rows
    assert kept - before == 40 + 2 + 3 + 1
    monkeypatch.setattr(prefix, "bottom", None)
    alone = [model.rewards_of([text]) for text in texts]
    assert prefix.store._rows == kept
    model.frozen = None
    torch.testing.assert_close(torch.cat(alone), model.rewards_of(texts), rtol=1e-5, atol=1e-6)


def test_the_longest_unused_stores_make_room(tmp_path: Path) -> None:
    for n, name in enumerate(("old", "new")):
        store = StateStore(tmp_path / name, 1)
        store.put({"a": np.ones((100, 1), np.float32)})
        store.close()
        os.utime(tmp_path / name, (n, n))
    make_room(tmp_path, keep="", limit=1000)
    assert [f.name for f in tmp_path.iterdir()] == ["new"]


def test_a_store_that_is_wanted_or_open_makes_no_room(tmp_path: Path) -> None:
    stores = {name: StateStore(tmp_path / name, 1) for name in ("wanted", "open", "idle")}
    for store in stores.values():
        store.put({"a": np.ones((100, 1), np.float32)})
    stores["wanted"].close()
    stores["idle"].close()
    make_room(tmp_path, keep="wanted", limit=0)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["open", "wanted"]
    assert stores["open"].get("a") is not None


def test_a_removed_store_is_still_read(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "s", 1)
    store.put({"a": np.ones((3, 1), np.float32)})
    shutil.rmtree(tmp_path / "s")
    np.testing.assert_array_equal(store.get("a"), np.ones((3, 1)))
