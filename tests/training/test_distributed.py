"""Several processes through accelerate's own configurations: the shipped ones load, and DDP and FSDP2 on two gloo
processes give what one process gives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from rewardsmith.batching.items import build_items
from rewardsmith.errors import UserError
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import Preference
from rewardsmith.training.batch import Collator
from rewardsmith.training.losses import grm_imitation, ranking_loss
from rewardsmith.training.recipe import LossSpec
from rewardsmith.training.sharded import weights_are_sharded
from rewardsmith.training.shipped import FOLDER, recipe_path

HERE = Path(__file__).parent
SHARDED = {"ddp": False, "fsdp2": True, "zero2": False, "zero3": True}
"""The shipped configurations, and whether they split the weights."""

ACCELERATE = str(Path(sys.executable).parent / "accelerate")
TWO_CPUS = ("--num_processes=2", "--main_process_port=0")


def config(name: str) -> Path:
    """A shipped configuration of accelerate, found as `rewardsmith recipe copy` finds it."""
    return recipe_path(f"accelerate/{name}")


def environment() -> dict[str, str]:
    """Of a launch on CPUs."""
    return os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def launch(name: str, *command: str, precision: str = "no") -> str:
    """Runs a command under a shipped configuration, on two gloo processes, and gives what it printed."""
    options = [*TWO_CPUS, f"--mixed_precision={precision}"]
    done = subprocess.run(
        [ACCELERATE, "launch", "--config_file", str(config(name)), *options, *command],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_shipped_configuration_is_accelerates() -> None:
    found = sorted(path.stem for path in (FOLDER / "accelerate").glob("*.yaml"))
    assert found == sorted(SHARDED)
    for name in found:
        loaded = load_config_from_file(str(config(name)))
        assert (loaded.num_processes, loaded.mixed_precision) == (8, "bf16")
        assert f"accelerate launch --config_file {name}.yaml -m rewardsmith.cli.app train" in config(name).read_text()


@pytest.mark.parametrize("name", SHARDED)
def test_the_launcher_is_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--config_file", str(config(name)), "--main_process_port", "0", "any.py"]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
    args.deepspeed_fields_from_accelerate_config = ""
    made = prepare_deepspeed_cmd_env(args)[1] if args.use_deepspeed else prepare_multi_gpu_env(args)
    for key, value in made.items():
        monkeypatch.setenv(key, value)
    assert weights_are_sharded() == SHARDED[name]


def test_the_first_fsdp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="fsdp_version: 2"):
        weights_are_sharded()


def test_more_passes_change_no_loss_and_no_gradient(
    make_backbone: Callable[..., Path], tiny_preferences: list[Preference]
) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), depth=1, max_length=96))
    items, _ = build_items(tiny_preferences[:6], model.text, ["academy"])
    batch = Collator(LossSpec(), model.layout(64), items[0])(items)
    assert len(batch.rows) > 1
    found = []
    for given in (batch, batch.in_passes(len(batch.rows) + 2)):
        model.zero_grad()
        output = model(given.rows)
        assert len(given.imitated) == len(output.rewards)
        (ranking_loss(output.rewards, given.pairs) + grm_imitation(output.lm_nll, given.imitated)).backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert len(batch.in_passes(1).rows) == len(batch.rows), "never fewer than there are"


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
def test_a_dry_run_under_each_configuration(name: str, recipe_file: Callable[..., Path]) -> None:
    """On one CPU process: DeepSpeed's own launcher asks for DeepSpeed and GPUs."""
    command = [ACCELERATE, "launch", "--config_file", str(config(name)), "--cpu", "--num_processes=1"]
    command += ["-m", "rewardsmith.cli.app", "train", str(recipe_file()), "--dry-run"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "recipe tiny: holds together" in done.stdout


@pytest.mark.slow
def test_a_dry_run_of_two_processes_says_it_once(recipe_file: Callable[..., Path]) -> None:
    said = launch("fsdp2", "-m", "rewardsmith.cli.app", "train", str(recipe_file()), "--dry-run")
    assert said.count("recipe tiny: holds together") == 1


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one(make_backbone: Callable[..., Path], tmp_path: Path) -> None:
    """With trees, ragged preferences, accumulation and recomputed activations; relative to the gradient's norm, in
    float32: heads and losses are float32 by design, so float64 is not to be had."""
    script, backbone = str(HERE / "gradient_of_a_step.py"), str(make_backbone("llama"))
    subprocess.run([sys.executable, script, backbone, str(tmp_path / "one")], env=environment(), check=True)
    one = torch.load(tmp_path / "one")
    for name in ("ddp", "fsdp2"):
        launch(name, script, backbone, str(tmp_path / name))
        two = torch.load(tmp_path / name)
        first, second = two["passes"]
        assert len(one["passes"][0]) == 7 and len(first) == len(second) == 4, "accumulated: 14 preferences by two"
        assert (first == second) == bool(two["sharded"]) == SHARDED[name], "only shards must be gathered in step"
        assert one["gradient"].keys() == two["gradient"].keys()
        pairs = [(one["gradient"][k].double(), two["gradient"][k].double()) for k in one["gradient"]]
        difference = sum(float(((a - b) ** 2).sum()) for a, b in pairs) ** 0.5
        norm = sum(float((a**2).sum()) for a, _ in pairs) ** 0.5
        assert difference <= 1e-6 * norm, name
        assert max(float((one["weights"][k] - two["weights"][k]).abs().max()) for k in one["weights"]) <= 1e-6
        assert torch.equal(two["rewards"], two["rewards_gathered"]), "scored sharded, and gathered"


@pytest.mark.slow
def test_fsdp2_in_bfloat16_gives_float32_rewards(make_backbone: Callable[..., Path], tmp_path: Path) -> None:
    script, backbone, out = str(HERE / "gradient_of_a_step.py"), str(make_backbone("llama")), tmp_path / "two"
    launch("fsdp2", script, backbone, str(out), precision="bf16")
    two = torch.load(out)
    rewards, whole = two["rewards"], two["rewards_gathered"]
    assert rewards.dtype == torch.float32 and not torch.equal(rewards.bfloat16().float(), rewards)
    assert all(weight.dtype == torch.float32 for weight in two["weights"].values())
    assert 0 < float((rewards - whole).abs().max()) <= 0.05 * float(whole.abs().max()), "computed in bfloat16"


@pytest.mark.slow
def test_a_killed_fsdp2_run_goes_on_and_saves_what_one_process_saves(
    make_backbone: Callable[..., Path],
    recipe_file: Callable[..., Path],
    run_tiny: Callable[..., Path],
    weights_of: Callable[[Path], dict[str, torch.Tensor]],
    metrics_of: Callable[[Path], list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    common = {"learning_rate": 2e-4, "micro_batch_size": 2, "batch_size": 4, "token_budget": 64}
    parts = {
        "general": common | {"epochs": 3, "save_every": 2, "evaluations": 2},
        "custom": common | {"freeze_layers": 1, "losses": {"imitation": 0.1}},
        "backbone": {"model": str(make_backbone("llama")), "depth": 2, "max_length": 96},
    }
    one = run_tiny("one", **parts)
    two = tmp_path / "two"
    train = (str(HERE / "fsdp_on_cpu.py"), "train", str(recipe_file(**parts)), "--out", str(two))
    command = [ACCELERATE, "launch", "--config_file", str(config("fsdp2")), *TWO_CPUS, "--mixed_precision=no", *train]
    started = psutil.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    while not list((two / "checkpoints/general").glob("checkpoint-*/whole")):
        assert started.poll() is None
        time.sleep(0.02)
    assert list((two / "checkpoints/general").glob("checkpoint-*/pytorch_model_fsdp_0")), "weights are sharded"
    for process in [started, *started.children(recursive=True)]:
        process.kill()
    started.wait()
    launch("fsdp2", *train)
    for name in ("general", "academy"):
        a, b = (weights_of(run / "models" / name) for run in (one, two))
        assert a.keys() == b.keys()
        assert max(float((a[k] - b[k]).abs().max()) for k in a) <= 1e-6, name
    assert [line["step"] for line in metrics_of(one)] == [line["step"] for line in metrics_of(two)]
