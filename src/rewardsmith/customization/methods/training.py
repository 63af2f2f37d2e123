"""A custom stage of a recipe with one setting changed, and the path from the general model to its end.

The path is task arithmetic (Ilharco et al. 2023, arXiv 2212.04089) on one task vector, trained minus general weights:
its strength is the scale. It knows nothing of how a stage is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rewardsmith.customization.candidates import Option, PathOption, Settings
from rewardsmith.customization.methods.base import Method, Workshop
from rewardsmith.customization.parts import CUSTOM, TRAIN
from rewardsmith.modeling.checkpoint import folder_name
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.writing import write_preferences
from rewardsmith.training.planning import plan_run
from rewardsmith.training.recipe import Recipe
from rewardsmith.training.run import run_recipe
from rewardsmith.training.run_folder import RunFolder

_STAGE = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 2e-5,
    "head_learning_rate": 1e-3,
    "warmup": 0.1,
    "evaluations": 0,
}

_WATCHED = 0.2
"""Share of the train parts that is held back to watch a training by."""
_WATCH_DRAW = 20_000
"""Added to the seed where a part is held back: the train parts were drawn by hash, and by the same nothing is left."""

STRENGTHS = (1.0, 0.7, 0.4, 0.2)
"""Of the candidates on a path whose scoring runs the backbone."""


@dataclass(frozen=True)
class Trained(Method):
    """A custom stage of a recipe from the general model, and the straight path between the two.

    The embeddings and the lower layers stay as they are: what they give for a text is computed once and kept on disk,
    for all epochs, methods, seeds and strengths.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the stage beside the common ones."""
    enriched: bool = False
    """Whether as many general preferences are mixed in as there are custom ones."""
    resampled: bool = False
    """Whether these are others in every epoch."""
    watched: bool = False
    """Whether a part of the train parts is held back to watch the training by."""
    trained_share: float = 0.25
    """Share of the layers that train: the upper ones."""
    ranks: tuple[int, ...] = ()
    """Ranks of LoRA adapters, a path for each; none: all weights of the layers that train."""
    strengths: tuple[float, ...] = STRENGTHS

    def seconds(self, shop: Workshop) -> float:
        """As the dry run has it; nothing for what is trained already."""
        return sum(self.seconds_of(shop, shop.seed, rank) for rank in self.ranks or (None,))

    def frozen_layers(self, general: RewardModel) -> int:
        """All but the share that trains."""
        return int(general.inner.config.get_text_config().num_hidden_layers * (1 - self.trained_share))

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """Trains, or loads what was trained."""
        for rank in self.ranks or (None,):
            folder = self.trained(shop, shop.seed, rank)
            end = partial(shop.end, str(folder), partial(RewardModel.from_pretrained, folder))
            settings: Settings = {} if rank is None else {"rank": rank}
            for strength in self.strengths:
                yield PathOption(self.name, settings, strength, shop.general, end)

    def trained(self, shop: Workshop, seed: int, rank: int | None = None) -> Path:
        """Folder of the model trained with `seed`; trains it where that was not done yet."""
        run = self._run(shop, seed, rank)
        name = folder_name(shop.domain)
        if not run.has_model(name):
            run_recipe(self._recipe(shop, seed, rank), run.path, shop.console)
        return run.model(name)

    def seconds_of(self, shop: Workshop, seed: int, rank: int | None = None) -> float:
        """What `trained` is expected to take."""
        if self._run(shop, seed, rank).has_model(folder_name(shop.domain)):
            return 0.0
        return sum(job.seconds for job in plan_run(self._recipe(shop, seed, rank)).jobs)

    def _run(self, shop: Workshop, seed: int, rank: int | None) -> RunFolder:
        parts = [self.name, *([f"rank{rank}"] if rank else []), *([f"seed{seed}"] if seed != shop.seed else [])]
        return RunFolder(shop.folder / "training" / "-".join(parts))

    def _recipe(self, shop: Workshop, seed: int, rank: int | None) -> Recipe:
        """The stage as a recipe on the train parts, which it writes for it."""
        info = shop.general.info
        backbone: dict[str, Any] = {
            "model": info.provenance.get("backbone", shop.general_name),
            "depth": info.depth,
        }
        if rank is not None:
            backbone["lora"] = {"rank": rank, "alpha": 2.0 * rank}
        return Recipe.model_validate(
            {
                "name": self.name,
                "seed": seed + _WATCH_DRAW if self.watched else seed,
                "backbone": backbone,
                "data": {name: {"path": str(path)} for name, path in _written(shop).items()},
                "split": {"train": 1 - _WATCHED, "validation": _WATCHED, "test": 0.0}
                if self.watched
                else {"train": 1.0, "validation": 0.0, "test": 0.0},
                "stages": [self._stage(shop)],
                "evaluation": {"sets": [], "baselines": False},
            }
        )

    def _stage(self, shop: Workshop) -> dict[str, Any]:
        changes, general = dict(self.changes), list(shop.parts.of(TRAIN))
        if self.enriched:
            count = min(len(shop.parts.custom[TRAIN]), len(shop.parts.pooled(TRAIN)))
            changes["enrichment"] = {"sets": general, "count": count, "resampled": self.resampled}
        if self.watched:
            changes["watch"] = general
        return {
            "stage": "custom",
            "domains": [shop.domain],
            "start": str(Path(shop.general_name).resolve()) if Path(shop.general_name).exists() else shop.general_name,
            "sets": [CUSTOM],
            "freeze_layers": self.frozen_layers(shop.general),
            "bf16": shop.bf16,
            **_STAGE,
            **changes,
        }


def _written(shop: Workshop) -> dict[str, Path]:
    """Files of the train parts, by the names of their sets."""
    folder = shop.folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, preferences in {CUSTOM: shop.parts.custom[TRAIN], **shop.parts.of(TRAIN)}.items():
        files[name] = folder / f"{name}.jsonl"
        if not files[name].is_file():
            write_preferences(preferences, files[name])
    return files
