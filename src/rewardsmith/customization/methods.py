"""Ways to customise a model and keep its general ability: each a small class behind one interface, by name.

A method gives candidates on paths that leave the general model. Some train a head on kept features, in seconds; the
others are a custom stage of a recipe with one setting changed, and the path from the general model to its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from rewardsmith.customization.candidates import HeadOption, Option, PathOption
from rewardsmith.customization.parts import CUSTOM, TRAIN, Parts
from rewardsmith.customization.residual import PairFeatures, fit_residual
from rewardsmith.errors import UserError, nearest
from rewardsmith.modeling.checkpoint import folder_name
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.mixing import take_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.writing import write_preferences
from rewardsmith.training.planning import plan_run
from rewardsmith.training.recipe import Recipe
from rewardsmith.training.run import run_recipe
from rewardsmith.training.run_folder import RunFolder

AUTO = "auto"

MOST_ANCHORS = 800
"""More would take minutes to read and change the head little: they fill a matrix as wide as the features."""


@dataclass(frozen=True)
class Workshop:
    """What methods work with."""

    general: RewardModel
    general_name: str
    bank: FeatureBank
    parts: Parts
    domain: str
    folder: Path
    seed: int
    console: Console

    def anchors(self) -> list[Preference]:
        """The general preferences whose verdicts a residual is held to: a fixed sample of the train parts, the same for
        every seed, so that it is read once."""
        pool = self.parts.pooled(TRAIN)
        return take_preferences(pool, min(MOST_ANCHORS, len(pool)))


class Method(Protocol):
    """A way to customise."""

    @property
    def summary(self) -> str:
        """What it does, in a line."""

    def seconds(self, shop: Workshop) -> float:
        """What it is expected to take, scoring apart."""

    def frozen_layers(self, general: RewardModel) -> int:
        """How many layers keep the general model's weights while those above train; 0 where nothing is run twice."""

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """Its models, each path from its end inwards."""


@dataclass(frozen=True)
class Residual:
    """A linear head added to the general reward, trained on kept features (see `residual`)."""

    name: str
    summary: str
    retentions: tuple[float, ...]
    """Weights of the pull towards the general model's verdicts on general prompts."""
    ridges: tuple[float, ...] = (0.003, 0.03, 0.3)
    strengths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15)

    def seconds(self, shop: Workshop) -> float:
        """Next to nothing."""
        return 0.0

    def frozen_layers(self, general: RewardModel) -> int:
        """None: what the last layer reads is kept instead."""
        return 0

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """A path for every pull and ridge."""
        train, general = shop.parts.custom[TRAIN], shop.anchors()
        custom_pairs = PairFeatures.of(train, shop.bank.of(train))
        general_pairs = PairFeatures.of(general, shop.bank.of(general))
        for retention in self.retentions:
            for ridge in self.ridges:
                residual = fit_residual(custom_pairs, general_pairs, ridge=ridge, retention=retention)
                settings = {"ridge": ridge} | ({"retention": retention} if retention else {})
                for strength in self.strengths:
                    yield HeadOption(self.name, dict(settings), strength, residual, shop.bank)


