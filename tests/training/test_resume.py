"""kill -9 at any moment, then the same command: the same weights and the same metrics as an uninterrupted run.

And two processes give what one gives.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

STAGE = {
    "epochs": 3,
    "evaluations": 4,
    "save_every": 2,
    "batch_size": 4,
    "micro_batch_size": 2,
    "losses": {"imitation": 0.1},
}

_RUN = """
import sys, time
from pathlib import Path
from rich.console import Console
from rewardsmith.training.recipe_file import load_recipe
from rewardsmith.training.run import run_recipe
from rewardsmith.training.trainer import PreferenceTrainer

original = PreferenceTrainer.training_step
def slow(self, *args, **kwargs):
    time.sleep(float(sys.argv[3]))
    return original(self, *args, **kwargs)
PreferenceTrainer.training_step = slow
run_recipe(load_recipe(sys.argv[1]), Path(sys.argv[2]), Console(quiet=True))
"""


def _start(recipe: Path, out: Path, pause: float, *prefix: str) -> subprocess.Popen[bytes]:
    script = out.parent / "run.py"
    script.write_text(_RUN, encoding="utf-8")
    command = [*(prefix or (sys.executable,)), str(script), str(recipe), str(out), str(pause)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    )


def _finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()[-2000:]


def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("best", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["last", "best"])
def test_a_killed_run_ends_like_an_uninterrupted_one(
    recipe_file: Callable[..., Path],
    run_tiny: Callable[..., Path],
    weights_of: Callable[[Path], dict[str, torch.Tensor]],
    metrics_of: Callable[[Path], list[dict[str, Any]]],
    tmp_path: Path,
    best: bool,
) -> None:
    stage = STAGE | ({"keep_best": "general", "patience": 3} if best else {})
    parts = {"general": stage, "custom": {"max_steps": 2}}
    whole = run_tiny("whole", **parts)
    out = tmp_path / "killed"
    process = _start(recipe_file(**parts), out, 0.05)
    checkpoints = out / "checkpoints" / "general"
    while not list(checkpoints.glob("checkpoint-*/whole")):
        assert process.poll() is None, process.communicate()[1].decode()[-2000:]
        time.sleep(0.02)
    time.sleep(random.random() * 0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run_tiny("killed", **parts)
    for name in ("general", "academy"):
        assert _equal(weights_of(out / "models" / name), weights_of(whole / "models" / name)), name
    assert metrics_of(out) == metrics_of(whole)


def test_a_run_stopped_at_each_of_its_moments(
    run_tiny: Callable[..., Path],
    weights_of: Callable[[Path], dict[str, torch.Tensor]],
    metrics_of: Callable[[Path], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the first step, after the last checkpoint, before the model is scored, before the result is written."""
    from rewardsmith.training import run as run_module
    from rewardsmith.training import stages
    from rewardsmith.training.trainer import PreferenceTrainer

    parts = {"general": STAGE | {"max_steps": 5}, "custom": None}
    whole = run_tiny("whole", **parts)
    moments: list[tuple[Any, str]] = [(PreferenceTrainer, "training_step"), (stages, "_save")]
    for owner, name in (*moments, (stages, "score_test_sets"), (run_module, "save_result")):

        def killed(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, killed)
            run_tiny(name, **parts)
        out = run_tiny(name, **parts)
        assert _equal(weights_of(out / "models/general"), weights_of(whole / "models/general")), name
        assert metrics_of(out) == metrics_of(whole), name
        assert (out / "result.json").read_text() == (whole / "result.json").read_text(), name


def test_a_torn_metrics_line_is_dropped(tmp_path: Path) -> None:
    from rewardsmith.training.run_folder import RunFolder

    folder = RunFolder(tmp_path)
    for stage, step in (("general", 1), ("custom", 1), ("custom", 2)):
        folder.log({"stage": stage, "step": step})
    with open(folder.metrics, "a", encoding="utf-8") as file:
        file.write('{"stage": "cus')
    folder.truncate_metrics("custom", 1)
    assert folder.metrics.read_text().count("\n") == 2


@pytest.mark.slow
@pytest.mark.parametrize("micro", [1, 8])
def test_two_processes_give_what_one_gives(
    recipe_file: Callable[..., Path],
    run_tiny: Callable[..., Path],
    weights_of: Callable[[Path], dict[str, torch.Tensor]],
    metrics_of: Callable[[Path], list[dict[str, Any]]],
    tmp_path: Path,
    micro: int,
) -> None:
    parts = {
        "general": {"micro_batch_size": micro, "epochs": 2, "learning_rate": 2e-4},
        "custom": {
            "micro_batch_size": micro,
            "learning_rate": 2e-4,
            "losses": {"imitation": 0.1, "centring": 0.01, "distillation": 0.5, "l2_sp": 0.01},
            "enrichment": {"sets": ["general"], "share": 0.3},
        },
    }
    one = run_tiny("one", **parts)
    two = tmp_path / "two"
    torchrun = str(Path(sys.executable).parent / "torchrun")
    _finish(_start(recipe_file(**parts), two, 0.0, torchrun, "--nproc_per_node=2", "--master_addr=127.0.0.1"))
    for name in ("general", "academy"):
        a, b = (weights_of(run / "models" / name) for run in (one, two))
        assert max(float((a[k] - b[k]).abs().max()) for k in a) <= 1e-6, name
    assert len(metrics_of(one)) == len(metrics_of(two))
    for a, b in zip(metrics_of(one), metrics_of(two), strict=True):
        assert a.keys() == b.keys()
        for key in a.keys() - {"accuracy", "stage"}:
            assert a[key] == pytest.approx(b[key], rel=1e-4, abs=1e-6), key
        assert a.get("accuracy") == b.get("accuracy")
