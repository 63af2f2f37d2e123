"""A suite's published files, from a folder or the hub, as items: whole, or refused.

A mean over part of a suite is not its score, so rows are counted by subset before anything is scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from rewardsmith.errors import DataError
from rewardsmith.evaluation.benchmarks.suite import Item, Suite
from rewardsmith.preferences.formats.base import BadRow
from rewardsmith.preferences.streaming import stream_rows

_MOST_NAMED = 5
"""Subsets with a wrong number of rows that an error names one by one."""


def read_suite(suite: Suite, data: Path | None) -> list[Item]:
    """All items of the suite from `data`, a file or a folder with the published files in it; from the hub without.

    Raises:
        DataError: the files are not there, a row is not what the suite publishes, or rows are missing or too many.
    """
    items = []
    for file in suite_files(suite, data if data is not None else _from_hub(suite)):
        for row in stream_rows(file):
            if row.fault is not None:
                raise DataError(f"{file}, {row.place}: {row.fault}; {_again(suite)}")
            try:
                items.append(suite.parse(row.value, file))
            except BadRow as bad:
                raise DataError(f"{file}, {row.place}: {bad}; {_again(suite)}") from None
    _refuse_partial(suite, items)
    return items


def suite_files(suite: Suite, place: Path) -> list[Path]:
    """The published files: `place` itself, or the first alternative that is in it.

    Raises:
        DataError: there are none.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DataError(f"{place}: there is no such file or folder; {_again(suite)}")
    there = sorted(p for p in place.rglob("*") if p.is_file())
    for patterns in suite.files:
        found = [p for p in there if any(fnmatch(p.relative_to(place).as_posix(), pattern) for pattern in patterns)]
        if found:
            return found
    wanted = " or ".join(" and ".join(patterns) for patterns in suite.files)
    raise DataError(f"{place}: no file of {suite.title} in it ({wanted}); {_again(suite)}")


def _from_hub(suite: Suite) -> Path:
    """The local copy of the suite's files on the hub."""
    if suite.hub is None:
        raise DataError(f"{suite.title} is not on the hub in files that can be read; {_again(suite)}")
    from huggingface_hub import snapshot_download

    patterns = [pattern for alternative in suite.files for pattern in alternative]
    try:
        return Path(snapshot_download(suite.hub, repo_type="dataset", allow_patterns=patterns))
    except Exception as error:  # network, gated access, a moved repository: the hub's client has no one base for them
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{suite.hub} cannot be read from the Hugging Face hub ({reason}); {_again(suite)}") from error


def _refuse_partial(suite: Suite, items: Sequence[Item]) -> None:
    found = Counter(item.subset for item in items)
    wrong = [f"{name} has {found[name]} rows of {n}" for name, n in suite.rows.items() if found[name] != n]
    if not wrong:
        return
    more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    raise DataError(
        f"this is not {suite.title} whole, and a mean over part of it would not be its score: "
        f"{', '.join(wrong[:_MOST_NAMED])}{more}; {_again(suite)}"
    )


def _again(suite: Suite) -> str:
    return f"get the files from {suite.source} and name their folder with --data"