@dataclass(frozen=True)
class Trained:
    """A custom stage of a recipe from the general model, and the straight path between the two.

    The embeddings and the lower layers stay as they are: what they give for a text is computed once and kept on disk,
    for all epochs, methods, seeds and strengths.
    """

    name: str
    summary: str
    changes: Mapping[str, Any]
    """Keys of the stage beside the common ones."""
    enriched: bool = False
    """Whether as many general preferences are mixed in as there are custom ones."""
    trained_share: float = 0.25
    """Share of the layers that train: the upper ones."""
    strengths: tuple[float, ...] = (1.0, 0.7, 0.4, 0.2)

    def seconds(self, shop: Workshop) -> float:
        """As the dry run has it."""
        return sum(job.seconds for job in plan_run(self._recipe(shop)).jobs)

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """Trains, or loads what was trained."""
        folder = shop.folder / "training" / self.name
        run = RunFolder(folder)
        name = folder_name(shop.domain)
        if not run.has_model(name):
            run_recipe(self._recipe(shop), folder, shop.console)
        trained = RewardModel.from_pretrained(run.model(name))
        for strength in self.strengths:
            yield PathOption(self.name, {}, strength, shop.general, trained)

    def frozen_layers(self, general: RewardModel) -> int:
        """All but the share that trains."""
        return int(general.inner.config.get_text_config().num_hidden_layers * (1 - self.trained_share))

    def _recipe(self, shop: Workshop) -> Recipe:
        """The stage as a recipe on the train parts, which it writes for it."""
        data = shop.folder / "data"
        sets = {CUSTOM: shop.parts.custom[TRAIN], **shop.parts.of(TRAIN)}
        for name, preferences in sets.items():
            if not (data / f"{name}.jsonl").is_file():
                data.mkdir(parents=True, exist_ok=True)
                write_preferences(preferences, data / f"{name}.jsonl")
        general = list(shop.parts.of(TRAIN))
        changes = dict(self.changes)
        if self.enriched:
            count = min(len(sets[CUSTOM]), len(shop.parts.pooled(TRAIN)))
            changes["enrichment"] = {"sets": general, "count": count}
        stage = {
            "stage": "custom",
            "domains": [shop.domain],
            "start": str(Path(shop.general_name).resolve()) if Path(shop.general_name).exists() else shop.general_name,
            "sets": [CUSTOM],
            "freeze_layers": self.frozen_layers(shop.general),
            **_STAGE,
            **changes,
        }
        return Recipe.model_validate(
            {
                "name": self.name,
                "seed": shop.seed,
                "backbone": {"model": shop.general.info.provenance.get("backbone", shop.general_name)},
                "data": {name: {"path": str(data / f"{name}.jsonl")} for name in sets},
                "split": {"train": 1.0, "validation": 0.0, "test": 0.0},
                "stages": [stage],
                "evaluation": {"sets": [], "baselines": False},
            }
        )


_STAGE = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 2e-5,
    "head_learning_rate": 1e-3,
    "warmup": 0.1,
    "evaluations": 0,
}

METHODS: dict[str, Method] = {
    "anchored": Residual(
        "anchored", "a residual head, held to the general model's verdicts on general prompts", (0.3, 3.0, 30.0, 300.0)
    ),
    "head": Residual("head", "a residual head on the custom preferences alone", (0.0,)),
    "distillation": Trained(
        "distillation",
        "the upper layers; general prompts keep the general model's verdicts (no labels needed)",
        {"losses": {"distillation": 1.0}},
        enriched=True,
    ),
    "enrichment": Trained(
        "enrichment", "the upper layers; as many general preferences mixed in as custom ones", {}, enriched=True
    ),
    "imitation": Trained(
        "imitation",
        "the upper layers; the language-modelling loss on preferred responses",
        {"losses": {"imitation": 0.1}},
    ),
    "l2-sp": Trained("l2-sp", "the upper layers; pulled back to the general model's", {"losses": {"l2_sp": 10.0}}),
    "fine-tuning": Trained("fine-tuning", "the upper layers, on the custom preferences alone", {}),
    "full-fine-tuning": Trained(
        "full-fine-tuning", "all weights, on the custom preferences alone", {}, trained_share=1.0
    ),
}
"""From cheap to dear: the order in which `auto` tries them."""


def methods_named(name: str) -> list[str]:
    """The methods behind `--method`: one, or all. Raises UserError for an unknown name."""
    if name == AUTO:
        return list(METHODS)
    if name not in METHODS:
        choices = [AUTO, *METHODS]
        raise UserError(
            f"--method {name}: there is no such method{nearest(name, choices)}; there are {', '.join(choices)}"
        )
    return [name]
