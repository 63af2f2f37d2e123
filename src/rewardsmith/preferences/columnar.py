"""Rows out of Parquet files, saved data sets and the Hugging Face hub, a batch at a time.

pyarrow and datasets are imported when they are needed. It knows nothing of what a row means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rewardsmith.errors import DataError, nearest
from rewardsmith.hub import hub_fault

BATCH_ROWS = 256
HUB_PREFIX = "hf:"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+){0,2}")


def is_hub_name(name: str) -> bool:
    """Whether a name may be a data set on the hub: `org/name`, `:split` or `:config:split` behind it."""
    return name.startswith(HUB_PREFIX) or _HUB_NAME.fullmatch(name) is not None


def rows_of_parquet(file: Any, where: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of a Parquet file (a path or a binary file object)."""
    import pyarrow
    import pyarrow.parquet

    count = 0
    try:
        with pyarrow.parquet.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=BATCH_ROWS):
                rows = batch.to_pylist()
                count += len(rows)
                yield from rows
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{where}: not a Parquet file or a broken one ({str(error).splitlines()[0]})") from error
    if count == 0:
        raise DataError(f"{where}: the file holds no rows")


def rows_of_folder(folder: Path, split: str | None) -> Iterator[dict[str, Any]]:
    """Yields the rows of a folder that `datasets` saved, or of a folder of Parquet, JSON or CSV files."""
    import datasets

    where = str(folder)
    if not any(file.is_file() for file in folder.rglob("*")):
        raise DataError(f"{where}: the folder is empty; name a file, or a folder of Parquet, JSON or CSV files")
    try:
        if (folder / "state.json").exists() or (folder / "dataset_dict.json").exists():
            found: Any = datasets.load_from_disk(where)
        else:
            found = datasets.load_dataset(where, streaming=True)
        yield from _rows_of_split(found, split, where)
    except DataError:
        raise
    except Exception as error:  # datasets raises what its loaders raise; all of it means that the folder is unreadable
        raise DataError(f"{where}: cannot be read as a data set ({_first_line(error)})") from error


def rows_of_hub(name: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of a data set on the Hugging Face hub, streamed."""
    if fault := hub_fault():
        raise DataError(
            f"{name}: no such file or folder here, and the hub does not answer ({fault}); name a file, or run again "
            "with a network; HF_HUB_OFFLINE=1 before the command reads what `datasets` downloaded before"
        )
    import datasets

    repository, *rest = name.removeprefix(HUB_PREFIX).split(":")
    split = rest[-1] if rest else None
    config = rest[0] if len(rest) == 2 else None
    try:
        found = datasets.load_dataset(repository, config, streaming=True)
        yield from _rows_of_split(found, split, name)
    except DataError:
        raise
    except Exception as error:  # network, missing repository, gated access: datasets has no common base for them
        raise DataError(
            f"{name}: no such file or folder here, and it cannot be read from the Hugging Face hub "
            f"({_first_line(error)}); check the name, the network and `hf auth login`"
        ) from error


def _rows_of_split(found: Any, split: str | None, where: str) -> Iterator[dict[str, Any]]:
    """`found` is one data set or a mapping of splits; without a choice the only one, else `train`, is read."""
    if isinstance(found, dict):
        names = list(found)
        chosen = split or (names[0] if len(names) == 1 else "train")
        if chosen not in found:
            asked = f"there is no split '{chosen}'{nearest(chosen, names)}" if split else "several splits"
            raise DataError(f"{where}: {asked}; choose with {where}:SPLIT, one of {', '.join(names)}")
        found = found[chosen]
    elif split:
        raise DataError(f"{where}: holds no splits, but '{split}' was asked for; leave ':{split}' out")
    yield from (dict(row) for row in found)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
