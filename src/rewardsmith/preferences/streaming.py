"""Rows out of files: JSONL, a JSON array, CSV, TSV, Parquet, gz of these, standard input, Hugging Face data sets.

`stream_rows` yields one `Row` after another in constant memory. It knows nothing of what a row means (see `formats`).
A line that cannot be read is a row with a fault where the lines after it still can; anything worse raises DataError.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from rewardsmith.errors import DataError, nearest
from rewardsmith.preferences import columnar
from rewardsmith.preferences.json_arrays import TornArray, iterate_array

STDIN = "-"
FILE_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_NUMBERS = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NUMERIC_COLUMNS = (
    *("margin", "score", "score_0", "score_1", "score_chosen", "score_rejected"),
    *("preference_strength", "overall_preference", "better_response_id", "safer_response_id"),
)
"""CSV has no types: cells of these columns become numbers when they look like one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record as the file has it. `place` is for people (`line 7`); `fault` says why it could not be read."""

    place: str
    value: dict[str, Any]
    fault: str | None = None


def stream_rows(source: str | Path) -> Iterator[Row]:
    """Yields the rows of a file, of `-` (standard input), of a folder or of a Hugging Face data set.

    A data set is `org/name`, `org/name:split` or `org/name:config:split`; the prefix `hf:` says that it is one.
    Raises DataError for what is not there, empty, torn (a JSON array), not UTF-8 or of another type.
    """
    name = str(source)
    if name == STDIN:
        return _from_stdin()
    folder, split = _split_suffix(name)
    if folder.is_dir():
        return _numbered(columnar.rows_of_folder(folder, split))
    path = Path(name)
    if not path.exists() and columnar.is_hub_name(name) and not name.endswith((*FILE_SUFFIXES, ".gz", ".txt")):
        return _numbered(columnar.rows_of_hub(name))
    return _from_file(path)


def _split_suffix(name: str) -> tuple[Path, str | None]:
    """A folder may be followed by `:split`."""
    if ":" in name and not Path(name).exists():
        folder, split = name.rsplit(":", 1)
        return Path(folder), split
    return Path(name), None


def _numbered(rows: Iterator[dict[str, Any]]) -> Iterator[Row]:
    for number, value in enumerate(rows, 1):
        yield Row(f"row {number}", value)


def _from_stdin() -> Iterator[Row]:
    stdin = cast(BinaryIO, sys.stdin.buffer)
    handle = stdin if isinstance(stdin, io.BufferedReader) else io.BufferedReader(cast(Any, stdin))
    with _readable("standard input"):
        if handle.peek(2)[:2] == b"\x1f\x8b":
            handle = io.BufferedReader(cast(Any, gzip.GzipFile(fileobj=handle)))
        yield from _rows_of_json(handle, "standard input")


def _from_file(path: Path) -> Iterator[Row]:
    where = str(path)
    with _readable(where, path), path.open("rb") as raw:
        handle = raw
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        if packed:
            handle = io.BufferedReader(cast(Any, gzip.GzipFile(fileobj=raw)))
        kind = Path(path.stem).suffix if packed else path.suffix
        if handle.peek(4)[:4] == b"PAR1" or kind == ".parquet":
            yield from _numbered(columnar.rows_of_parquet(io.BytesIO(handle.read()) if packed else path, where))
        elif kind in (".csv", ".tsv"):
            yield from _rows_of_csv(handle, where, "\t" if kind == ".tsv" else ",")
        else:
            yield from _rows_of_json(handle, where)


@contextmanager
def _readable(where: str, path: Path | None = None) -> Iterator[None]:
    """Turns what the file system and gzip say into errors of ours."""
    try:
        yield
    except FileNotFoundError as error:
        siblings = [p.name for p in path.parent.iterdir()] if path and path.parent.is_dir() else []
        raise DataError(f"{where}: there is no such file{nearest(path.name if path else '', siblings)}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{where}: the gz file is broken or cut short ({error}); copy or compress it again") from error
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror or error})") from error


def _rows_of_json(handle: io.BufferedReader, where: str) -> Iterator[Row]:
    """A JSON array when the first character is a bracket, else one JSON object a line."""
    first_line = _skip_blank(handle, where)
    first = handle.peek(1)[:1]
    if not first:
        raise DataError(f"{where}: the file is empty; it should hold a JSON array or one JSON object a line")
    if first == b"[":
        yield from _rows_of_array(handle, where, first_line)
    elif first == b"{":
        yield from _rows_of_lines(handle, first_line)
    else:
        raise DataError(
            f"{where}, line {first_line}: starts with {first!r:.12}, which is neither a JSON array ('[') nor a JSON "
            "object a line ('{'); a table must be named .csv or .tsv"
        )


def _skip_blank(handle: io.BufferedReader, where: str) -> int:
    """Moves past a byte order mark and white space; the number of the line reached."""
    line = 1
    start = handle.peek(3)[:3]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{where}, line 1: not UTF-8 but UTF-16; convert it (iconv -f UTF-16 -t UTF-8)")
    if start == b"\xef\xbb\xbf":
        handle.read(3)
    while handle.peek(1)[:1].isspace():
        line += handle.read(1) == b"\n"
    return line


def _rows_of_array(handle: io.BufferedReader, where: str, first_line: int) -> Iterator[Row]:
    number = 0
    try:
        for number, (line, value) in enumerate(iterate_array(cast(BinaryIO, handle), first_line), 1):
            yield _object_row(f"record {number}, line {line}", value)
    except TornArray as error:
        raise DataError(f"{where}, line {error.line}, record {number + 1}: {error.reason}") from None
    if number == 0:
        raise DataError(f"{where}: the array is empty; there is nothing to read")


def _rows_of_lines(handle: io.BufferedReader, first_line: int) -> Iterator[Row]:
    for number, raw in enumerate(handle, first_line):
        if not raw.strip():
            continue
        place = f"line {number}"
        try:
            yield _object_row(place, json.loads(raw.decode("utf-8")))
        except UnicodeDecodeError as error:
            yield Row(place, {}, f"not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8")
        except json.JSONDecodeError as error:
            hint = "; an object must stand on one line" if number == first_line and raw.strip() == b"{" else ""
            yield Row(place, {}, f"not valid JSON ({error.msg}, column {error.colno}){hint}")
        except (ValueError, RecursionError) as error:
            yield Row(place, {}, f"cannot be decoded ({error})")


def _object_row(place: str, value: Any) -> Row:
    if isinstance(value, dict):
        return Row(place, value)
    return Row(place, {}, f"a JSON object is expected, found {type(value).__name__}")


def _rows_of_csv(handle: io.BufferedReader, where: str, usual: str) -> Iterator[Row]:
    """Rows under their column names; the delimiter is the one that stands between those."""
    csv.field_size_limit(1 << 30)
    delimiter = _delimiter(handle.peek(1), usual)
    text = io.TextIOWrapper(cast(Any, handle), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if not header or not any(name.strip() for name in header):
            raise DataError(f"{where}: the file is empty; its first line should name the columns")
        columns = [name.strip() for name in header]
        if len(set(columns)) < len(columns):
            raise DataError(f"{where}, line 1: two columns have the same name; rename one of {', '.join(columns)}")
        number = 0
        for cells in reader:
            if cells:
                number += 1
                yield _csv_row(f"line {reader.line_num}", columns, cells)
        if number == 0:
            raise DataError(f"{where}: there are column names but no rows")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}, line {reader.line_num + 1}: not UTF-8 (here or soon after); convert the file to UTF-8"
        ) from error
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: not valid CSV ({error})") from error
    finally:
        text.detach()  # or collecting the wrapper would close the file under its owner


def _delimiter(start: bytes, usual: str) -> str:
    """Comma, semicolon or tab, whichever makes the most column names of the first line: texts below hold all three.
    `usual` where several do."""
    line = start.decode("utf-8-sig", errors="replace").splitlines()[:1]
    return max((usual, ",", ";", "\t"), key=lambda delimiter: sum(map(len, csv.reader(line, delimiter=delimiter))))


def _csv_row(place: str, columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        return Row(place, {}, f"{len(cells)} cells but {len(columns)} columns; quote cells that hold the delimiter")
    return Row(place, {c: _typed(c, cell) for c, cell in zip(columns, cells, strict=True)})


def _typed(column: str, cell: str) -> object:
    if column not in _NUMERIC_COLUMNS:
        return cell
    if not cell.strip():
        return None
    if not _NUMBERS.fullmatch(cell.strip()):
        return cell
    number = float(cell)
    return int(number) if number.is_integer() and column.endswith("_id") else number
