"""(b) The paper's own questions on a small backbone: is each stage worth it, imitation, and where to enrich.

Fourteen of the 26 combinations that make sense, chosen so that the factors are balanced against one another: with a
general stage, every pair of structure and enrichment is met by two of the four settings of imitation, in turn (00 with
11, 01 with 10), so that main effects can be told apart. Without one there is nothing to enrich or to imitate in it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from experiments.budget.bench import Bench, mean_and_error
from experiments.precision import bfloat16_is_faster
from experiments.provenance import commit
from experiments.real_data import DOMAINS, GENERAL_SETS
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.evaluation.result import load_result
from rewardsmith.files import append_lines
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.splitting import hash_share
from rewardsmith.reporting.format import difference_with_interval, percent, signed_percent
from rewardsmith.reporting.tables import Table, to_markdown
from rewardsmith.training.recipe import BACKBONE, Recipe
from rewardsmith.training.run import run_recipe

Structure = Literal["custom", "general + custom", "base + general + custom"]
Enrichment = Literal["none", "general stage", "custom stage"]

DEPTH, FROZEN = 8, 4
IMITATION = 0.1
GENERAL_PREFERENCES, QUERIES = 300, 160
"""Of each general set, and of the DSP queries: small, because there are many runs."""
RECORD = "budget_stages.jsonl"
"""Beside the page: every run's figures. The runs take hours, so that another machine goes on from here."""


class Setting(NamedTuple):
    """One run."""

    structure: Structure
    enrichment: Enrichment
    imitate_general: bool
    imitate_custom: bool

    @property
    def name(self) -> str:
        """Of its folder."""
        flags = f"{self.imitate_general:d}{self.imitate_custom:d}"
        return f"{self.structure}-{self.enrichment}-{flags}".replace(" + ", "-").replace(" ", "-")


def design() -> list[Setting]:
    """The fourteen settings."""
    found = [Setting("custom", "none", False, imitate) for imitate in (False, True)]
    structures: tuple[Structure, ...] = ("general + custom", "base + general + custom")
    enrichments: tuple[Enrichment, ...] = ("none", "general stage", "custom stage")
    for s, structure in enumerate(structures):
        for e, enrichment in enumerate(enrichments):
            other = (s + e) % 2 == 1
            found += [Setting(structure, enrichment, flag, flag != other) for flag in (False, True)]
    return found


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    by_seed = [[_outcome(bench, setting, seed) for setting in design()] for seed in bench.seeds]
    found = list(zip(*by_seed, strict=True))
    return "\n\n".join(
        [
            "## (b) The paper's questions",
            f"The embedded model's first {DEPTH} layers, the lower {FROZEN} frozen; at most {GENERAL_PREFERENCES} "
            f"preferences of each general set and {QUERIES} DSP queries; one epoch of the base and general stages, two "
            "of the custom one, all four domains jointly. Enrichment in the general stage is "
            "harmless and webgpt beside helpful, in the custom stage as many general preferences as there are queries. "
            f"Accuracy % on the test parts; {len(design())} settings, mean ± standard error over seeds "
            f"{', '.join(str(s) for s in bench.seeds)}. Each run with its precision and commit: [{RECORD}]({RECORD}); "
            f"{_precisions(bench.seeds, by_seed)}: what of an error is the seed's and what the precision's is not told "
            "apart.",
            to_markdown(_table(found)),
            "Main effects, points [95 %]. Of a general stage: it and a custom one against a custom one alone, without "
            "enrichment. Of the rest: least squares over the settings with a general stage, so that each factor is "
            "freed of the others, for each seed; their mean with Student's interval over the seeds, which are few, and "
            "in brackets seed by seed.",
            to_markdown(_effects(found)),
        ]
    )


class Outcome(NamedTuple):
    """What a run came to on the test parts."""

    setting: Setting
    custom: float
    """Each domain's model on its own preferences, mean over the domains."""
    general: float
    """The domains' models on the general sets, mean over models and sets."""
    precision: str


