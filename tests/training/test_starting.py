"""What cannot be built or started from is refused by the dry run and the run alike, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from rewardsmith.errors import UserError
from rewardsmith.modeling.reference import Reference
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.training.planning import plan_run
from rewardsmith.training.recipe_file import parse_recipe
from rewardsmith.training.run import run_recipe


@pytest.mark.parametrize(
    ("architecture", "parts", "message"),
    [
        ("llama", {"backbone": {"max_length": 10**6}}, "max_length 1000000 is more than"),
        ("llama", {"backbone": {"depth": 40}}, "depth 40 is not possible"),
        ("llama", {"backbone": {"layers": [1, 40]}}, "give numbers from 1 to"),
        (
            "llama",
            {"backbone": {"lora": {"targets": ["q_prj"]}}},
            r"no layer is called 'q_prj' .*'q_proj'",
        ),
        ("llama", {"custom": {"freeze_layers": 40}}, "cannot freeze 40 layers"),
        ("llama", {"custom": {"start": "./"}}, "a folder without a model"),
        ("bert", {"custom": {"losses": {"imitation": 0.1}}}, "imitation needs a decoder"),
        ("llama", {"backbone": {"model": "nobody/nothing"}}, "'nobody/nothing' is no model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    recipe_data: Callable[..., dict[str, Any]],
    make_backbone: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    parts: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    backbone = {"model": str(make_backbone(architecture)), "max_length": 96} | parts.get("backbone", {})
    recipe = parse_recipe(recipe_data(**parts | {"backbone": backbone}), "test")
    with pytest.raises(UserError, match=message):
        plan_run(recipe)
    with pytest.raises(UserError, match=message):
        run_recipe(recipe, tmp_path / "run", Console(quiet=True))
    assert not (tmp_path / "run").exists()


def test_an_adapter_can_be_the_start(
    run_tiny: Callable[..., Path], make_backbone: Callable[..., Path], tmp_path: Path
) -> None:
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec, LoraSpec

    spec = BackboneSpec(model=str(make_backbone("llama")), max_length=96, lora=LoraSpec(rank=2))
    adapter = build_reward_model(spec).save_pretrained(tmp_path / "adapter", merge=False)
    run = run_tiny(general=None, custom={"start": str(adapter)})
    assert RewardModel.from_pretrained(run, domain="academy").info.portable


def test_a_custom_model_without_enrichment_has_the_scale_of_the_runs_general_set(run_tiny: Callable[..., Path]) -> None:
    scale = RewardModel.from_pretrained(run_tiny(), domain="academy").info.reward_scale
    assert scale is not None and scale.source == "general"


def test_a_model_trained_on_from_a_certified_one_has_no_certificate(
    run_tiny: Callable[..., Path], make_backbone: Callable[..., Path], tmp_path: Path
) -> None:
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=96))
    model.info = model.info.model_copy(update={"provenance": {"certificate": {"bound": 1.0}, "backbone": "llama"}})
    model.reference = Reference({"helpful": np.zeros((50, 2 * model.last_layer.in_features))})
    certified = RewardModel.from_pretrained(model.save_pretrained(tmp_path / "certified"))
    assert certified.reference is not None
    trained = RewardModel.from_pretrained(
        run_tiny(general=None, custom={"start": str(tmp_path / "certified")}), domain="academy"
    )
    assert trained.reference is None and "certificate" not in trained.info.provenance
    assert trained.info.provenance["backbone"] == "llama"
