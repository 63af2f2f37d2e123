"""A collection's result as a table and lines for a terminal. Reads the typed result only."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from rewardsmith.collection.result import CollectionResult
from rewardsmith.collection.review.verdicts import Agreement
from rewardsmith.reporting.format import UNDEFINED, count, decimal, percent, percent_with_interval
from rewardsmith.reporting.tables import Table


def domains_table(result: CollectionResult) -> Table:
    """One row for each domain: usable answers, why others were left out, lengths, telling words."""
    rows = []
    for name, figures in result.domains.items():
        median = f"{statistics.median(figures.words):.0f}" if figures.words else UNDEFINED
        wanted = f"{figures.wanted[0]} to {figures.wanted[1]}" if figures.wanted else UNDEFINED
        faults = ", ".join(f"{fault} {n}" for fault, n in sorted(figures.faults.items(), key=lambda f: -f[1]))
        words = ", ".join(w.word for w in figures.keywords[:5])
        rows.append((name, faults or UNDEFINED, words or UNDEFINED, count(figures.usable), median, wanted))
    columns = ("domain", "left out", "words that tell it", "usable", "words, median", "asked for")
    return Table(f"{count(result.queries)} queries, {count(result.records)} preferences", columns, tuple(rows), 3)


def judge_lines(result: CollectionResult) -> Iterator[str]:
    """How the judge compares with the rule, in words."""
    judge = result.judge
    if judge is None:
        return
    decided = judge.agrees + judge.contradicts
    agreement = percent_with_interval(judge.agreement, judge.agreement_ci95)
    yield (
        f"judge: agrees with the rule on {agreement} % of {count(decided)} pairs that it decided; "
        f"{count(judge.ties)} ties, {count(judge.order_dependent)} depend on the order (taken as ties), "
        f"{count(judge.unreadable)} without a readable verdict (left out)"
    )
    all_pairs = decided + judge.ties + judge.order_dependent + judge.unreadable
    if all_pairs and judge.unreadable > all_pairs / 10:
        share = percent(judge.unreadable / all_pairs)
        yield f"judge: {share} % of its verdicts cannot be read: this model is no judge; take the rule"


def agreement_lines(found: Agreement) -> Iterator[str]:
    """How reviewers agree with the data and with one another."""
    if not found.reviewers:
        yield "no reviews yet"
    for name, figures in found.reviewers.items():
        kappa = _with_interval(figures.kappa, figures.kappa_ci95)
        yield (
            f"{name}: {count(figures.n)} pairs; as the data {count(figures.agrees)}, the other way "
            f"{count(figures.contradicts)}, ties {count(figures.ties)}; kappa {kappa}"
        )
    if found.alpha is not None:
        yield f"among reviewers: Krippendorff's alpha {_with_interval(found.alpha, found.alpha_ci95)}"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return decimal(value, 2)
    return f"{decimal(value, 2)} [{decimal(interval[0], 2)}, {decimal(interval[1], 2)}]"
