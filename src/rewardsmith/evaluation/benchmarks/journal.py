"""Rewards as they are made, one JSON line a prompt, so that an interrupted benchmark goes on where it was.

A line is found again by a hash of the model, the prompt and its responses: another model, or a changed file, finds
nothing. A torn line and a prompt that failed are owed again. Knows nothing of suites.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rewardsmith.errors import DataError
from rewardsmith.evaluation.scored import ScoredPreference, Scorer, score_preferences
from rewardsmith.files import append_lines
from rewardsmith.preferences.record import Preference, content_hash

CHUNK = 32
"""Prompts that are scored together and lost together when the run is interrupted."""


def score_with_journal(
    scorer: Scorer,
    preferences: Sequence[Preference],
    journal: Path | None,
    model_key: str,
    on_progress: Callable[[int], None] = lambda _: None,
    *,
    chunk: int | None = None,
) -> tuple[list[ScoredPreference], int]:
    """Every preference with its rewards, and how many came from the journal; none is kept where `journal` is None.

    Args:
        model_key: equal for two models exactly when they give the same rewards.
        on_progress: is told how many responses were just scored or found.
        chunk: prompts that are scored together; `CHUNK` where it is None.

    Raises:
        DataError: the journal is there and is none.
    """
    known = _read(journal) if journal is not None and journal.is_file() else {}
    keys = [content_hash(model_key, p.prompt, p.responses, p.domain) for p in preferences]
    found = {k: known[key] for k, key in enumerate(keys) if key in known}
    scored = {k: ScoredPreference.of(preferences[k], rewards) for k, rewards in found.items()}
    on_progress(sum(len(rewards) for rewards in found.values()))
    owed = [k for k in range(len(preferences)) if k not in scored]
    size = chunk or CHUNK
    for start in range(0, len(owed), size):
        together = owed[start : start + size]
        records = score_preferences(scorer, [preferences[k] for k in together])
        scored.update(zip(together, records, strict=True))
        if journal is not None:
            given = {keys[k]: scored[k].rewards for k in together if scored[k].rewards is not None}
            append_lines(journal, [json.dumps({"key": key, "rewards": rewards}) for key, rewards in given.items()])
        on_progress(sum(len(preferences[k].responses) for k in together))
    return [scored[k] for k in range(len(preferences))], len(found)


def _read(path: Path) -> dict[str, list[float]]:
    known: dict[str, list[float]] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        try:
            entry = json.loads(line)
            known[entry["key"]] = [float(reward) for reward in entry["rewards"]]
        except (ValueError, KeyError, TypeError):
            continue
    if not known and len(lines) > 1:
        raise DataError(f"{path} is there and holds no rewards; remove it, or name another --out")
    return known
