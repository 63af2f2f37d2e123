"""The examples run as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rewardsmith import RewardModel, write_preferences
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import Preference

SCORE_MANY = str(Path(__file__).parent.parent / "examples" / "score_many.py")
ACCELERATE = str(Path(sys.executable).parent / "accelerate")


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param([sys.executable], id="alone"),
        pytest.param(
            [ACCELERATE, "launch", "--multi_gpu", "--num_processes=2", "--main_process_port=0"],
            id="two processes",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_many_preferences_are_scored_in_order(
    launcher: list[str], make_backbone: Callable[..., Path], tiny_preferences: list[Preference], tmp_path: Path
) -> None:
    build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=96)).save_pretrained(tmp_path / "m")
    data, out = tmp_path / "preferences.jsonl", tmp_path / "rewards.jsonl"
    write_preferences(tiny_preferences[:-1], data)
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [*launcher, SCORE_MANY, str(tmp_path / "m"), str(data), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [p.id for p in tiny_preferences[:-1]]
    wanted = RewardModel.from_pretrained(tmp_path / "m").score_preferences(tiny_preferences[:-1])
    for row, rewards in zip(rows, wanted, strict=True):
        assert row["rewards"] == pytest.approx(rewards, abs=1e-5)
