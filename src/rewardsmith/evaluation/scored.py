"""A preference with the rewards a model gave it, or the reason it gave none.

A failure is not a score: a record without finite rewards is kept apart and counted, never taken for 0 or a tie.
This module knows nothing of models; a scorer is any callable from preferences to rewards.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewardsmith.errors import OutputExistsError, RewardsmithError, UserError
from rewardsmith.preferences.record import Preference

Scorer = Callable[[Sequence[Preference]], Sequence[Sequence[float] | None]]
"""Rewards of each preference's responses, in their order; None for a preference that could not be scored."""


@dataclass(frozen=True)
class ScoredPreference:
    """One preference and its r rewards; `rewards` is None exactly when `error` says why there are none."""

    preference: Preference
    rewards: tuple[float, ...] | None
    error: str | None = None

    @classmethod
    def of(cls, preference: Preference, rewards: Sequence[float] | None) -> ScoredPreference:
        """Checks what a scorer returned: missing, non-finite or miscounted rewards become a failed record."""
        if rewards is None:
            return cls(preference, None, "the scorer returned no rewards")
        values = tuple(float(r) for r in rewards)
        if len(values) != len(preference.responses):
            return cls(preference, None, f"{len(values)} rewards for {len(preference.responses)} responses")
        if not all(math.isfinite(v) for v in values):
            return cls(preference, None, f"rewards are not finite: {list(values)}")
        return cls(preference, values)

    def usable_rewards(self) -> tuple[float, ...] | None:
        """The rewards if the record did not fail, also for records that were built by hand with a non-finite one."""
        if self.error is not None or self.rewards is None:
            return None
        checked = ScoredPreference.of(self.preference, self.rewards)
        return checked.rewards


def score_preferences(scorer: Scorer, preferences: Sequence[Preference]) -> list[ScoredPreference]:
    """Runs the scorer once over all preferences; its own exceptions pass through.

    Raises RewardsmithError when the number of results is not the number of preferences, for then no result
    can be told to belong to its record.
    """
    rewards = scorer(preferences)
    if len(rewards) != len(preferences):
        raise RewardsmithError(f"the scorer returned {len(rewards)} results for {len(preferences)} preferences")
    return [ScoredPreference.of(p, r) for p, r in zip(preferences, rewards, strict=True)]


def score_sets(scorer: Scorer, sets: Mapping[str, Sequence[Preference]]) -> dict[str, list[ScoredPreference]]:
    """`score_preferences` for each named set."""
    return {name: score_preferences(scorer, preferences) for name, preferences in sets.items()}


def name_sets(items: Iterable[tuple[str, Sequence[Preference]]]) -> dict[str, Sequence[Preference]]:
    """Named sets as a mapping; raises UserError for a name that stands twice, where a dict would drop one silently."""
    sets: dict[str, Sequence[Preference]] = {}
    for name, preferences in items:
        if name in sets:
            raise UserError(f"two sets are called '{name}': give each set its own name")
        sets[name] = preferences
    return sets


def write_rewards(path: str | Path, scored: Iterable[ScoredPreference], *, overwrite: bool = False) -> int:
    """One JSON line a preference (id, domain, scores, rewards or null, error or null); returns the number of lines.

    Raises OutputExistsError when the file is there and `overwrite` is not set.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target} exists already: choose another path or allow overwriting")
    target.parent.mkdir(parents=True, exist_ok=True)
    n_lines = 0
    with target.open("w", encoding="utf-8") as file:
        for record in scored:
            rewards = record.usable_rewards()
            error = record.error or (None if rewards is not None else "no finite rewards")
            row = {
                "id": record.preference.id,
                "domain": record.preference.domain,
                "scores": record.preference.scores,
                "rewards": rewards,
                "error": error,
            }
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            n_lines += 1
    return n_lines


def named_sources(items: Iterable[str]) -> list[tuple[str, str]]:
    """Names and sources of `FILE` (its stem names it) or `name=FILE`; raises UserError for a name that stands twice."""
    found: dict[str, str] = {}
    for item in items:
        name, equals, source = item.partition("=")
        if not equals or "/" in name:
            name, source = Path(item).name.split(".")[0].split(":")[-1], item
        if name in found:
            raise UserError(f"two sets are called '{name}' ({found[name]}, {source}); name one: other={source}")
        found[name] = source
    return list(found.items())
