"""A recipe's data: every set read once and split, and the preferences that each stage trains and is measured on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rewardsmith.errors import DataError, UserError, nearest
from rewardsmith.preferences.mixing import mix_preferences, take_preferences
from rewardsmith.preferences.reading import load_preferences, with_annotator_domains
from rewardsmith.preferences.record import GENERAL, Preference
from rewardsmith.preferences.sample import located, real_place
from rewardsmith.preferences.splitting import split_preferences
from rewardsmith.training.recipe import DataSpec, EnrichmentSpec, Recipe, StageSpec

Parts = dict[str, list[Preference]]
"""The split of one set: train, validation, test."""


@dataclass(frozen=True)
class RecipeData:
    """All sets of a recipe by name, each split into its parts, and what reading had to say."""

    sets: dict[str, Parts]
    notes: list[str]

    def preferences(self, name: str) -> list[Preference]:
        """All parts of one set."""
        return [p for part in self.sets[name].values() for p in part]

    def domains(self, stage: StageSpec) -> list[str]:
        """The domains that a custom stage trains for.

        Raises:
            UserError: a domain asked for that the sets do not hold.
        """
        there = list(dict.fromkeys(p.domain for name in stage.weights() for p in self.preferences(name)))
        for domain in stage.domains or []:
            if domain not in there:
                raise UserError(
                    f"stage {stage.label!r}: no preferences of domain {domain!r}{nearest(domain, there)}; "
                    f"there are {', '.join(there)}"
                )
        return stage.domains or there

    def training(self, stage: StageSpec, domains: list[str] | None, seed: int) -> list[Preference]:
        """What the stage trains on, enrichment apart: its sets joined, or mixed by their weights."""
        weights = stage.weights()
        own = {name: self._of(name, "train", domains) for name in weights}
        if isinstance(stage.sets, dict):
            return mix_preferences(own, weights, seed=seed)
        return [p for preferences in own.values() for p in preferences]

    def enrichment(self, stage: StageSpec, custom: int, seed: int) -> list[Preference]:
        """The general preferences mixed in: the sample that every epoch has or, resampled, those of all epochs."""
        spec = stage.enrichment
        if spec is None:
            return []
        pool = self._pool(spec)
        wanted = self.drawn(spec, custom) * (math.ceil(stage.epochs) if spec.resampled else 1)
        return take_preferences(pool, min(wanted, len(pool)), seed=seed)

    def drawn(self, spec: EnrichmentSpec, custom: int) -> int:
        """How many general preferences an epoch has beside `custom` others: a share of the whole, or a count.

        Raises:
            UserError: more than the training part of the sets has.
        """
        pool = self._pool(spec)
        wanted = spec.count if spec.count is not None else round(custom * (spec.share or 0) / (1 - (spec.share or 0)))
        if wanted > len(pool):
            raise UserError(
                f"enrichment asks for {wanted} general preferences, the training part of {', '.join(spec.sets)} has "
                f"{len(pool)}; lower share or count, or add a set"
            )
        return wanted

    def _pool(self, spec: EnrichmentSpec) -> list[Preference]:
        return [p for name in spec.sets for p in self.sets[name]["train"]]

    def measured(self, name: str, part: str, domains: list[str] | None = None) -> list[Preference]:
        """The preferences of one part of a set that accuracies are measured on."""
        return self._of(name, part, domains)

    def _of(self, name: str, part: str, domains: list[str] | None) -> list[Preference]:
        found = self.sets[name].get(part, [])
        return found if domains is None else [p for p in found if p.domain in domains]


def load_data(recipe: Recipe, on_set: Callable[[str], None] | None = None) -> RecipeData:
    """Reads and splits every set of the recipe.

    Raises:
        DataError: a set that cannot be read, or whose training part is empty; the same file named twice.
    """
    _refuse_twice(recipe.data)
    custom = {n for s in recipe.stages if s.stage == "custom" for n in s.weights()}
    general = set(recipe.data) - custom | set(recipe.general_sets())
    sets: dict[str, Parts] = {}
    notes: list[str] = []
    for name, spec in recipe.data.items():
        if on_set:
            on_set(name)
        loaded = load_preferences(located(spec.path), format=spec.format, domain=spec.domain, on_error=spec.on_error)
        preferences = loaded.preferences
        if spec.by == "annotator":
            preferences = with_annotator_domains(preferences)
        elif name not in general and all(p.domain == GENERAL for p in preferences):
            # What a custom stage trains on is somebody's: where the file does not say whose, it is the set's.
            preferences = [p.model_copy(update={"domain": name}) for p in preferences]
        if spec.limit is not None:
            preferences = take_preferences(preferences, min(spec.limit, len(preferences)))
        # Inside a run a preference comes from its set: a mixture head asks for that.
        preferences = [p.model_copy(update={"source": name}) for p in preferences]
        notes += loaded.notes
        sets[name] = split_preferences(preferences, recipe.split.shares(), seed=recipe.seed, by=recipe.split.by)
        if not sets[name]["train"]:
            raise DataError(f"{spec.path}: no preference is left for training after dropping and splitting")
    return RecipeData(sets, notes)


def _refuse_twice(data: dict[str, DataSpec]) -> None:
    """The same preferences under two names would be counted, or trained on and measured, twice."""
    seen: dict[str, list[tuple[str, str | None]]] = {}
    for name, spec in data.items():
        others = seen.setdefault(real_place(spec.path), [])
        for other, domain in others:
            if spec.domain == domain or None in (spec.domain, domain):
                raise UserError(f"data.{other} and data.{name} are the same file {spec.path}; name it once")
        others.append((name, spec.domain))
