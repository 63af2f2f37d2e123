"""The page and its picture's panels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from experiments.overoptimisation.outcome import GENERAL, QUERIES, Gold, Outcome
from experiments.provenance import commit, versions
from experiments.real_data import GENERAL_SETS
from rewardsmith.collection.best_of_n import Samples
from rewardsmith.customization.parts import CUSTOM
from rewardsmith.evaluation.customization import NO_METHOD
from rewardsmith.evaluation.optimisation import CEILING, Curve
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.reporting.best_of_n import best_of_n_table
from rewardsmith.reporting.format import decimal, decimal_with_interval, percent, signed_percent
from rewardsmith.reporting.tables import Table, to_markdown


def panels(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, Curve]]:
    """Domain after domain: its gold, and the general model."""
    return {
        (f"the gold of {domain}" if name == domain else f"the general model, chosen for {domain}"): curves
        for domain, outcome in outcomes.items()
        for name, curves in outcome.curves.items()
    }


def page_of(
    outcomes: Mapping[str, Outcome],
    golds: Mapping[str, Gold],
    samples: Samples,
    model: RewardModel,
    budget: float,
    seed: int,
    seconds: float,
) -> str:
    """The page."""
    runs = [run for o in outcomes.values() for run in o.runs.values()]
    certify = {name: parts["certify"] for name, parts in runs[0].parts.items() if "certify" in parts}
    queries = " / ".join(str(n) for n in runs[0].parts[CUSTOM].values())
    sizes = ", ".join(f"{name} {n}" for name, n in certify.items())
    parts = [
        _HEAD,
        "![Gold and general rewards of the best of n, by proxy](../images/overoptimisation.png)",
        "## By the domain's gold\n\n"
        + to_markdown(_curves_table(outcomes, general=False))
        + "\n"
        + _falls(outcomes)
        + _GOLD,
        "## By the general model\n\n" + to_markdown(_curves_table(outcomes, general=True)) + "\n" + _GENERAL,
        "## With and without a budget\n\n"
        + to_markdown(_differences_table(outcomes))
        + "\n"
        + _BUDGET
        + _unproved(outcomes),
        "## The models\n\n" + to_markdown(_models_table(outcomes, golds)) + "\n" + _MODELS,
        "## How\n\n"
        f"- `python -m experiments.overoptimisation --general MODEL --seed {seed} --budget {budget:g}`; "
        f"commit {commit()}, {datetime.now(UTC):%Y-%m-%d}; {versions()}; {seconds / 60:.0f} minutes on a shared core; "
        "what was kept of an earlier run was not made again: from nothing it is some 25 minutes of one core.\n"
        f"- Policy: the embedded model (SmolLM2-135M-Instruct), temperature 1, {len(samples.records)} held-out DSP "
        f"queries, 32 responses each, at most 80 tokens ({percent(samples.cut)} % were cut there).\n"
        f"- Data: `domain_specific_preference.json` (DSP) and {', '.join(f'`{n}.json`' for n in GENERAL_SETS)}. "
        f"Prompts to prove with: {sizes}; confidence 95 %. A proxy's queries, train / choose / test: {queries}.\n"
        f"- MODEL: {model.info.provenance.get('backbone')}, {model.info.depth or 'all'} layers, {model.info.pooling} "
        f"pooling, {model.info.head} head, trained on {len(model.info.trained_on)} prompts of these sets.\n"
        "- Gold models: all 30 layers, frozen, last token, bfloat16; a linear head on all preferences of the domain "
        "but those of the held-out queries; ridge by cross-validation over prompts: "
        f"{', '.join(f'{d} {g.ridge:g}' for d, g in golds.items())}.\n",
    ]
    return "\n\n".join(parts)


def _curves_table(outcomes: Mapping[str, Outcome], *, general: bool) -> Table:
    # Under the general model it is its own gold: one of the two rows is enough.
    curves = {
        domain: {by: c for by, c in o.curves[GENERAL if general else domain].items() if not (general and by == CEILING)}
        for domain, o in outcomes.items()
    }
    table = best_of_n_table(curves)
    return Table("", ("domain", *table.columns[1:]), table.rows, table.n_labels)


def _falls(outcomes: Mapping[str, Outcome]) -> str:
    """Where over-optimisation is seen, proxy by proxy."""
    sentences = []
    for proxy in next(iter(outcomes.values())).runs:
        peaks = {domain: o.curves[domain][proxy].peak for domain, o in outcomes.items()}
        fallen = [domain for domain, p in peaks.items() if p.fall_ci95 is not None and p.fall_ci95[0] > 0]
        seen = ", ".join(f"{domain} from n = {peaks[domain].n} on" for domain in fallen) or "in no domain"
        sentences.append(f"Under the proxy *{proxy}* a fall of the gold reward is proved (95 %) {seen}.")
    return " ".join(sentences)


def _unproved(outcomes: Mapping[str, Outcome]) -> str:
    """Where the model within the budget is no custom one."""
    unproved = [domain for domain, o in outcomes.items() if any(run.method == NO_METHOD for run in o.runs.values())]
    return f"In {' and '.join(unproved)} nothing was proved: there it is the general model." if unproved else ""


def _differences_table(outcomes: Mapping[str, Outcome]) -> Table:
    rows = [
        (
            domain,
            "general" if judge == GENERAL else "gold",
            *(decimal_with_interval(d.mean, d.ci95, 2) for d in differences),
        )
        for domain, o in outcomes.items()
        for judge, differences in o.differences.items()
    ]
    ns = [d.n for d in next(iter(next(iter(outcomes.values())).differences.values()))]
    return Table("", ("domain", "reward", *(f"n = {n} [95%]" for n in ns)), tuple(rows), n_labels=2)


def _models_table(outcomes: Mapping[str, Outcome], golds: Mapping[str, Gold]) -> Table:
    rows = []
    for domain, o in outcomes.items():
        for name, (people, correlation) in o.agreement.items():
            run = o.runs.get(name)
            chosen = f"{run.method} x {run.strength:g}" if run else ""
            cost = signed_percent(run.general.difference) if run else ""
            rows.append((domain, name, chosen, cost, percent(people), decimal(correlation, 2)))
        rows.append((domain, "gold", "", "", percent(golds[domain].accuracy), decimal(1.0, 2)))
    columns = (
        *("domain", "proxy", "method", "general, test part, points"),
        *("accuracy %, held-out DSP", "correlation with gold"),
    )
    return Table("", columns, tuple(rows), n_labels=3)


_HEAD = """# Best of n: where optimising starts to hurt

