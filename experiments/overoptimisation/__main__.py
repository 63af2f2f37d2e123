"""Where optimising a custom reward starts to hurt, with and without a budget: `python -m experiments.overoptimisation`.

The embedded language model answers held-out DSP queries many times; a custom reward model that learnt from a tenth of a
domain's preferences chooses the best of n; a gold one of full depth that learnt from all of them judges the choice.
Responses, features and `customize` runs are kept, so that an interrupted experiment goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console

from experiments.command import run_experiment
from experiments.overoptimisation.outcome import FREE, GENERAL, GIVEN, QUERIES, Difference, Gold, Outcome
from experiments.overoptimisation.page import page_of, panels
from experiments.real_data import DOMAINS, FOLDER, GENERAL_SETS, ranking
from rewardsmith import customize
from rewardsmith.collection.answerers.making import LocalAnswerer
from rewardsmith.collection.best_of_n import SampleOptions, Samples, lengths, sample_responses
from rewardsmith.collection.queries import Query
from rewardsmith.customization.residual import PairFeatures, fit_head
from rewardsmith.evaluation.best_of_n import gains
from rewardsmith.evaluation.budget import Question
from rewardsmith.evaluation.customization import Customization
from rewardsmith.evaluation.optimisation import LONGER, curves_of
from rewardsmith.evaluation.pairs import FloatArray, pair_table
from rewardsmith.evaluation.ranking import accuracy
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.evaluation.statistics import cluster_bootstrap
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.embedded import EMBEDDED
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.scoring import progress
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import Preference, content_hash
from rewardsmith.preferences.splitting import hash_share
from rewardsmith.preferences.writing import write_preferences
from rewardsmith.reporting.best_of_n import plot_best_of_n

UNSEEN, SEEN = 1150, 150
"""General preferences to prove with, and to be held to: on prompts that the general model was not, and was, trained
on."""
RIDGES = (0.003, 0.03, 0.3)
_AT_ONCE = 4
"""Queries whose responses are read together."""
_ROOT = Path(__file__).parent.parent.parent


class Preferences(NamedTuple):
    """The domains' preferences by prompt: what the policy is asked, what proxies are given, what golds learn."""

    held: list[Preference]
    given: list[Preference]
    gold: list[Preference]


def overoptimisation(
    general: Annotated[Path, typer.Option(help="The general reward model; its head is linear.")],
    data: Annotated[Path, typer.Option(help="Folder with the preference files.")] = FOLDER,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = _ROOT / "runs/overoptimisation",
    page: Annotated[Path, typer.Option(help="The page written.")] = _ROOT / "docs/results/overoptimisation.md",
    picture: Annotated[Path, typer.Option(help="The plot.")] = _ROOT / "docs/images/overoptimisation.png",
    budget: Annotated[float, typer.Option(help="Points of general accuracy that may be lost.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of the choice of queries, sampling, splits and intervals.")] = 0,
) -> None:
    """Samples, customises, judges, and writes the page."""
    started = time.monotonic()
    console = Console(stderr=True)
    preferences = read_preferences(data, seed)
    samples = draw(preferences, out, seed, console)
    golds = gold_rewards(preferences, samples, console)
    write_data(preferences, general, data, out)
    budgets = {FREE: 100.0, f"{budget:g} points": budget}
    runs = {d: {name: customised(d, b, general, out, seed, console) for name, b in budgets.items()} for d in DOMAINS}
    model = RewardModel.from_pretrained(str(general))
    bank = FeatureBank(model)
    read_all(bank, samples.records, console)
    outcomes = {}
    for domain in DOMAINS:
        heads = {name: _change_of_head(model, out / _run_name(domain, b, seed)) for name, b in budgets.items()} | {
            GENERAL: np.zeros(model.last_layer.in_features)
        }
        outcomes[domain] = _outcome(domain, heads, golds[domain], runs[domain], bank, preferences, samples, seed)
    bank.close()
    plot_best_of_n(panels(outcomes), picture)
    text = page_of(outcomes, golds, samples, model, budget, seed, time.monotonic() - started)
    page.write_text(text, encoding="utf-8")


