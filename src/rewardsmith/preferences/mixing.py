"""Mixes several sets by weight, and takes a part of one.

The order in which a set is walked depends on a hash of seed and record id, so the input's order does not matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rewardsmith.errors import UserError, nearest
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.splitting import hash_share


def mix_preferences(
    sets: Mapping[str, Sequence[Preference]],
    weights: Mapping[str, float] | None = None,
    *,
    size: int | None = None,
    seed: int = 0,
) -> list[Preference]:
    """`size` records, interleaved so that at every length each set's share is its weight's, to within about one record.

    Without weights, sets count by their length. Each pass over a set goes through all its records once, in a new order;
    the default size is the largest at which no record comes twice.
    Raises UserError for unknown names, weights that are not positive, and empty sets.
    """
    shares = _shares(sets, weights)
    if size is None:
        size = int(min(len(sets[name]) / share for name, share in shares.items()) + 1e-9)
    walks = {name: _walk(sets[name], f"{seed}\0{name}") for name in shares}
    taken = dict.fromkeys(shares, 0)
    mixed = []
    for length in range(1, size + 1):
        behind = max(shares, key=lambda name: shares[name] * length - taken[name])
        taken[behind] += 1
        mixed.append(next(walks[behind]))
    return mixed


def take_preferences(preferences: Sequence[Preference], amount: int | float, *, seed: int = 0) -> list[Preference]:
    """A random part in the set's order: `amount` records (int) or that share of them (float, up to 1.0).

    A smaller part of the same set and seed lies within a larger one. Raises UserError for an impossible amount.
    """
    if not amount >= 0 or (isinstance(amount, float) and amount > 1):
        raise UserError(f"cannot take {amount}; give a number of records or a share between 0.0 and 1.0")
    count = round(amount * len(preferences)) if isinstance(amount, float) else amount
    kept = sorted(_shuffled(preferences, f"{seed}\0take")[:count])
    return [preferences[position] for position in kept]


def _shares(sets: Mapping[str, Sequence[Preference]], weights: Mapping[str, float] | None) -> dict[str, float]:
    given = dict(weights) if weights is not None else {name: float(len(records)) for name, records in sets.items()}
    for name, weight in given.items():
        if name not in sets:
            raise UserError(f"there is no set '{name}'{nearest(name, sets)}; there are {', '.join(sets)}")
        if not weight > 0:
            raise UserError(f"the weight of '{name}' is {weight}; it must be positive, or leave the set out")
        if not sets[name]:
            raise UserError(f"the set '{name}' is empty; leave it out")
    if not given:
        raise UserError("there is no set to mix; name one with a weight")
    total = sum(given.values())
    return {name: weight / total for name, weight in given.items()}


def _walk(records: Sequence[Preference], seed: str) -> Iterator[Preference]:
    for lap in itertools.count():
        for position in _shuffled(records, f"{seed}\0{lap}"):
            yield records[position]


def _shuffled(records: Sequence[Preference], seed: str) -> list[int]:
    """Positions in the order of their records' hashes."""
    keys: Iterable[float] = (hash_share(f"{seed}\0{record.id}") for record in records)
    return [position for _, position in sorted(zip(keys, range(len(records)), strict=True))]
