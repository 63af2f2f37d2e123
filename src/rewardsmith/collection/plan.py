"""The plan of a collection: every request by its key, and what its answer depends on.

A key is `query/domain/sample`, with `.2` behind it where the second answer was asked for because the first was too long
or too short. Plans are pure: the same queries, profiles, model and seed give the same requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rewardsmith.collection.domains import DomainProfile
from rewardsmith.collection.journal import Planned
from rewardsmith.collection.queries import Query
from rewardsmith.collection.requests import Request
from rewardsmith.errors import OutputExistsError
from rewardsmith.preferences.record import content_hash


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an answer belongs: one sample of one domain for one query, the n-th time of asking."""

    query: Query
    profile: DomainProfile
    sample: int
    asking: int = 1

    @property
    def key(self) -> str:
        """Its request's key."""
        again = f".{self.asking}" if self.asking > 1 else ""
        return f"{self.query.id}/{self.profile.name}/{self.sample}{again}"

    def once_more(self) -> Slot:
        """The same place, asked again."""
        return Slot(self.query, self.profile, self.sample, self.asking + 1)


@dataclass(frozen=True)
class Plan:
    """What is to be asked of which model."""

    queries: Sequence[Query]
    profiles: Sequence[DomainProfile]
    samples: int
    model: str
    seed: int

    def slots(self) -> Iterator[Slot]:
        """All places for an answer, query by query, so that an interrupted collection has whole preferences."""
        for query in self.queries:
            yield from self.slots_of(query)

    def slots_of(self, query: Query) -> list[Slot]:
        """The places for answers to one query."""
        samples = range(1, self.samples + 1)
        return [Slot(query, profile, sample) for profile in self.profiles for sample in samples]

    def request(self, slot: Slot) -> Request:
        """What is sent for a slot."""
        return Request(
            slot.key,
            slot.profile.messages(slot.query.prompt),
            slot.profile.sampling,
            request_seed(self.seed, slot.key),
        )

    def planned(self, slot: Slot) -> Planned:
        """The slot's request as the journal keeps it."""
        return Planned(slot.key, slot.profile.name, content_hash([m.model_dump() for m in slot.query.prompt]))

    def to_ask(self, slots: Iterable[Slot]) -> Iterator[tuple[Planned, Request]]:
        """The slots' requests, as the journal keeps them and as they are sent."""
        return ((self.planned(slot), self.request(slot)) for slot in slots)

    def settings(self) -> dict[str, str]:
        """The fingerprint's parts: what answers depend on besides their query. More samples, queries or domains only
        add to a collection."""
        return {"model": self.model, "seed": str(self.seed)} | {
            f"domain {profile.name}": profile.asked() for profile in self.profiles
        }


def request_seed(seed: int, key: str) -> int:
    """A request's own seed: below 2^31, as servers want it."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{key}".encode()).digest()[:4], "big") >> 1


def refuse_changes(
    before: Mapping[str, str], now: Mapping[str, str], asked: Mapping[str, str], planned: Sequence[Planned], where: str
) -> None:
    """Refuses to go on in a collection that was begun otherwise.

    `asked` are the contents by key that the journal has. Raises OutputExistsError naming every part that differs.
    """
    changed = [name for name in now if before.get(name, now[name]) != now[name]]
    other = {p.key.rsplit("/", 2)[0] for p in planned if asked.get(p.key, p.content) != p.content}
    changed += [f"query {name}" for name in sorted(other)]
    if changed:
        shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise OutputExistsError(
            f"{where} holds a collection that was asked otherwise ({shown}); name another folder with --out, or give "
            "the options that it was begun with"
        )