def _outcome(bench: Bench, setting: Setting, seed: int) -> Outcome:
    """What the record of all runs says; what it lacks is trained, evaluated and put there."""
    record = bench.results / RECORD
    rows = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.is_file() else []
    known = next((r for r in rows if (r["setting"], r["seed"]) == (setting.name, seed)), None)
    if known is None:
        custom, general = _run(bench, setting, seed)
        known = {"setting": setting.name, "seed": seed, "four domains": custom, "general": general}
        known |= {"precision": "bfloat16 autocast" if bfloat16_is_faster() else "float32", "commit": commit()}
        append_lines(record, [json.dumps(known)])
    return Outcome(setting, known["four domains"], known["general"], known["precision"])


def _run(bench: Bench, setting: Setting, seed: int) -> tuple[float, float]:
    """Accuracy on the domains and on the general sets."""
    folder = bench.out / "stages" / f"{setting.name}-{seed}"
    if not (folder / "result.json").is_file():
        *shared, last = _stages(setting)
        start = _shared(bench, shared, seed)
        bench.console.rule(folder.name)
        recipe = _recipe(bench, setting.name, last | {"start": start}, seed, [*GENERAL_SETS, "dsp"])
        run_recipe(recipe, folder, bench.console)
        shutil.rmtree(folder / "models")
    models = {model.model: model for model in load_result(folder / "result.json").models}
    own = [models[d].sets[d].accuracy for d in DOMAINS]
    general = [models[d].sets[name].accuracy for d in DOMAINS for name in GENERAL_SETS]
    return _mean(own), _mean(general)


def _shared(bench: Bench, stages: Sequence[Mapping[str, Any]], seed: int) -> str:
    """Where to start after these stages, with which several settings begin: what they make is trained once."""
    if not stages:
        return BACKBONE
    *earlier, last = stages
    name = f"{last['stage']}-{hashlib.sha256(json.dumps(stages).encode()).hexdigest()[:8]}-{seed}"
    folder = bench.out / "stages" / name
    if not (folder / "result.json").is_file():
        start = _shared(bench, earlier, seed)
        bench.console.rule(name)
        run_recipe(_recipe(bench, name, {**last, "start": start}, seed, []), folder, bench.console)
    return str(folder / "models" / last["stage"])


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([v for v in values if v is not None]))


def _recipe(bench: Bench, name: str, stage: Mapping[str, Any], seed: int, evaluated: Sequence[str]) -> Recipe:
    """One stage as a recipe, and the sets that its models are evaluated on."""
    queries = sorted({p.prompt_key() for p in bench.of(bench.dsp, DOMAINS[0])}, key=hash_share)[:QUERIES]
    dsp = [p for p in load_preferences(bench.dsp).preferences if p.prompt_key() in set(queries)]
    data: dict[str, Any] = {name: {"path": bench.file(name), "limit": GENERAL_PREFERENCES} for name in GENERAL_SETS}
    data["dsp"] = {"path": bench.written(dsp, f"dsp-{QUERIES}")}
    return Recipe.model_validate(
        {
            "name": name,
            "seed": seed,
            "backbone": {"model": "embedded", "depth": DEPTH},
            "data": data,
            "stages": [stage],
            "evaluation": {"sets": evaluated, "part": "test", "baselines": False},
        }
    )


def _stages(setting: Setting) -> list[dict[str, Any]]:
    """The stages of a setting, in order."""
    common: dict[str, Any] = {
        "batch_size": 16,
        "micro_batch_size": 4,
        "warmup": 0.1,
        "freeze_layers": FROZEN,
        "evaluations": 0,
        "bf16": bfloat16_is_faster(),
    }
    ranking = common | {"head_learning_rate": 1e-3}
    sets = list(GENERAL_SETS) if setting.enrichment == "general stage" else [GENERAL_SETS[0]]
    stages: list[dict[str, Any]] = []
    if setting.structure.startswith("base"):
        stages.append(
            {"stage": "base", "sets": ["dsp", *sets], "losses": {"imitation": 1.0}, "learning_rate": 5e-5} | common
        )
    if "general" in setting.structure:
        losses = {"imitation": IMITATION if setting.imitate_general else 0.0}
        stages.append({"stage": "general", "sets": sets, "losses": losses, "learning_rate": 5e-5, **ranking})
    custom = {"stage": "custom", "sets": ["dsp"], "joint": True, "epochs": 2, "learning_rate": 1e-4, **ranking}
    custom["losses"] = {"imitation": IMITATION if setting.imitate_custom else 0.0}
    if setting.enrichment == "custom stage":
        custom["enrichment"] = {"sets": list(GENERAL_SETS), "share": 0.5}
    return [*stages, custom]