def _outcome(
    domain: str,
    heads: Mapping[str, FloatArray],
    gold: Gold,
    runs: dict[str, Customization],
    bank: FeatureBank,
    preferences: Preferences,
    samples: Samples,
    seed: int,
) -> Outcome:
    """All proxies of a domain, by what their heads add to the general one's, under its gold and the general model."""
    held = [p for p in preferences.held if p.domain == domain]
    proxies = {name: np.array(_rewards(bank, samples.records, head)) for name, head in heads.items()}
    judges = {domain: gold.rewards, GENERAL: proxies[GENERAL]}
    people = {name: _accuracy(held, _rewards(bank, held, head)) for name, head in heads.items()}
    proxies[LONGER] = lengths(samples.records)
    people[LONGER] = _accuracy(held, [lengths([p])[0] for p in held])
    within = next(name for name in heads if name not in (FREE, GENERAL))
    return Outcome(
        curves=curves_of(proxies, judges, seed=seed),
        runs=runs,
        agreement={name: (people[name], _correlation(r, gold.rewards)) for name, r in proxies.items()},
        differences={name: _differences(proxies[FREE], proxies[within], r, seed) for name, r in judges.items()},
    )


def read_preferences(data: Path, seed: int) -> Preferences:
    """The DSP preferences by query: no query that the policy is asked was learnt from by anyone."""
    every = ranking(data / "domain_specific_preference.json")
    keys = sorted({p.prompt_key() for p in every}, key=lambda key: hash_share(f"{seed}\0{key}"))
    # Drawn anew: `customize` splits by the hash above, and the next in its order would all fall into one part.
    others = sorted(keys[QUERIES:], key=lambda key: hash_share(f"given\0{seed}\0{key}"))
    held, given = set(keys[:QUERIES]), set(others[:GIVEN])
    return Preferences(
        [p for p in every if p.prompt_key() in held],
        [p for p in every if p.prompt_key() in given],
        [p for p in every if p.prompt_key() not in held],
    )


def draw(preferences: Preferences, out: Path, seed: int, console: Console) -> Samples:
    """The policy's responses to the held-out queries."""
    asked = {p.prompt_key(): p for p in preferences.held}
    queries = [Query(content_hash(key), tuple(p.prompt)) for key, p in asked.items()]
    options = SampleOptions(n=32, temperature=1.0, max_tokens=80, seed=seed)
    return sample_responses(queries, LocalAnswerer(EMBEDDED), out / "responses", options, console)


def gold_rewards(preferences: Preferences, samples: Samples, console: Console) -> dict[str, Gold]:
    """A head for each domain on all layers, frozen, learnt from all queries that the policy is not asked."""
    torch.manual_seed(0)  # of the head that is drawn and never used: the kept features are known by all weights
    # bfloat16 reads three times as fast; a gold model need not be the best, only be the same for all.
    bank = FeatureBank(build_reward_model(BackboneSpec(model=EMBEDDED, precision="bfloat16", max_length=384)).eval())
    with progress(console, "gold features", len(preferences.gold)) as advance:
        bank.fill(preferences.gold, advance)
    known = read_all(bank, samples.records, console)
    golds = {}
    for domain in DOMAINS:
        learnt, held = ([p for p in part if p.domain == domain] for part in (preferences.gold, preferences.held))
        ridge = max(RIDGES, key=lambda r: _cross_validated(bank, learnt, r))
        head = _head(bank, learnt, ridge)
        own = _accuracy(held, [x @ head for x, _ in bank.of(held)])
        golds[domain] = Gold(np.stack([x @ head for x, _ in known]), own, ridge)
    bank.close()
    return golds


def read_all(bank: FeatureBank, records: Sequence[Preference], console: Console) -> list[tuple[FloatArray, FloatArray]]:
    """Features and rewards of many responses to each query, kept after every few queries."""
    with progress(console, "responses are read", len(records)) as advance:
        for start in range(0, len(records), _AT_ONCE):
            bank.fill(records[start : start + _AT_ONCE], advance)
    return bank.of(records)


def _head(bank: FeatureBank, preferences: Sequence[Preference], ridge: float) -> FloatArray:
    return fit_head(PairFeatures.of(preferences, bank.of(preferences)), ridge)


