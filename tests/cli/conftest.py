"""Running the command in this process as a user would, and a tiny reward model to run it on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.command import Outcome, run_command


@pytest.fixture
def cli() -> Callable[..., Outcome]:
    """Runs `rewardsmith ARGS` through its entry point: `cli("score", "-m", model, "-", stdin="...")`."""
    return run_command


@pytest.fixture
def interruptible() -> Callable[..., subprocess.Popen[Any]]:
    """Starts `rewardsmith ARGS` as a process that heeds Ctrl-C: `interruptible("inspect", "-", stdin=PIPE)`.

    A shell's background jobs ignore the signal, and so would these tests and all that they start.
    """

    def start(*args: object, **how: Any) -> subprocess.Popen[Any]:
        command = [sys.executable, "-m", "rewardsmith.cli.app", *map(str, args)]
        return subprocess.Popen(command, preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL), **how)

    return start


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, make_backbone: Callable[..., Path]) -> Path:
    """A tiny reward model's folder."""
    import torch

    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    built = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=96))
    torch.manual_seed(3)
    torch.nn.init.normal_(built.head.weight)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    built.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of twelve records of two domains, and a tie."""
    rows = [
        {
            "id": f"{domain}-{k}",
            "prompt": [{"role": "user", "content": f"What is {k}?"}],
            "responses": [f"{k} is a number.", "No idea.", f"A thing called {k}."],
            "scores": [1, 0, 0] if domain == "academy" else [0, 0, 1],
            "domain": domain,
            "response_names": ["academy", "normal", "business"],
        }
        for domain in ("academy", "business")
        for k in range(6)
    ]
    rows.append(rows[0] | {"id": "tie", "scores": [1, 1, 1]})
    return write_rows(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", rows)


@pytest.fixture(scope="session")
def general(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of eight plain pairs."""
    rows = [{"prompt": f"Tell me of {k}.", "chosen": f"Gladly: {k}.", "rejected": "No."} for k in range(8)]
    return write_rows(tmp_path_factory.mktemp("general") / "general.jsonl", rows)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path
