"""Splits preferences by prompt or by annotator, never by pair.

Where a group goes depends on a hash of the seed and the group's key alone, so reordering or adding records moves
nothing. It knows nothing of files.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from rewardsmith.errors import DataError, UserError
from rewardsmith.preferences.record import Preference

GroupBy = Literal["prompt", "annotator"]


def split_preferences(
    preferences: Iterable[Preference], shares: Mapping[str, float], *, seed: int = 0, by: GroupBy = "prompt"
) -> dict[str, list[Preference]]:
    """The records of each part, in their order; all records of one prompt (or annotator) are in one part.

    `shares` are the expected parts of the groups and add up to 1; being drawn by hash, small sets deviate by chance.
    Raises UserError for shares that do not add up, DataError for a record without annotator when split by annotator.
    """
    if any(share < 0 for share in shares.values()) or not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise UserError(f"the shares {dict(shares)} must be positive and add up to 1")
    parts: dict[str, list[Preference]] = {name: [] for name in shares}
    for preference in preferences:
        parts[_part_at(hash_share(f"{seed}\0{group_key(preference, by)}"), shares)].append(preference)
    return parts


def parse_shares(text: str) -> dict[str, float]:
    """`train=0.8,test=0.2` as shares. Raises UserError for anything else."""
    shares = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise UserError(f"--split {text}: write shares as train=0.8,test=0.2") from None
        if not re.fullmatch(r"[\w-]+", name.strip()):
            raise UserError(f"--split {text}: a part's name holds letters, digits, '-' and '_' only, not {name!r}")
    return shares


def hash_share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone and is spread evenly over texts."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _part_at(position: float, shares: Mapping[str, float]) -> str:
    """The part in whose stretch of [0, 1) the position lies."""
    upper = 0.0
    for name, share in shares.items():
        upper += share
        if position < upper:
            return name
    return next(name for name in reversed(list(shares)) if shares[name] > 0)  # rounding left a sliver at the end


def group_key(preference: Preference, by: GroupBy) -> str:
    """What a preference stays together with: the others of its prompt, or of the person who gave it.

    Raises DataError for a record without annotator where it is grouped by one.
    """
    if by == "prompt":
        return preference.prompt_key()
    if preference.annotator is None:
        raise DataError(f"record {preference.id}: it names no annotator; group by prompt, or fill the field")
    return preference.annotator
