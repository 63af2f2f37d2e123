"""From answers to preferences, by the paper's rule: a domain prefers its own answer to all others.

"Everyone Deserves A Reward", Cheng et al. 2023 (arXiv 2309.03126), section 3.2. Pure: answers in, records out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rewardsmith.collection.filters import SHARED, Given, fault_of, shared_texts
from rewardsmith.collection.plan import Slot
from rewardsmith.collection.queries import Query
from rewardsmith.collection.requests import Answer
from rewardsmith.preferences.record import PLAIN, Preference

SOURCE = "collect"


@dataclass
class Sifted:
    """One query's answers that may be used, and the faults of those that may not, by domain."""

    query: Query
    given: list[Given] = field(default_factory=list)
    faults: dict[str, Counter[str]] = field(default_factory=dict)
    again: list[Slot] = field(default_factory=list)
    """Places without a usable answer, where none is owed: they could be asked once more."""


def sift(query: Query, slots: Sequence[Slot], answers: Mapping[str, Answer], *, filtered: bool, askings: int) -> Sifted:
    """For every slot its first answer without a fault, whichever asking gave it; with `filtered` off its first at all.

    A text that was given for two domains is left out of both.
    """
    found = Sifted(query)
    for slot in slots:
        place, kept = slot, None
        while place.key in answers and kept is None:
            given = Given(place, answers[place.key])
            fault = fault_of(given) if filtered else None
            if fault is None:
                kept = given
            else:
                found.faults.setdefault(slot.profile.name, Counter())[fault] += 1
                if place.asking >= askings:
                    break
                place = place.once_more()
        if kept is not None:
            found.given.append(kept)
        elif place.asking > 1 and place.key not in answers:
            found.again.append(place)
    if filtered:
        shared = shared_texts(found.given)
        for given in found.given:
            if given.slot.key in shared:
                found.faults.setdefault(given.slot.profile.name, Counter())[SHARED] += 1
        found.given = [given for given in found.given if given.slot.key not in shared]
    return found


def by_rule(sifted: Sifted) -> list[Preference]:
    """One record for each domain that answered, if another answered too: its own score 1.0, all others 0.0."""
    names = [given.slot.profile.name for given in sifted.given]
    return [
        Preference(
            id=f"{sifted.query.id}-{domain}",
            prompt=list(sifted.query.prompt),
            responses=[given.answer.text for given in sifted.given],
            scores=[float(name == domain) for name in names],
            domain=domain,
            source=SOURCE,
            response_names=names,
        )
        for domain in dict.fromkeys(names)
        if domain != PLAIN and len(set(names)) > 1
    ]


def dsp_rows(sifted: Iterable[Sifted]) -> list[dict[str, object]]:
    """The paper's raw form: a query and its first answer for each domain; queries with one answer rank nothing."""
    rows: list[dict[str, object]] = []
    for one in sifted:
        responses: dict[str, str] = {}
        for given in one.given:
            responses.setdefault(given.slot.profile.name, given.answer.text)
        if len(responses) > 1:
            rows.append({"id": one.query.id, "query": one.query.text, "responses": responses})
    return rows
