"""The checks of the audit, one function each: preferences in, a graded finding out. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from rewardsmith.preferences.duplicates import near_duplicates
from rewardsmith.preferences.mixing import take_preferences
from rewardsmith.preferences.record import Preference, content_hash, response_text
from rewardsmith.preferences.shortcuts import ShortcutReport, pair_table, shortcut_baselines

Grade = Literal["good", "warn", "fail"]
MOST_EXAMPLES = 5
MOST_MEASURED = 2000
"""Records whose tokens are counted; more are sampled."""


class Limit(BaseModel):
    """Grades a value: `warn` and `fail` from these values on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warn: float
    fail: float

    def grade(self, value: float) -> Grade:
        """For values that are worse when higher; a limit of 0 is passed by anything above it."""
        if value > 0 and value >= self.fail:
            return "fail"
        return "warn" if value > 0 and value >= self.warn else "good"


class Thresholds(BaseModel):
    """From where on a check warns or fails. Shares are of records unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    few_prompts_warn: int = Field(default=200, description="Fewer prompts than this give wide intervals.")
    few_prompts_fail: int = Field(default=20, description="Fewer prompts than this cannot be split at all.")
    length: Limit = Field(default=Limit(warn=0.65, fail=0.85), description="Accuracy of longer wins or shorter wins.")
    bag_of_words: Limit = Field(default=Limit(warn=0.7, fail=0.9), description="Accuracy on held-out prompts.")
    exact_duplicates: Limit = Limit(warn=0.0, fail=0.1)
    near_duplicates: Limit = Limit(warn=0.01, fail=0.2)
    near_duplicate_similarity: float = Field(default=0.8, description="Jaccard similarity of word 5-grams.")
    ties: Limit = Field(default=Limit(warn=0.2, fail=0.5), description="Share of records that rank nothing.")
    conflicts: Limit = Limit(warn=0.0, fail=0.05)
    identical: Limit = Limit(warn=0.0, fail=0.1)
    empty: Limit = Limit(warn=0.0, fail=0.05)
    shared_prompts: Limit = Field(default=Limit(warn=0.0, fail=0.0), description="Share of prompts in several splits.")
    truncated: Limit = Field(default=Limit(warn=0.01, fail=0.2), description="Share of prompt and response sequences.")


class Finding(BaseModel):
    """What one check found. `value` is None where it could not be measured; `examples` are record ids."""

    model_config = ConfigDict(frozen=True)

    check: str
    grade: Grade
    value: float | None
    threshold: float | None = Field(description="The value from which on it warns.")
    message: str
    examples: list[str] = Field(default_factory=list)
    details: dict[str, float] = Field(default_factory=dict)


def check_prompts(preferences: Sequence[Preference], limits: Thresholds) -> Finding:
    count = len({preference.prompt_key() for preference in preferences})
    grade: Grade = "good"
    message = f"{count} different prompts"
    if count < limits.few_prompts_warn:
        grade = "fail" if count < limits.few_prompts_fail else "warn"
        message += "; too few to learn and prove much from, collect more"
    threshold = float(limits.few_prompts_warn)
    return Finding(check="prompts", grade=grade, value=float(count), threshold=threshold, message=message)


def check_shortcuts(domains: Mapping[str, Sequence[Preference]], limits: Thresholds) -> list[Finding]:
    """The length and the bag-of-words check, each graded by the domain that is worst."""
    reports = {name: shortcut_baselines(records) for name, records in domains.items() if len(pair_table(records))}
    lengths = {name: max(r.longer.accuracy, r.shorter.accuracy) for name, r in reports.items()}
    words = {name: r.bag_of_words.accuracy for name, r in reports.items() if r.bag_of_words is not None}
    return [
        _shortcut_finding("length", lengths, limits.length, lambda name: _length_rule(reports[name])),
        _shortcut_finding("bag_of_words", words, limits.bag_of_words, lambda name: "a bag-of-words model"),
    ]


def _length_rule(report: ShortcutReport) -> str:
    return "'the longer wins'" if report.longer.accuracy >= 0.5 else "'the shorter wins'"


def _shortcut_finding(check: str, values: dict[str, float], limit: Limit, rule: Callable[[str], str]) -> Finding:
    if not values:
        message = "could not be measured: too few pairs rank anything"
        return Finding(check=check, grade="warn", value=None, threshold=limit.warn, message=message)
    worst = max(values, key=values.__getitem__)
    value, grade = values[worst], limit.grade(values[worst])
    where = f" in domain '{worst}'" if len(values) > 1 else ""
    advice = "" if grade == "good" else "; a reward model may learn this and little else, compare it with this baseline"
    message = f"{rule(worst)} is right on {value:.1%} of pairs{where}{advice}"
    return Finding(
        check=check,
        grade=grade,
        value=value,
        threshold=limit.warn,
        message=message,
        details=dict(sorted(values.items())),
    )


def check_exact_duplicates(preferences: Sequence[Preference], limits: Thresholds) -> Finding:
    """Same domain, annotator, prompt and scored responses, in whatever order the responses stand."""
    seen: set[str] = set()
    repeated = []
    for p in preferences:
        scored = sorted((response_text(r), s) for r, s in zip(p.responses, p.scores, strict=True))
        key = content_hash(p.domain, p.annotator, p.prompt, scored)
        if key in seen:
            repeated.append(p.id)
        seen.add(key)
    message = f"{len(repeated)} records repeat an earlier one"
    return _share("exact_duplicates", repeated, len(preferences), limits.exact_duplicates, message, "drop them")


def check_near_duplicates(preferences: Sequence[Preference], limits: Thresholds) -> Finding:
    """Among records that differ in prompt or responses: nearly the same words in both."""
    distinct: dict[str, Preference] = {}
    for p in preferences:
        distinct.setdefault(content_hash(p.prompt, sorted(map(response_text, p.responses))), p)
    records = list(distinct.values())
    texts = ["\n".join([*(m.content for m in p.prompt), *map(response_text, p.responses)]) for p in records]
    found = [records[later].id for later, _ in near_duplicates(texts, limits.near_duplicate_similarity)]
    message = f"{len(found)} records are nearly the same as an earlier one"
    return _share("near_duplicates", found, len(records), limits.near_duplicates, message, "keep such in one split")


def check_ties(preferences: Sequence[Preference], limits: Thresholds) -> Finding:
    ties = [p.id for p in preferences if len(set(p.scores)) == 1]
    message = f"{len(ties)} records score all responses the same"
    return _share("ties", ties, len(preferences), limits.ties, message, "they rank nothing")


def check_conflicts(preferences: Sequence[Preference], limits: Thresholds) -> Finding:
    """Same domain, prompt and two responses, ordered both ways.

    Where different annotators disagree it may be taste, which their own domains can hold: that warns, never fails.
    """
    orders: dict[str, set[tuple[str, str]]] = {}
    voters: dict[str, list[tuple[str, str | None]]] = {}
    for p in preferences:
        context = content_hash(p.domain, p.prompt)
        hashes = [content_hash(response) for response in p.responses]
        for i, j in p.pairs():
            key = context + "".join(sorted((hashes[i], hashes[j])))
            orders.setdefault(key, set()).add((hashes[i], hashes[j]))
            voters.setdefault(key, []).append((p.id, p.annotator))
    torn = [key for key, both in orders.items() if len(both) > 1]
    within = [key for key in torn if len({annotator for _, annotator in voters[key]}) == 1]
    share = len(_ids(within, voters)) / len(preferences)
    grade = limits.conflicts.grade(share)
    advice = "; settle or drop them" if within else ""
    if len(torn) > len(within):
        grade = "warn" if grade == "good" else grade
        advice += "; where people differ it may be taste, then make each annotator a domain"
    between = len(torn) - len(within)
    return Finding(
        check="conflicts",
        grade=grade,
        value=share,
        threshold=limits.conflicts.warn,
        message=f"{len(torn)} pairs are ordered both ways, {between} of them by different annotators{advice}",
        examples=_ids(torn, voters)[:MOST_EXAMPLES],
        details={"within_annotators": float(len(within)), "between_annotators": float(between)},
    )


def _ids(keys: list[str], voters: Mapping[str, list[tuple[str, str | None]]]) -> list[str]:
    return list(dict.fromkeys(name for key in keys for name, _ in voters[key]))


def check_identical(preferences: Sequence[Preference], limits: Thresholds) -> Finding:
    found = [p.id for p in preferences if any(a == b for a, b in itertools.combinations(p.responses, 2))]
    message = f"{len(found)} records hold identical responses"
    return _share("identical", found, len(preferences), limits.identical, message, "they rank nothing between them")


def check_empty(preferences: Sequence[Preference], limits: Thresholds) -> Finding:
    found = [p.id for p in preferences if not all(response_text(r).strip() for r in p.responses)]
    message = f"{len(found)} records hold an empty response"
    return _share("empty", found, len(preferences), limits.empty, message, "look whether they belong")


def check_splits(splits: Mapping[str, Sequence[Preference]], limits: Thresholds) -> Finding:
    """Prompts that stand in more than one split; `details` has the number for each two splits."""
    keys = {name: {p.prompt_key() for p in records} for name, records in splits.items()}
    count = Counter(key for prompts in keys.values() for key in prompts)
    shared = {key for key, times in count.items() if times > 1}
    examples = [p.id for records in splits.values() for p in records if p.prompt_key() in shared]
    share = len(shared) / len(count) if count else 0.0
    grade = limits.shared_prompts.grade(share)
    advice = "" if grade == "good" else "; what is measured there is partly known, split by prompt"
    return Finding(
        check="shared_prompts",
        grade=grade,
        value=share,
        threshold=limits.shared_prompts.warn,
        message=f"{len(shared)} of {len(count)} prompts stand in more than one split{advice}",
        examples=examples[:MOST_EXAMPLES],
        details={f"{a} and {b}": float(len(keys[a] & keys[b])) for a, b in itertools.combinations(keys, 2)},
    )


def check_lengths(
    preferences: Sequence[Preference], limits: Thresholds, count: Callable[[str], int], max_length: int | None
) -> Finding:
    """Tokens of prompt and response together, one value a response; the template's own tokens are not counted."""
    records = take_preferences(preferences, min(MOST_MEASURED, len(preferences)))
    sampled = f" (on {len(records)} sampled records)" if len(records) < len(preferences) else ""
    known: dict[str, int] = {}

    def tokens(text: str) -> int:
        if text not in known:
            known[text] = count(text)
        return known[text]

    totals, ids = [], []
    for p in records:
        prompt = sum(tokens(message.content) for message in p.prompt)
        totals += [prompt + tokens(response_text(response)) for response in p.responses]
        ids += [p.id] * len(p.responses)
    lengths = np.array(totals, dtype=np.float64)
    names = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    details = {name: float(np.quantile(lengths, quantile)) for name, quantile in names.items()}
    spread = ", ".join(f"{name} {value:.0f}" for name, value in details.items())
    message = f"tokens of prompt and response: {spread}{sampled}"
    fields: dict[str, Any] = {"check": "token_lengths", "details": details}
    if max_length is None:
        return Finding(grade="good", value=details["median"], threshold=None, message=message, **fields)
    over = lengths > max_length
    share = float(over.mean())
    cut = float((lengths[over] - max_length).sum() / lengths.sum())
    details |= {"share_truncated": share, "tokens_cut": cut}
    message += f"; at {max_length} tokens {share:.1%} of the sequences are cut, {cut:.1%} of all tokens lost"
    examples = list(dict.fromkeys(name for name, long in zip(ids, over, strict=True) if long))[:MOST_EXAMPLES]
    limit = limits.truncated
    return Finding(
        grade=limit.grade(share), value=share, threshold=limit.warn, message=message, examples=examples, **fields
    )


def _share(check: str, found: list[str], total: int, limit: Limit, message: str, advice: str) -> Finding:
    """A finding about the share of records that are affected."""
    share = len(found) / total
    grade = limit.grade(share)
    text = f"{message} ({share:.1%})" if found else message
    return Finding(
        check=check,
        grade=grade,
        value=share,
        threshold=limit.warn,
        message=text if grade == "good" else f"{text}; {advice}",
        examples=found[:MOST_EXAMPLES],
    )
