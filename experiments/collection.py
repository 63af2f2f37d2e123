"""What preferences collected from a 135M model are worth: `python -m experiments.collection`.

Half of the DSP queries are asked anew with `collect`; a custom reward model is trained on these answers and another on
DSP's own answers to the same queries; both are tested on the other half, answered by DSP. Nothing is chosen on that
half. Every step goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from experiments.command import run_experiment
from experiments.provenance import commit
from experiments.real_data import DOMAINS, FOLDER
from rewardsmith.cli.collect import app as collect_app
from rewardsmith.collection.result import CollectionResult, load_collection
from rewardsmith.evaluation.evaluate import summarise_models
from rewardsmith.evaluation.result import EvaluationResult, load_result, save_result
from rewardsmith.evaluation.scored import ScoredPreference, score_sets
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.splitting import hash_share
from rewardsmith.reporting.format import count, difference_with_interval, percent, percent_with_interval
from rewardsmith.training.recipe_file import parse_recipe
from rewardsmith.training.run import run_recipe

ASKING = ("--domains", ",".join(DOMAINS), "--plain", "--words", "30-150", "--askings", "3")
TEACHERS = {"collected": "the 135M model's answers", "taught": "DSP's own answers to the same queries"}
_ROOT = Path(__file__).parent.parent


def collection(
    data: Annotated[Path, typer.Option(help="Folder with the preference files.")] = FOLDER,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = _ROOT / "runs/collection",
    page: Annotated[Path, typer.Option(help="The page that is written.")] = _ROOT / "docs/results/collection.md",
    depth: Annotated[int, typer.Option(help="Layers of the reward models.")] = 12,
) -> None:
    """Collects, trains both reward models, tests them, and writes the page."""
    out.mkdir(parents=True, exist_ok=True)
    _share_out(data / "domain_specific_preference.json", out)
    collect_app(["run", str(out / "queries.txt"), "--out", str(out / "collected"), *ASKING], standalone_mode=False)
    files = {"collected": out / "collected/preferences.jsonl", "taught": out / "taught.json"}
    console = Console(stderr=True)
    for name, file in files.items():
        run_recipe(parse_recipe(_recipe(name, file, depth), name), out / "models" / name, console)
    result = _tested(out, console)
    shutil.copy(out / "collected/plots/lengths.png", page.parent.parent / "images/collection_lengths.png")
    page.write_text(_page(load_collection(out / "collected/result.json"), result, depth), encoding="utf-8")


def _share_out(source: Path, out: Path) -> None:
    """Half of the queries to be asked, with DSP's answers in `taught.json`; the other half in `test.json`."""
    halves: dict[str, list[dict[str, Any]]] = {"taught": [], "test": []}
    for row in json.loads(source.read_text(encoding="utf-8")):
        asked = hash_share(f"collection\0{' '.join(row['query'].lower().split())}") < 0.5
        halves["taught" if asked else "test"].append(row)
    for name, rows in halves.items():
        (out / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    lines = [" ".join(row["query"].split()) + "\n" for row in halves["taught"]]
    (out / "queries.txt").write_text("".join(lines), encoding="utf-8")


def _recipe(name: str, file: Path, depth: int) -> dict[str, Any]:
    """The same for both teachers: all domains on one trunk, straight from the language model."""
    return {
        "name": name,
        "backbone": {"model": "embedded", "depth": depth, "max_length": 512},
        "data": {"mine": {"path": str(file)}},
        "split": {"train": 0.9, "validation": 0.1, "test": 0.0},
        "stages": [
            {
                "stage": "custom",
                "name": "rm",
                "sets": ["mine"],
                "domains": list(DOMAINS),
                "joint": True,
                "epochs": 3,
                "batch_size": 16,
                "micro_batch_size": 4,
                "learning_rate": 1e-4,
                "head_learning_rate": 1e-3,
                "warmup": 0.1,
                "freeze_layers": depth - 4,
                "evaluations": 1,
            }
        ],
        "evaluation": {"part": "validation"},
    }


def _tested(out: Path, console: Console) -> EvaluationResult:
    """Both teachers' models on the other half, each domain's preferences by that domain's model."""
    file = out / "tested.json"
    if file.is_file():
        found = load_result(file)
        assert isinstance(found, EvaluationResult)
        return found
    scored: dict[str, dict[str, list[ScoredPreference]]] = {}
    for name in TEACHERS:
        # One trunk, a head a domain: the trunk is run once.
        models = {d: RewardModel.from_pretrained(str(out / "models" / name), f"rm-{d}") for d in DOMAINS}
        bank = FeatureBank(models[DOMAINS[0]])
        console.print(f"testing {name}")
        scored[name] = {
            domain: score_sets(
                _head(bank, model), {"": load_preferences(out / "test.json", domain=domain).preferences}
            )[""]
            for domain, model in models.items()
        }
        scored[name]["all"] = [one for domain in DOMAINS for one in scored[name][domain]]
    result = summarise_models(scored, reference="taught")
    save_result(file, result)
    return result


def _head(bank: FeatureBank, model: RewardModel) -> Callable[[Sequence[Preference]], list[list[float]]]:
    """A scorer that reads the trunk's features and applies one domain's head."""
    weight = model.last_layer.weight.detach().double().numpy()[0]

    def score(preferences: Sequence[Preference]) -> list[list[float]]:
        return [(features @ weight).tolist() for features, _ in bank.of(preferences)]

    return score


def _page(collected: CollectionResult, result: EvaluationResult, depth: int) -> str:
    requests = collected.requests
    seconds = collected.course[-1][0]
    rows = []
    for name in (*DOMAINS, "all"):
        cells = [percent_with_interval(m.sets[name].accuracy, m.sets[name].ci95) for m in result.models]
        baselines = result.models[0].sets[name].baselines
        trivial = [percent(baselines[k].accuracy) for k in ("longer", "bag_of_words")]
        rows.append(f"| {name} | {' | '.join([*cells, *trivial])} |")
    (difference,) = [c for c in result.comparisons if c.set == "all"]
    faults = {name: dict(sorted(d.faults.items(), key=lambda f: -f[1])) for name, d in collected.domains.items()}
    left_out = "\n".join(
        f"| {name} | {d.usable} | {', '.join(f'{f} {n}' for f, n in faults[name].items())} | "
        f"{', '.join(w.word for w in d.keywords[:6])} |"
        for name, d in collected.domains.items()
    )
    audit = collected.audit
    findings = [f"- {f.grade}: {f.check}: {f.message}" for f in audit.findings if f.grade != "good"] if audit else []
    return _PAGE.format(
        asking=" ".join(ASKING),
        commit=commit(),
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        queries=collected.queries,
        records=collected.records,
        pairs=collected.pairs,
        answered=count(requests.answered),
        tokens=count(requests.completion_tokens),
        minutes=round(seconds / 60),
        rate=round(requests.completion_tokens / seconds),
        left_out=left_out,
        audit="\n".join(findings) or "- nothing",
        rows="\n".join(rows),
        difference=difference_with_interval(difference.difference, difference.ci95),
        depth=depth,
        tested=result.models[0].sets["academy"].n_prompts,
        taught=len(DOMAINS) * collected.queries,
        found=_FOUND,
    )


_FOUND = """\
What we make of the run of 2026-11-25: a small model's idea of a domain is worth something where nothing else is at
hand. What it taught ranks real answers 7.5 points better than their length does, business excepted. It does not replace
a better model's answers: over length, these teach more than twice as much."""

_PAGE = """\
# What preferences collected from a 135M model are worth

{queries} queries of the DSP data asked of SmolLM2-135M-Instruct under our system prompts for the paper's four
domains and plainly; a reward model trained on its answers, and one trained on DSP's own answers to the same
queries, both tested on the {tested} other DSP queries, as DSP answered them.

| | |
|---|---|
| command | `python -m experiments.collection` |
| which asks by | `rewardsmith collect queries.txt {asking}` |
| commit, day, seed | {commit}, {day}, 0 |
| answers | {answered}, {tokens} tokens in {minutes} minutes ({rate} tokens/s), two busy cores |
| preferences | {records} records, {pairs} pairs |
| data file | `domain_specific_preference.json`; a query is asked or tested by a hash of its text |
| run time | asking as above, training some 8 minutes a model, testing 3 each |
| reward models | {depth} layers, all but four frozen; one trunk, a head a domain, 3 epochs; the same for both |
| accuracy | % of pairs ranked right, mean over prompts, 95 % bootstrap over prompts; nothing was chosen on them |

## The reward models

| domain | trained on the 135M model's answers | on DSP's answers | longer wins | bag of words |
|---|--:|--:|--:|--:|
{rows}

The first less the second: **{difference}** points, over all domains. The bag of words learns on the tested queries
themselves, by cross-validation. There are {records} collected preferences and {taught} of DSP.

{found}

## What was collected

| domain | usable answers | left out | words that tell it |
|---|--:|---|---|
{left_out}

![Lengths of the answers by domain](../images/collection_lengths.png)

Two answers to queries of the project's own sample, asked in the same way. One of the better ones, academy:

> **Should I get a standing desk for my back pain?** Yes. It's not only beneficial for your back but for your entire
> body. Standing desks are a good option for those with high back pain because they reduce the pressure and stress on
> your body, which can help to alleviate your symptoms.

And one of the worse, academy too:

> **How do I stop my rice from turning out gluey every time I cook it?** To stop your rice from turning out gluey every
> time you cook it, it's easy to do too much. So much is too much. So much is too little. The way to solve it is to just
> let the water alone. So far, so good.

What the audit says of them:

{audit}
"""

if __name__ == "__main__":
    run_experiment(collection)
