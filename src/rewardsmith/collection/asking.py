"""A folder in which requests are asked once each: opened, asked what is owed, and left with a word on what still is."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from rewardsmith.collection.answerers.base import Answerer, Outcome
from rewardsmith.collection.journal import Journal, Planned
from rewardsmith.collection.requests import Answer, Request
from rewardsmith.errors import OutputExistsError, RewardsmithError, UserError


def open_collection(folder: Path) -> Journal:
    """Makes the folder or opens the collection in it.

    Raises:
        OutputExistsError: the folder holds something else, or another process works in it.
        RewardsmithError: the journal cannot be used.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputExistsError(f"{folder} is a file; name a folder with --out")
        others = [p for p in folder.iterdir() if p.name not in ("journal.sqlite", "lock")] if folder.exists() else []
        if others and not (folder / "journal.sqlite").is_file():
            raise OutputExistsError(f"{folder} exists and holds no collection; name another with --out")
        folder.mkdir(parents=True, exist_ok=True)
        return Journal.open(folder)
    except OSError as error:
        if isinstance(error, RewardsmithError):
            raise
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise RewardsmithError(f"{folder}: cannot be written ({what}); name another folder with --out") from error


def ask_owed(
    wanted: Iterable[tuple[Planned, Request]],
    answerer: Answerer,
    journal: Journal,
    tell: Callable[[int, int], None],
) -> Outcome:
    """Asks those that have no answer yet. `tell` is called with how many answers are there and are wanted."""
    pairs = list(wanted)
    journal.plan([planned for planned, _ in pairs])
    requests = {request.key: request for _, request in pairs}
    owed = journal.owed(list(requests))
    done = len(requests) - len(owed)
    tell(done, len(requests))

    def count(answer: Answer) -> None:
        nonlocal done
        done += 1
        tell(done, len(requests))

    return answerer.ask([requests[key] for key in owed], journal, count) if owed else Outcome()


def refuse_unfinished(outcome: Outcome, owed: int, folder: Path) -> None:
    """Raises where requests are still owed: UserError for a wrong key, RewardsmithError for anything else."""
    if outcome.stopped is not None:
        kind = UserError if outcome.stop_kind == "key" else RewardsmithError
        raise kind(f"stopped: {outcome.stopped}; {owed} requests are owed, the rest is in {folder}")
    if owed:
        reasons = Counter(reason for reason in outcome.failed.values())
        why = "; ".join(f"{n} x {reason}" for reason, n in reasons.most_common(3))
        raise RewardsmithError(
            f"{owed} requests are still owed ({why}); give the same command again, it asks only these"
        )