def _cross_validated(bank: FeatureBank, preferences: Sequence[Preference], ridge: float) -> float:
    """Accuracy on five fifths of the prompts, each by a head that did not learn from it."""
    fold = [int(5 * hash_share(p.prompt_key())) for p in preferences]
    tested, rewards = [], []
    for k in range(5):
        head = _head(bank, [p for p, f in zip(preferences, fold, strict=True) if f != k], ridge)
        own = [p for p, f in zip(preferences, fold, strict=True) if f == k]
        tested += own
        rewards += [x @ head for x, _ in bank.of(own)]
    return _accuracy(tested, rewards) or 0.0


def write_data(preferences: Preferences, general: Path, data: Path, out: Path) -> None:
    """The files that `customize` is given: a domain's preferences, and the general sets, each in its share."""
    folder, partial = out / "data", out / "data.partial"
    if folder.is_dir():
        return
    seen = set(RewardModel.from_pretrained(str(general)).info.trained_on)
    pool = [(name, p) for name in GENERAL_SETS for p in ranking(data / f"{name}.json")]
    pool.sort(key=lambda item: hash_share(item[1].prompt_key()))
    known = [content_hash(p.prompt_key()) in seen for _, p in pool]
    chosen = [item for item, old in zip(pool, known, strict=True) if not old][:UNSEEN]
    chosen += [item for item, old in zip(pool, known, strict=True) if old][:SEEN]
    partial.mkdir(parents=True, exist_ok=True)
    for name in GENERAL_SETS:
        write_preferences([p for n, p in chosen if n == name], partial / f"{name}.jsonl", overwrite=True)
    for domain in DOMAINS:
        write_preferences(
            [p for p in preferences.given if p.domain == domain], partial / f"{domain}.jsonl", overwrite=True
        )
    partial.rename(folder)


def customised(domain: str, points: float, general: Path, out: Path, seed: int, console: Console) -> Customization:
    """A proxy of the domain within so many points; without a budget, which is 100 points, it is a head learnt on the
    custom preferences alone."""
    run = _run_name(domain, points, seed)
    console.rule(run)
    return customize(
        str(general),
        str(out / "data" / f"{domain}.jsonl"),
        domain,
        {name: str(out / "data" / f"{name}.jsonl") for name in GENERAL_SETS},
        Question.parse([f"{points:g}"]),
        out / run,
        method="head" if points == 100 else "anchored",
        seed=seed,
        console=console,
    )


def _run_name(domain: str, points: float, seed: int) -> str:
    return f"{domain}-{points:g}-{seed}"


def _change_of_head(general: RewardModel, run: Path) -> FloatArray:
    """What a customised model's head adds to the general one's: all below it is the same."""
    custom = RewardModel.from_pretrained(str(run / "model"))
    change: FloatArray = (custom.last_layer.weight - general.last_layer.weight)[0].detach().double().numpy()
    return change


def _rewards(bank: FeatureBank, records: Sequence[Preference], head: FloatArray) -> list[FloatArray]:
    """Of the general model with `head` added to its own."""
    return [rewards + features @ head for features, rewards in bank.of(records)]


def _accuracy(preferences: Sequence[Preference], rewards: Sequence[FloatArray]) -> float | None:
    table = pair_table([ScoredPreference.of(p, r.tolist()) for p, r in zip(preferences, rewards, strict=True)])
    return accuracy(table.margins, table.prompts)


def _correlation(proxy: FloatArray, gold: FloatArray) -> float:
    """Of the two rewards within prompts."""
    a, b = (r - r.mean(axis=1, keepdims=True) for r in (proxy, gold))
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def _differences(free: FloatArray, within: FloatArray, gold: FloatArray, seed: int) -> list[Difference]:
    """With intervals over prompts."""
    ns = (4, 16, 32)
    d = gains(free, gold, ns) - gains(within, gold, ns)
    return [
        Difference(n, float(column.mean()), cluster_bootstrap(column, np.arange(len(d)), np.ones(len(d)), seed=seed))
        for n, column in zip(ns, d.T, strict=True)
    ]


if __name__ == "__main__":
    run_experiment(overoptimisation)
