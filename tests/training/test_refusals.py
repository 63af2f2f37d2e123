"""Runs that cannot go on, or cannot begin: what is said, and what is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardsmith.errors import DataError, RewardsmithError, TrainingError, UserError

Run = Callable[..., Path]
Weights = Callable[[Path], dict[str, torch.Tensor]]
Metrics = Callable[[Path], list[dict[str, Any]]]


def test_keep_best_must_be_measured(run_tiny: Run) -> None:
    with pytest.raises(UserError, match=r"keep_best is 'acadmy'.*did you mean 'academy'"):
        run_tiny(general=None, custom={"keep_best": "acadmy"})


def test_a_loss_that_is_not_finite_names_the_records(run_tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardsmith.training import trainer

    def broken(rewards: torch.Tensor, *_: Any) -> torch.Tensor:
        return rewards.sum() * math.nan

    monkeypatch.setattr(trainer, "ranking_loss", broken)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1; the records of this batch: \w+"):
        run_tiny(custom=None)


def test_preferences_that_rank_nothing(run_tiny: Run, tmp_path: Path, weights_of: Weights) -> None:
    file = tmp_path / "ties.jsonl"
    rows = [{"prompt": f"{k}?", "responses": [f"yes {k}", "no"], "scores": [1, 1]} for k in range(12)]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match=r"none of .* ranks anything"):
        run_tiny(data={"general": {"path": str(file)}}, custom=None)
    run = run_tiny(
        "half", plots=True, data={"general": {"path": str(file)}}, custom=None, general={"losses": {"ties": "half"}}
    )
    assert all(torch.isfinite(w).all() for w in weights_of(run / "models/general").values())


def test_too_much_enrichment_is_refused(run_tiny: Run) -> None:
    with pytest.raises(UserError, match=r"enrichment asks for 500 .* has "):
        run_tiny(general=None, custom={"enrichment": {"sets": ["general"], "count": 500}})


def test_a_full_disk_keeps_the_last_checkpoint(
    run_tiny: Run, weights_of: Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from safetensors import SafetensorError

    from rewardsmith.training.trainer import PreferenceTrainer

    original = PreferenceTrainer._save
    stage = {"epochs": 2, "evaluations": 0, "save_every": 1}
    for fault in (OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")):

        def full(self: Any, output_dir: str, *args: Any, fault: Exception = fault, **kwargs: Any) -> None:
            if output_dir.endswith("-3"):
                Path(output_dir).mkdir(parents=True)
                Path(output_dir, "model.safetensors").write_text("torn", encoding="utf-8")
                raise fault
            original(self, output_dir, *args, **kwargs)

        monkeypatch.setattr(PreferenceTrainer, "_save", full)
        with pytest.raises(
            RewardsmithError, match=r"No space left on device.*make room and run the same command again"
        ):
            run_tiny(custom=None, general=stage)
        assert (tmp_path / "run/checkpoints/general/checkpoint-2/whole").is_file()
    monkeypatch.setattr(PreferenceTrainer, "_save", original)
    resumed = weights_of(run_tiny(custom=None, general=stage) / "models/general")
    whole = weights_of(run_tiny("whole", custom=None, general=stage) / "models/general")
    assert resumed.keys() == whole.keys() and all(torch.equal(resumed[k], whole[k]) for k in whole)


def test_two_names_for_one_model_are_refused(run_tiny: Run) -> None:
    with pytest.raises(UserError, match="both make a model called 'academy'"):
        run_tiny(general={"name": "academy"}, custom={})


def test_a_set_and_a_domain_of_one_name_are_refused(run_tiny: Run, preference_files: dict[str, Path]) -> None:
    data = {"academy": {"path": str(preference_files["general"])}, "dsp": {"path": str(preference_files["dsp"])}}
    with pytest.raises(UserError, match="rename the set"):
        run_tiny(data=data, general={"sets": ["academy"]})
