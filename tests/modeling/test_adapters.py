"""Adapters saved beside their base: what they need of it, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from rewardsmith.errors import ModelError, RewardsmithError
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import LoraSpec


def test_adapter_without_its_head_is_refused(build, tmp_path):
    from peft import LoraConfig, TaskType, get_peft_model

    model = build("llama")
    settings = LoraConfig(task_type=TaskType.FEATURE_EXTRACTION, r=2, target_modules=["q_proj"])
    model.network = get_peft_model(model.inner, settings)
    with pytest.raises(RewardsmithError, match="without its score; it must be in modules_to_save"):
        model.save_pretrained(tmp_path / "m", merge=False)
    assert not list(tmp_path.iterdir())


def test_adapter_of_a_cut_backbone(build, texts, tmp_path):
    """The base has all its layers: loading must cut it again."""
    model = build("llama", depth=2, lora=LoraSpec(rank=2))
    model.save_pretrained(tmp_path / "m", merge=False)
    again = RewardModel.from_pretrained(tmp_path / "m")
    assert again.score(*texts) == pytest.approx(model.score(*texts), abs=1e-5)


def test_adapter_on_a_bfloat16_backbone(build, texts, tmp_path):
    model = build("llama", precision="bfloat16", lora=LoraSpec(rank=2))
    model.save_pretrained(tmp_path / "m", merge=False)
    assert RewardModel.from_pretrained(tmp_path / "m").score(*texts) == pytest.approx(model.score(*texts), abs=1e-5)


def test_adapter_without_a_head_of_its_own(build, tmp_path):
    """On a language model there would be a random head."""
    folder = build("llama", lora=LoraSpec(rank=2)).save_pretrained(tmp_path / "m", merge=False)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({k: v for k, v in weights.items() if "score" not in k}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"has no reward head: neither it nor its base .* holds score\.weight"):
        RewardModel.from_pretrained(folder)


def test_adapter_whose_base_is_gone(build, tmp_path):
    folder = build("llama", lora=LoraSpec(rank=2)).save_pretrained(tmp_path / "m", merge=False)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "/gone/away"}))
    with pytest.raises(ModelError, match="there is no folder '/gone/away'"):
        RewardModel.from_pretrained(folder)


def test_adapter_trains_only_what_it_saves(build, encoder):
    """An encoder's pooler is new, random and not in the base: it is saved beside the adapter."""
    model = build(encoder, lora=LoraSpec(rank=2))
    from peft import get_peft_model_state_dict

    stored = sum(t.numel() for t in get_peft_model_state_dict(model.network).values())
    trained = sum(w.numel() for w in model.network.parameters() if w.requires_grad)
    assert stored == trained
    assert torch.is_grad_enabled()
