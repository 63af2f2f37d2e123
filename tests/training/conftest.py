"""Tiny runs: a recipe of a few steps on a tiny model, with preferences whose order can be learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

_PLAIN: dict[str, Any] = {}

ANSWERS = {
    "academy": "The literature attributes the effect to scattering, as measured by Rayleigh.",
    "business": "Short version: it sells. Our customers see value in the first quarter.",
    "normal": "It is because of how light and air meet.",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen states of tiny models are of no use to anybody else."""
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def preference_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`dsp`: queries answered for two domains and plainly; `general`: pairs, the kind answer preferred."""
    folder = tmp_path_factory.mktemp("preferences")
    dsp = [
        {
            "query": f"Why is thing number {k} the colour it is?",
            "responses": {name: f"{text} Thing {k}." for name, text in ANSWERS.items()},
        }
        for k in range(24)
    ]
    pairs = [
        {"prompt": f"Say something about {k}.", "chosen": f"Gladly: {k} is a number.", "rejected": f"No, {k} bores me."}
        for k in range(24)
    ]
    (folder / "dsp.json").write_text(json.dumps(dsp), encoding="utf-8")
    (folder / "general.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n", encoding="utf-8")
    return {"dsp": folder / "dsp.json", "general": folder / "general.jsonl"}


@pytest.fixture
def recipe_data(make_backbone: Callable[..., Path], preference_files: dict[str, Path]) -> Callable[..., dict[str, Any]]:
    """A recipe as plain data: `recipe_data(general={...}, custom={...})`; a stage given as None is left out."""

    def make(
        general: dict[str, Any] | None = _PLAIN,
        custom: dict[str, Any] | None = _PLAIN,
        **top: Any,
    ) -> dict[str, Any]:
        common = {"batch_size": 8, "learning_rate": 1e-2, "evaluations": 1, "epochs": 1}
        stages = []
        if general is not None:
            stages.append({"stage": "general", "sets": ["general"]} | common | general)
        if custom is not None:
            stages.append({"stage": "custom", "sets": ["dsp"], "domains": ["academy"]} | common | custom)
        return {
            "name": "tiny",
            "backbone": {"model": str(make_backbone("llama")), "depth": 1, "max_length": 96},
            "data": {name: {"path": str(path)} for name, path in preference_files.items()},
            "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
            "stages": stages,
            "evaluation": {"baselines": False},
        } | top

    return make


@pytest.fixture
def run_tiny(
    recipe_data: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Runs a tiny recipe in this process and gives the run's folder: `run_tiny(out="a", custom={...})`.

    Plots take longer than the training: they are drawn with `plots=True` only.
    """
    from rich.console import Console

    from rewardsmith.training import run as run_module
    from rewardsmith.training.recipe_file import parse_recipe

    def run(out: str = "run", overwrite: bool = False, plots: bool = False, **parts: Any) -> Path:
        recipe = parse_recipe(recipe_data(**parts), "test")
        with monkeypatch.context() as patch:
            for name in () if plots else ("plot_all", "plot_learning_curves"):
                patch.setattr(run_module, name, lambda *_: None)
            run_module.run_recipe(recipe, tmp_path / out, Console(quiet=True), overwrite=overwrite)
        return tmp_path / out

    return run


@pytest.fixture
def recipe_file(recipe_data: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., Path]:
    """The same as a YAML file."""

    def write(**parts: Any) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe_data(**parts)), encoding="utf-8")
        return path

    return write


def weights(model: Path) -> dict[str, Any]:
    """All tensors of a saved model."""
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def weights_of() -> Callable[[Path], dict[str, Any]]:
    """Reads a saved model's tensors."""
    return weights


@pytest.fixture(scope="session")
def metrics_of() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads a run's metrics."""
    return metrics
