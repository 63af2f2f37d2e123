"""Writes preferences to a file in any target format, atomically, and says what the target could not hold.

    report = write_preferences(preferences, "pairs.jsonl", to="trl")
    report.lost  # {"ties": 176, "domain": 672}

The rows come from `targets`. A file is written beside its place under another name and moved there when complete.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from rewardsmith.errors import DataError, OutputExistsError, RewardsmithError, UserError
from rewardsmith.preferences.formats.own import parquet_row
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.targets import OwnTarget, Target, target_named

STDOUT = "-"
PARQUET_BATCH = 1000
DATASET_INFO = "dataset_info.json"
WRITTEN = (".jsonl", ".json", ".parquet")


@dataclass(slots=True)
class WriteReport:
    """`records` came in, `written` rows went out; `lost` counts, by kind, what the target could not hold."""

    records: int = 0
    written: int = 0
    lost: dict[str, int] = field(default_factory=dict)


def write_preferences(
    records: Iterable[Preference], path: str | Path, *, to: str = "rewardsmith", overwrite: bool = False
) -> WriteReport:
    """Writes records to `path`: JSON lines, one JSON array for `.json`, Parquet for `.parquet`; `-` is standard output.

    Raises OutputExistsError for an output that is there, UserError for an unknown target or a folder that cannot be
    written to, RewardsmithError for a full disk; no half file is left behind.
    """
    target = target_named(to)
    report = WriteReport()
    if str(path) == STDOUT:
        _write_lines(cast(BinaryIO, sys.stdout.buffer), _rows(records, target, report))
        sys.stdout.buffer.flush()
        return report
    path = Path(path)
    _refuse_unwritable(path, target, overwrite)
    with _replacing(path) as handle:
        _writer(path)(handle, _parquet_rows(records, report) if _is_parquet(path) else _rows(records, target, report))
        if report.written == 0:
            raise DataError(
                f"{path}: nothing to write; none of {report.records} records can be held by '{target.name}'"
            )
    entry = target.dataset_info(path.name)
    if entry is not None:
        _add_dataset_info(path, entry)
    return report


def _rows(records: Iterable[Preference], target: Target, report: WriteReport) -> Iterator[dict[str, Any]]:
    lost: Counter[str] = Counter()
    for preference in records:
        rows, gone = target.rows(preference)
        report.records += 1
        report.written += len(rows)
        lost.update(gone)
        yield from rows
    report.lost = {part: count for part, count in lost.items() if count}


def _parquet_rows(records: Iterable[Preference], report: WriteReport) -> Iterator[dict[str, Any]]:
    for preference in records:
        report.records += 1
        report.written += 1
        yield parquet_row(preference)


def _writer(path: Path) -> Callable[[BinaryIO, Iterator[dict[str, Any]]], None]:
    if _is_parquet(path):
        return _write_parquet
    return _write_array if path.suffix == ".json" else _write_lines


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _write_lines(handle: BinaryIO, rows: Iterator[dict[str, Any]]) -> None:
    for row in rows:
        handle.write(_encoded(row) + b"\n")


def _write_array(handle: BinaryIO, rows: Iterator[dict[str, Any]]) -> None:
    separator = b"[\n"
    for row in rows:
        handle.write(separator + _encoded(row))
        separator = b",\n"
    handle.write(b"\n]\n")


def _encoded(row: dict[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:  # half a surrogate pair in the metadata: only an escape can hold it
        return json.dumps(row, default=str).encode()


def _write_parquet(handle: BinaryIO, rows: Iterator[dict[str, Any]]) -> None:
    import pyarrow
    import pyarrow.parquet

    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    message = pyarrow.struct([("role", text), ("content", text)])
    schema = pyarrow.schema(
        [
            *(("id", text), ("prompt", pyarrow.list_(message)), ("responses", texts)),
            *(("scores", pyarrow.list_(pyarrow.float64())), ("domain", text), ("annotator", text), ("source", text)),
            *(("response_names", texts), ("margin", pyarrow.float64()), ("metadata", text)),
            ("response_messages", texts),
        ]
    )
    with pyarrow.parquet.ParquetWriter(handle, schema) as writer:
        while batch := list(itertools.islice(rows, PARQUET_BATCH)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema))


def _refuse_unwritable(path: Path, target: Target, overwrite: bool) -> None:
    if _is_parquet(path) and not isinstance(target, OwnTarget):
        raise UserError(f"{path}: '{target.name}' is written as JSON; name the file .jsonl or .json")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    if path.suffix not in WRITTEN:
        raise UserError(f"{path}: cannot be written as '{path.suffix}'; name it {', '.join(WRITTEN)}")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: is there already; choose another name or allow it with --overwrite")


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends well, and vanishes when it does not."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as handle:
            yield handle
        part.replace(path)
    except OSError as error:
        if isinstance(error, RewardsmithError):
            raise
        raise _cannot_write(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> RewardsmithError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RewardsmithError(f"{path}: the disk is full; nothing was written, make room and run again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(f"{path}: the folder {path.parent} cannot be written to ({error.strerror}); choose another")
    return RewardsmithError(f"{path}: cannot be written ({error.strerror or error})")


def _add_dataset_info(path: Path, entry: dict[str, Any]) -> None:
    """Adds the entry, named like the file, to the `dataset_info.json` beside it and keeps the others."""
    info = path.with_name(DATASET_INFO)
    entries: Any = {}
    if info.exists():
        try:
            entries = json.loads(info.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{info}: is not valid JSON ({error}), so the new entry could not be added") from error
        if not isinstance(entries, dict):
            raise DataError(f"{info}: should hold an object of data sets; the new entry could not be added")
    entries[path.stem] = entry
    with _replacing(info) as handle:
        handle.write(json.dumps(entries, indent=2, ensure_ascii=False).encode() + b"\n")
