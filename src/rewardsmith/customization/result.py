"""The result of a customisation: what the choice is worth on the test parts, and what the report shows beside it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np

from rewardsmith.customization.candidates import general_option
from rewardsmith.customization.choosing import Judged, scored_by
from rewardsmith.customization.evidence import audits_of, calibration_change, curves_in, recipes_in
from rewardsmith.customization.folder import CustomizationFolder
from rewardsmith.customization.methods.base import Workshop
from rewardsmith.customization.parts import CUSTOM, TEST
from rewardsmith.evaluation.budget import (
    POOLED,
    Question,
    bound_after_walk,
    interval_of,
    prompt_differences,
    with_pooled,
)
from rewardsmith.evaluation.customization import NO_METHOD, Candidate, Change, Customization, Flip, GeneralChange
from rewardsmith.evaluation.pairs import pair_table
from rewardsmith.evaluation.ranking import accuracy
from rewardsmith.evaluation.result import Verdict
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.preferences.record import response_text
from rewardsmith.reporting.format import difference_with_interval

_MOST_TEXT = 600
"""Characters of a text in the list of flipped pairs."""


def result_of(
    shop: Workshop,
    judged: Sequence[Judged],
    path: Sequence[Judged],
    certified: Sequence[Judged],
    verdicts: Mapping[str, list[Verdict]],
    question: Question,
    folder: CustomizationFolder,
) -> Customization:
    """Everything on the test parts, and the choice."""
    sets = {CUSTOM: shop.parts.custom[TEST], **shop.parts.of(TEST)}
    chosen = certified[-1] if certified else None
    before = scored_by(general_option(shop.bank), sets)
    after = folder.scored(chosen.option, TEST, sets) if chosen else before
    freest = max(judged, key=lambda c: c.custom, default=None)
    free = folder.scored(freest.option, TEST, sets)[CUSTOM] if freest else before[CUSTOM]
    general_before, general_after = ({k: v for k, v in s.items() if k != CUSTOM} for s in (before, after))
    budgets = question.budgets.for_sets(list(general_before))
    first = verdicts[chosen.name][0] if chosen else None
    bound = bound_after_walk(first, whole=len(certified) == len(path)) if first else 0.0
    every = with_pooled(general_before)[POOLED], with_pooled(general_after)[POOLED]
    pooled = _change(*every)
    return Customization(
        certified=True,
        budget=None if question.budgets.pooled is None else 100 * question.budgets.pooled,
        budgets={name: 100 * b for name, b in budgets.items()},
        confidence=question.confidence,
        metric=question.metric,
        bound=100 * bound,
        method=chosen.option.method if chosen else NO_METHOD,
        settings=chosen.option.settings if chosen else {},
        strength=chosen.option.strength if chosen else 0.0,
        domain=shop.domain,
        general_model=shop.general_name,
        general=GeneralChange(
            **dict(pooled),
            sets={name: _change(general_before[name], general_after[name]) for name in general_before},
        ),
        custom=_change(before[CUSTOM], after[CUSTOM]),
        unconstrained=_change(before[CUSTOM], free) if freest else None,
        verdicts=verdicts[chosen.name] if chosen else [],
        candidates=_candidates(judged, path, verdicts, chosen),
        parts=shop.parts.prompts(),
        flips=[flip for name in general_before for flip in _flips(name, general_before[name], general_after[name])],
        calibration={
            CUSTOM: calibration_change(before[CUSTOM], after[CUSTOM]),
            POOLED: calibration_change(*every),
        },
        curves=curves_in(folder.training),
        recipes=recipes_in(folder.training),
        audits=audits_of(shop.parts),
        notes=[*shop.parts.notes, *(_disagreement(pooled, bound) if first and first.set == POOLED else [])],
        command=sys.argv,
        versions={p: version(p) for p in ("rewardsmith", "torch", "transformers")}
        | {"python": platform.python_version()},
        seconds=0.0,
    )


def _candidates(
    judged: Sequence[Judged], path: Sequence[Judged], verdicts: Mapping[str, list[Verdict]], chosen: Judged | None
) -> list[Candidate]:
    """All that were judged, with what became of them."""
    places = {c.name: place for place, c in enumerate(path, start=1)}
    return [
        Candidate(
            name=c.name,
            method=c.option.method,
            settings=c.option.settings,
            strength=c.option.strength,
            custom=c.custom,
            general=c.general,
            on_path=c.name in places,
            place=places.get(c.name),
            verdicts=verdicts.get(c.name, []),
            chosen=chosen is not None and c.name == chosen.name,
        )
        for c in judged
    ]


def _disagreement(test: Change, bound: float) -> list[str]:
    """Says where the test part saw a greater loss than the bound on the same sets."""
    if test.difference is None or -test.difference <= max(bound, 0.0):
        return []
    covered = test.ci95 is None or -test.ci95[1] <= bound
    seen = difference_with_interval(test.difference, test.ci95)
    return [
        f"the test part, {test.n_prompts} prompts, saw {seen} points of general accuracy: more than the bound of "
        f"{100 * bound:.1f}; " + ("its interval covers the bound" if covered else "one of the two is wrong")
    ]


def _change(before: Sequence[ScoredPreference], after: Sequence[ScoredPreference]) -> Change:
    d = prompt_differences(before, after)
    old, new = (accuracy(t.margins, t.prompts) for t in (pair_table(before), pair_table(after)))
    return Change(
        before=old,
        after=new,
        difference=float(d.mean()) if len(d) else None,
        ci95=interval_of(d),
        n_prompts=len(d),
    )


def _flips(name: str, before: Sequence[ScoredPreference], after: Sequence[ScoredPreference]) -> list[Flip]:
    found = []
    for old, new in zip(before, after, strict=True):
        p = old.preference
        a, b = old.usable_rewards(), new.usable_rewards()
        if a is None or b is None:
            continue
        for i, j in p.pairs():
            was, now = a[i] - a[j], b[i] - b[j]
            if np.sign(was) != np.sign(now):
                texts = (p.prompt[-1].content, response_text(p.responses[i]), response_text(p.responses[j]))
                prompt, chosen, rejected = (t if len(t) <= _MOST_TEXT else t[: _MOST_TEXT - 1] + "…" for t in texts)
                found.append(Flip(set=name, prompt=prompt, chosen=chosen, rejected=rejected, before=was, after=now))
    return found
