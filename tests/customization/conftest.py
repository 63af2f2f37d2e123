"""A tiny general model on disk, many general pairs that it was not trained on, and custom preferences it can learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ACADEMY = "The literature attributes the effect to scattering, as measured by Rayleigh."
PLAIN = "It is because of how light and air meet."


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of tiny models are of no use to anybody else."""
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning curves of a method's training take longer to draw than to train."""
    from rewardsmith.training import run

    monkeypatch.setattr(run, "plot_learning_curves", lambda *_: None)


@pytest.fixture(scope="session")
def general_model(make_backbone: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of two layers whose head likes kind answers, and no academy's."""
    return _taught(make_backbone("llama"), tmp_path_factory.mktemp("general") / "model")


@pytest.fixture(scope="session")
def pooled_general_model(make_backbone: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on the mean over the dialogue: no standard checkpoint."""
    return _taught(make_backbone("llama"), tmp_path_factory.mktemp("pooled") / "model", pooling="mean")


def _taught(backbone: Path, out: Path, **shape: Any) -> Path:
    import torch

    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec
    from rewardsmith.preferences.record import Message

    model = build_reward_model(BackboneSpec(model=str(backbone), max_length=128, **shape))
    pairs = [(f"Say kind {k}.", f"Gladly: {k} is a number.", f"No, {k} bores me.") for k in range(12)]
    pairs += [(f"Why is thing number {k} the colour it is?", PLAIN, ACADEMY) for k in range(12)]
    texts = [([Message(role="user", content=prompt)], text) for prompt, *both in pairs for text in both]
    features, _ = model.features_of(model.text.batch(texts))
    with torch.no_grad():
        differences = features[0::2] - features[1::2]
        model.last_layer.weight[0] = torch.linalg.lstsq(differences, torch.ones(len(pairs))).solution
    return model.save_pretrained(out)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """`custom` (domain academy), `contrary` to the general sets, and those: `kind` and `short`."""
    folder = tmp_path_factory.mktemp("preferences")
    custom = [
        {
            "query": f"Why is thing number {k} the colour it is?",
            "responses": {"academy": f"{ACADEMY} Thing {k}.", "normal": f"{PLAIN} Thing {k}."},
        }
        for k in range(60)
    ]
    (folder / "custom.json").write_text(json.dumps(custom), encoding="utf-8")
    for name, count in (("kind", 300), ("short", 200)):
        rows = [
            {"prompt": f"Say {name} {k}.", "chosen": f"Gladly: {k} is a number.", "rejected": f"No, {k} bores me."}
            for k in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    contrary = [
        {"prompt": f"Say kind {k + 1000}.", "chosen": f"No, {k} bores me.", "rejected": f"Gladly: {k} is a number."}
        for k in range(60)
    ]
    (folder / "contrary.jsonl").write_text("\n".join(map(json.dumps, contrary)) + "\n", encoding="utf-8")
    custom_files = {"custom": str(folder / "custom.json"), "contrary": str(folder / "contrary.jsonl")}
    return custom_files | {n: str(folder / f"{n}.jsonl") for n in ("kind", "short")}


@pytest.fixture
def run(general_model: Path, files: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """`customize` on these: `run(["10"], method="anchored")`."""
    from rewardsmith.customization.customize import customize
    from rewardsmith.evaluation.budget import Question

    def customized(budgets: list[str], out: str = "run", **options: Any) -> Any:
        sets = {"kind": files["kind"], "short": files["short"]}
        question = Question.parse(budgets, options.pop("confidence", 95.0))
        options = {"method": "anchored", "preferences": files["custom"], "domain": "academy", **options}
        return customize(
            options.pop("general", str(general_model)),
            options.pop("preferences"),
            options.pop("domain"),
            options.pop("general_preferences", sets),
            question,
            tmp_path / out,
            **options,
        )

    return customized