def _table(found: Sequence[Sequence[Outcome]]) -> Table:
    rows = [
        (
            setting.structure,
            setting.enrichment,
            "yes" if setting.imitate_general else "no",
            "yes" if setting.imitate_custom else "no",
            _percent_with_error([o.custom for o in seeds]),
            _percent_with_error([o.general for o in seeds]),
        )
        for seeds in found
        for setting in [seeds[0].setting]
    ]
    columns = ("stages", "enrichment", "general imitates", "custom imitates", "four domains", "general")
    return Table("", columns, tuple(rows), n_labels=4)


def _percent_with_error(values: Sequence[float]) -> str:
    mean, error = mean_and_error(values)
    return f"{percent(mean)} ± {percent(error)}"


def effects(settings: Sequence[Setting], values: FloatArray) -> dict[str, FloatArray]:
    """Main effects of the factors by ordinary least squares, for each seed on its own: (seeds,) by factor.

    Args:
        values: [settings, seeds].
    """
    columns = {
        "base stage": [s.structure.startswith("base") for s in settings],
        "enrichment in the general stage": [s.enrichment == "general stage" for s in settings],
        "enrichment in the custom stage": [s.enrichment == "custom stage" for s in settings],
        "imitation in the general stage": [s.imitate_general for s in settings],
        "imitation in the custom stage": [s.imitate_custom for s in settings],
    }
    x = np.column_stack([np.ones(len(settings)), *(np.array(c, float) for c in columns.values())])
    found, *_ = np.linalg.lstsq(x, values, rcond=None)
    return dict(zip(columns, found[1:], strict=True))


def general_stage(settings: Sequence[Setting], values: FloatArray) -> FloatArray:
    """What a general stage adds to a custom one alone, where nothing enriches either: (seeds,)."""
    plain = [s.enrichment == "none" for s in settings]
    means = {
        structure: values[[p and s.structure == structure for p, s in zip(plain, settings, strict=True)]].mean(axis=0)
        for structure in ("custom", "general + custom")
    }
    added: FloatArray = means["general + custom"] - means["custom"]
    return added


def over_seeds(values: FloatArray) -> str:
    """The mean with Student's 95 % interval, and in brackets the values, in points."""
    interval = None
    if len(values) > 1:
        low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        interval = (float(low), float(high))
    each = ", ".join(signed_percent(float(v)) for v in values)
    return f"{difference_with_interval(float(values.mean()), interval)} ({each})"


def _effects(found: Sequence[Sequence[Outcome]]) -> Table:
    settings = [seeds[0].setting for seeds in found]
    values = {key: np.array([[getattr(o, key) for o in seeds] for seeds in found]) for key in ("custom", "general")}
    staged = [s.structure != "custom" for s in settings]
    with_general = [s for s in settings if s.structure != "custom"]
    columns = [
        {"general stage": general_stage(settings, v)} | effects(with_general, v[staged]) for v in values.values()
    ]
    rows = [(name, *(over_seeds(column[name]) for column in columns)) for name in columns[0]]
    return Table("", ("factor", "four domains", "general"), tuple(rows))


def _precisions(seeds: Sequence[int], by_seed: Sequence[Sequence[Outcome]]) -> str:
    """How many runs of each seed were made in which precision."""
    counts = [Counter(o.precision for o in outcomes) for outcomes in by_seed]
    found = zip(seeds, counts, strict=True)
    return "; ".join(f"seed {s}: {', '.join(f'{n} in {kind}' for kind, n in c.items())}" for s, c in found)