<!-- Written by `python -m experiments.overoptimisation`; do not edit. -->

A policy answers each query 32 times; a custom reward model, the *proxy*, chooses the best of n; a *gold* model that
has all layers and learnt from ten times as many preferences says what the choice is worth
([Gao et al. 2022](https://arxiv.org/abs/2210.10760)). Gains are in standard deviations of the gold reward within a
query: 0 is a response drawn at random, and *the gold itself* is the most that can be had. *No budget* is a head learnt
on the custom preferences alone, at the strength that gained most on the choosing part; *2 points* is the
best anchored head that `customize` proved to have lost no more of its general accuracy, or the general model where it
proved none."""

_GOLD = """ *Highest at n* is where the mean curve is highest; an interval that
reaches 32 means that no over-optimisation was seen for certain. The fall is measured on queries that did not say where
the peak is. *Longer wins* chooses by characters."""

_GENERAL = """What optimising a domain's taste does to the reward of the general model, in its own standard deviations;
here *general* is the most that can be had."""

_BUDGET = """The gain without a budget less the gain within it, on the same queries and responses. Above 0 the budget
costs gold reward; under the general model, below 0 is what it saves. """

_MODELS = f"""Accuracy on the domain's own preferences of the {QUERIES} held-out queries; the gold's says how far it
may be taken for people. Where a proxy, whose upper layers were trained, is right as often as the gold, whose layers are
frozen, the gold is another judge and not a better one, and a curve that does not fall says less. The correlation with
gold is over the policy's responses, within queries. The change of general accuracy is that on the test part of the
`customize` run."""
