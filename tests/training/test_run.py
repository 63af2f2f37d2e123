"""Whole tiny runs: what comes out, and what changes nothing in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardsmith.errors import UserError
from rewardsmith.modeling.reward_model import RewardModel

Run = Callable[..., Path]
Weights = Callable[[Path], dict[str, torch.Tensor]]
Metrics = Callable[[Path], list[dict[str, Any]]]


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], tolerance: float) -> bool:
    return a.keys() == b.keys() and all(float((a[k] - b[k]).abs().max()) <= tolerance for k in a)


def test_a_run_holds_what_it_promises(run_tiny: Run, metrics_of: Metrics) -> None:
    run = run_tiny(plots=True, custom={"enrichment": {"sets": ["general"], "share": 0.3}, "losses": {"imitation": 0.1}})
    names = {p.name for p in run.iterdir()}
    assert {"recipe.yaml", "run.json", "metrics.jsonl", "result.json", "tables.md", "plots", "models"} <= names
    assert not list((run / "checkpoints").glob("*"))
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert [m["model"] for m in result["models"]] == ["general", "academy"]
    assert set(result["models"][0]["sets"]) == {"general", "academy"}
    lines = metrics_of(run)
    for stage in ("general", "custom-academy"):
        steps = [line["step"] for line in lines if line["stage"] == stage and "accuracy" in line]
        assert steps[0] == 0 and steps[-1] == max(line["step"] for line in lines if line["stage"] == stage)
    assert {"general", "custom", "academy"} <= set(lines[-1]["accuracy"])
    model = RewardModel.from_pretrained(run, domain="academy")
    assert model.info.reward_scale is not None and model.info.provenance["stages"] == ["general", "custom-academy"]
    assert model.info.provenance["steps"] == max(x["step"] for x in lines if x["stage"] == "custom-academy")


@pytest.mark.parametrize("losses", [{}, {"reduction": "pair", "imitation": 0.2, "centring": 0.01}])
def test_accumulation_changes_nothing(run_tiny: Run, weights_of: Weights, losses: dict[str, Any]) -> None:
    # AdamW turns rounding into steps of the learning rate's size where a gradient is nothing but rounding.
    custom = {"losses": losses, "enrichment": {"sets": ["general"], "count": 5}, "learning_rate": 2e-4}
    found = [
        weights_of(run_tiny(f"run-{size}", general=None, custom=custom | {"micro_batch_size": size}) / "models/academy")
        for size in (1, 2, 8)
    ]
    assert _same(found[0], found[2], 1e-6) and _same(found[1], found[2], 1e-6)


def test_the_same_recipe_gives_the_same_weights(run_tiny: Run, weights_of: Weights, metrics_of: Metrics) -> None:
    first, second = (run_tiny(name, custom=None) for name in ("a", "b"))
    assert _same(weights_of(first / "models/general"), weights_of(second / "models/general"), 0.0)
    assert metrics_of(first) == metrics_of(second)


def test_frozen_layers_keep_their_weights(
    run_tiny: Run, weights_of: Weights, make_backbone: Callable[..., Path]
) -> None:
    backbone = {"model": str(make_backbone("llama")), "max_length": 96}
    run = run_tiny(custom=None, general={"freeze_layers": 2}, backbone=backbone)
    before, after = weights_of(make_backbone("llama")), weights_of(run / "models/general")
    for name, value in after.items():
        if name == "score.weight":
            continue
        frozen = name.startswith(("model.embed_tokens", "model.layers.0.", "model.layers.1."))
        assert torch.equal(value, before[name]) == frozen, name


def test_adapters_are_merged_and_stacked(
    run_tiny: Run, make_backbone: Callable[..., Path], weights_of: Weights
) -> None:
    backbone = {"model": str(make_backbone("llama")), "max_length": 96, "lora": {"rank": 4}}
    run = run_tiny(backbone=backbone)
    general, academy = (weights_of(run / "models" / name) for name in ("general", "academy"))
    assert general.keys() == academy.keys() and not any("lora" in name for name in general)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert torch.linalg.matrix_rank(academy[name] - general[name], atol=1e-4) == 4
    assert torch.equal(academy["model.embed_tokens.weight"], general["model.embed_tokens.weight"])


def test_stages_follow_one_another(run_tiny: Run, recipe_data: Callable[..., Any]) -> None:
    stages = [
        {"stage": "base", "sets": ["general"], "losses": {"imitation": 1.0}},
        {"stage": "general", "sets": ["general"]},
        {"stage": "general", "name": "again", "sets": {"general": 1.0}, "start": "general"},
        {"stage": "custom", "sets": ["dsp"]},
        {"stage": "custom", "name": "second", "sets": ["dsp"], "start": "custom", "domains": ["academy"]},
    ]
    common = {"batch_size": 8, "learning_rate": 1e-3, "max_steps": 1, "evaluations": 0}
    run = run_tiny(stages=[stage | common for stage in stages])
    assert {p.name for p in (run / "models").iterdir()} == {
        "base", "general", "again", "academy", "business", "second-academy",
    }  # fmt: skip
    told = RewardModel.from_pretrained(run / "models/second-academy").info.provenance["stages"]
    assert told == ["base", "general", "again", "custom-academy", "second-academy"]
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert "base" not in [m["model"] for m in result["models"]]


def test_stages_in_runs_of_their_own_give_the_same_weights(run_tiny: Run, weights_of: Weights) -> None:
    common = {"batch_size": 8, "learning_rate": 1e-3, "max_steps": 1, "evaluations": 0}
    base, general, custom = (
        common | {"stage": "base", "sets": ["general"], "losses": {"imitation": 1.0}},
        common | {"stage": "general", "sets": ["general"], "losses": {"imitation": 0.1}},
        common | {"stage": "custom", "sets": ["dsp"]},
    )
    first = run_tiny("base", plots=True, stages=[base])  # ranks nothing: its result is empty
    assert json.loads((first / "result.json").read_text(encoding="utf-8"))["models"] == []
    assert "nothing was evaluated" in (first / "tables.md").read_text(encoding="utf-8")
    second = run_tiny("general", stages=[general | {"start": str(first / "models/base")}])
    third = run_tiny("custom", stages=[custom | {"start": str(second / "models/general")}])
    whole = run_tiny("whole", stages=[base, general, custom])
    assert _same(weights_of(third / "models/academy"), weights_of(whole / "models/academy"), 0.0)
    told = RewardModel.from_pretrained(third / "models/academy").info.provenance["stages"]
    assert told == ["base", "general", "custom-academy"]


def test_a_person_can_be_a_domain(run_tiny: Run, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{k}?", "responses": ["yes", "no"], "scores": [1, 0] if who == "ann" else [0, 1], "annotator": who}
        for who in ("ann", "bob")
        for k in range(12)
    ]
    file = tmp_path / "votes.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    stage = {
        "stage": "custom",
        "sets": ["votes"],
        "batch_size": 8,
        "learning_rate": 1e-2,
        "evaluations": 0,
        "epochs": 6,
    }
    run = run_tiny(data={"votes": {"path": str(file), "by": "annotator"}}, stages=[stage])
    ann, bob = (RewardModel.from_pretrained(run, domain=who).score("5?", ["yes", "no"]) for who in ("ann", "bob"))
    assert ann[0] > ann[1] and bob[0] < bob[1]


def test_a_plain_set_in_a_custom_stage_is_its_own_domain(run_tiny: Run, preference_files: dict[str, Path]) -> None:
    mine = preference_files["general"].parent / "mine.jsonl"
    mine.write_text(preference_files["general"].read_text(encoding="utf-8").replace("Say", "Tell me"), encoding="utf-8")
    data = {"general": {"path": str(preference_files["general"])}, "mine": {"path": str(mine)}}
    run = run_tiny(data=data, custom={"sets": ["mine"], "domains": None})
    assert {p.name for p in (run / "models").iterdir()} == {"general", "mine"}


def test_tensorboard_sees_a_run_where_it_is_asked_for(
    run_tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    run_tiny(custom=None)
    found = events.EventAccumulator(str(tmp_path / "logs")).Reload()
    assert "train/loss" in found.Tags()["scalars"] and "eval/accuracy_general" in found.Tags()["scalars"]


@pytest.mark.parametrize("settings", [{"bf16": True}, {"scheduler": "cosine", "warmup": 0.5}])
def test_precision_and_schedule_of_a_run(run_tiny: Run, metrics_of: Metrics, settings: dict[str, Any]) -> None:
    lines = metrics_of(run_tiny(general=settings | {"epochs": 6}, custom=None))
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] and all(map(math.isfinite, losses))
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    steps = max(line["step"] for line in lines)
    if "scheduler" in settings:
        past = [line["step"] for line in lines if "learning_rate" in line]
        warm = round(0.5 * steps)
        done = [k - 1 for k in past]
        wanted = [k / warm if k < warm else 0.5 * (1 + math.cos(math.pi * (k - warm) / (steps - warm))) for k in done]
        assert rates == pytest.approx([1e-2 * w for w in wanted], abs=1e-6)


def test_a_domains_name_never_leaves_the_runs_folder(run_tiny: Run, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q {k}", "responses": [f"yes {k}", "no"], "scores": [1, 0], "domain": domain}
        for k in range(20)
        for domain in ("Q/A", "../up")
    ]
    path = tmp_path / "named.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    stages = [{"stage": "custom", "sets": ["named"], "joint": joint, "name": name, "evaluations": 0, "max_steps": 1}
              for name, joint in (("", True), ("each", False))]  # fmt: skip
    run = run_tiny(data={"named": {"path": str(path)}}, stages=stages)
    assert {p.name for p in (run / "models").iterdir()} == {"Q-A", "-up", "each-Q-A", "each--up"}
    assert RewardModel.from_pretrained(run, domain="Q/A").info.domains == ["Q/A"]
    assert not list(tmp_path.glob("up*"))


def test_a_joint_stage_makes_a_model_for_each_domain(run_tiny: Run, weights_of: Weights) -> None:
    run = run_tiny(general=None, custom={"domains": None, "joint": True})
    academy, business = (weights_of(run / "models" / name) for name in ("academy", "business"))
    different = [name for name in academy if not torch.equal(academy[name], business[name])]
    assert different == ["score.weight"] and academy["score.weight"].shape == (1, 32)
    told = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert [m["model"] for m in told["models"]] == ["academy", "business"]


def test_the_best_model_is_kept_and_patience_ends_a_run(
    run_tiny: Run, metrics_of: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rewardsmith.training.monitoring import ValidationAccuracy

    accuracies = iter([0.5, 0.6, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    kept: list[torch.Tensor] = []

    def measure(self: ValidationAccuracy, model: RewardModel) -> dict[str, float]:
        kept.append(model.head.weight.detach().clone())
        return {"general": next(accuracies)}

    monkeypatch.setattr(ValidationAccuracy, "__call__", measure)
    stage = {"epochs": 4, "evaluations": 8, "keep_best": "general", "patience": 2}
    run = run_tiny(custom=None, general=stage)
    steps = [line["step"] for line in metrics_of(run) if "accuracy" in line]
    assert steps == [0, 1, 2, 3, 4]
    best = RewardModel.from_pretrained(run / "models/general", device="cpu").head.weight
    assert torch.equal(best, kept[2]) and not torch.equal(best, kept[4])


def test_the_best_on_both_counts_what_general_accuracy_has_lost(
    run_tiny: Run, metrics_of: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a run that goes on, whose start was measured before it was interrupted."""
    from rewardsmith.training.monitoring import ValidationAccuracy

    figures: list[tuple[float, float] | None] = [(0.8, 0.5), (0.9, 0.6), None, (0.6, 0.75), (0.7, 0.68)]
    kept: list[torch.Tensor] = []

    def measure(self: ValidationAccuracy, model: RewardModel) -> dict[str, float]:
        found = figures.pop(0)
        if found is None:
            raise KeyboardInterrupt
        kept.append(model.head.weight.detach().clone())
        return {"general": found[0], "custom": found[1]}

    monkeypatch.setattr(ValidationAccuracy, "__call__", measure)
    stage = {"watch": ["general"], "epochs": 4, "evaluations": 8, "keep_best": "both", "patience": 2}
    with pytest.raises(KeyboardInterrupt):
        run_tiny(general=None, custom=stage)
    run = run_tiny(general=None, custom=stage)
    both = [line["accuracy"]["both"] for line in metrics_of(run) if "accuracy" in line]
    assert both == pytest.approx([0.5, 0.6, 0.75 - 0.2, 0.68 - 0.1])
    best = RewardModel.from_pretrained(run / "models/academy", device="cpu").head.weight
    assert torch.equal(best, kept[1])
    with pytest.raises(UserError, match=r"keep_best is 'both', which is not measured; there are custom, academy"):
        run_tiny("other", general=None, custom={"keep_best": "both"})


def test_resampled_enrichment_brings_others_in_every_epoch(run_tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardsmith.training.batch import Batch, Collator

    came: list[str] = []
    collate = Collator.__call__

    def noted(self: Collator, items: Any) -> Batch:
        came.extend(item.judgements[0].record for item in items if item.general)
        return collate(self, items)

    monkeypatch.setattr(Collator, "__call__", noted)
    for resampled in (True, False):
        came.clear()
        enrichment = {"sets": ["general"], "count": 4, "resampled": resampled}
        run_tiny(str(resampled), general=None, custom={"enrichment": enrichment, "epochs": 3, "evaluations": 0})
        assert len(came) == 12 and len(set(came)) == (12 if resampled else 4)


def test_projection_trains_as_part_of_a_run(run_tiny: Run, weights_of: Weights) -> None:
    """Another model comes of it than of mixing."""
    enrichment = {"sets": ["general"], "count": 8}
    stage = {"enrichment": enrichment, "evaluations": 0}
    runs = [
        weights_of(run_tiny(out, general=None, custom=stage | {"losses": losses}) / "models/academy")
        for out, losses in (("held", {"projection": True}), ("mixed", {}))
    ]
    assert all(torch.isfinite(w).all() for w in runs[0].values())
    assert any(not torch.equal(runs[0][key], runs[1][key]) for key in runs[0])


@pytest.mark.parametrize("losses", [{"distillation": 50.0}, {"l2_sp": 50.0}])
def test_what_holds_the_model_back_does(run_tiny: Run, weights_of: Weights, losses: dict[str, float]) -> None:
    custom = {"enrichment": {"sets": ["general"], "count": 8}, "epochs": 2}
    free, held = (run_tiny(name, custom=custom | {"losses": extra}) for name, extra in (("free", {}), ("held", losses)))
    start = weights_of(free / "models/general")

    def moved(run: Path) -> float:
        if "l2_sp" in losses:
            end = weights_of(run / "models/academy")
            return sum(float((end[k] - start[k]).norm() ** 2) for k in start)
        general, academy = (RewardModel.from_pretrained(run / "models" / n) for n in ("general", "academy"))
        texts = [f"Gladly: {k} is a number." for k in range(6)] + ["No, 3 bores me."]
        prompts = "Say something about 3."
        a, b = (torch.tensor(m.score(prompts, texts)) for m in (general, academy))
        return float(((a - a.mean()) - (b - b.mean())).norm())

    assert moved(held) < moved(free)


def test_a_mixture_learns_which_set_a_text_is_from(
    run_tiny: Run, make_backbone: Callable[..., Path], preference_files: dict[str, Path], tmp_path: Path
) -> None:
    """Two sets that prefer the opposite of the same kind of answer: no single linear head can rank both."""
    from rewardsmith.modeling.reward_model import RewardModel
    from rewardsmith.preferences.reading import load_preferences

    pairs = [json.loads(line) for line in preference_files["general"].read_text(encoding="utf-8").splitlines()]
    opposite = [
        {"prompt": p["prompt"].replace("Say", "Tell"), "chosen": p["rejected"], "rejected": p["chosen"]} for p in pairs
    ]
    other = tmp_path / "opposite.jsonl"
    other.write_text("\n".join(map(json.dumps, opposite)) + "\n", encoding="utf-8")
    run = run_tiny(
        general={"sets": ["general", "opposite"], "epochs": 20},
        custom={"epochs": 2, "enrichment": {"sets": ["general"], "count": 4}},
        backbone={
            "model": str(make_backbone("llama")),
            "max_length": 96,
            "head": "mixture",
            "experts": ["general", "opposite"],
        },
        data={name: {"path": str(path)} for name, path in (preference_files | {"opposite": other}).items()},
    )
    model = RewardModel.from_pretrained(run / "models/general")
    for path in (preference_files["general"], other):
        rewards = model.score_preferences(load_preferences(str(path)).preferences)
        assert sum(a > b for a, b in rewards) >= 0.9 * len(rewards)
    assert RewardModel.from_pretrained(run / "models/academy").info.experts == ["general", "opposite"]


def test_stages_from_the_same_weights_share_one_store_of_frozen_states(
    run_tiny: Run, make_backbone: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rewardsmith.modeling.state_store import StateStore

    kept: list[bool] = []
    put = StateStore.put

    def counted(self: StateStore, arrays: dict[str, Any]) -> None:
        before = self._rows
        put(self, arrays)
        kept.append(self._rows > before)

    monkeypatch.setattr(StateStore, "put", counted)
    run_tiny(
        general={"freeze_layers": 1},
        custom={"freeze_layers": 1},
        backbone={"model": str(make_backbone("llama")), "max_length": 96},
    )
    folders = list((tmp_path / "cache" / "frozen").iterdir())
    assert len(folders) == 1, "the general stage left the first layer alone"
    assert all(kept), "the second stage could write too"
