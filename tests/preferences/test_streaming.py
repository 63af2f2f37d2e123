"""Rows out of every kind of file: the same rows whatever the container, and a clear error for each thing wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from rewardsmith.errors import DataError
from rewardsmith.preferences.streaming import stream_rows

ROWS = [
    {"prompt": "q1", "chosen": "ä\u2028x", "rejected": 'b, "quoted"\nline'},
    {"prompt": "q2", "chosen": "", "rejected": "d"},
]


def written(folder: Path, kind: str) -> Path:
    path = folder / f"rows{kind}"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
    if kind == ".jsonl":
        path.write_bytes(lines)
    elif kind == ".jsonl.gz":
        path.write_bytes(gzip.compress(lines))
    elif kind == ".json":
        path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")
    elif kind == ".json.gz":
        path.write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    elif kind == ".bom.jsonl":
        path.write_bytes(b"\xef\xbb\xbf\n" + lines)
    elif kind in (".csv", ".tsv", ".csv.gz"):
        import pandas

        pandas.DataFrame(ROWS).to_csv(path, index=False, sep="\t" if kind == ".tsv" else ",")
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


KINDS = [".jsonl", ".jsonl.gz", ".json", ".json.gz", ".bom.jsonl", ".csv", ".tsv", ".csv.gz", ".parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_out_of_every_container(tmp_path, kind):
    assert [row.value for row in stream_rows(written(tmp_path, kind))] == ROWS


def test_a_folder_of_files_and_its_splits(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    written(tmp_path, ".jsonl").rename(folder / "train.jsonl")
    written(tmp_path, ".jsonl").rename(folder / "test.jsonl")
    assert [row.value for row in stream_rows(folder)] == ROWS
    assert [row.value for row in stream_rows(f"{folder}:test")] == ROWS
    with pytest.raises(DataError, match=r"no split 'tset' \(did you mean 'test'\?\)"):
        list(stream_rows(f"{folder}:tset"))


def test_a_folder_that_datasets_saved(tmp_path):
    import datasets

    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    assert [row.value for row in stream_rows(tmp_path / "saved")] == ROWS


def test_a_hub_name_is_streamed_by_datasets(monkeypatch):
    import datasets

    asked = []

    def fake(name, config=None, **options):
        asked.append((name, config, options))
        return {"train": ROWS[:1], "test": ROWS[1:]}

    monkeypatch.setattr(datasets, "load_dataset", fake)
    assert [row.value for row in stream_rows("org/name:test")] == ROWS[1:]
    assert [row.value for row in stream_rows("hf:org/name:config:train")] == ROWS[:1]
    assert asked == [("org/name", None, {"streaming": True}), ("org/name", "config", {"streaming": True})]


def test_a_hub_failure_is_a_data_error(monkeypatch):
    import datasets

    def fails(*_, **__):
        raise ConnectionError("no route\nlong trace")

    monkeypatch.setattr(datasets, "load_dataset", fails)
    with pytest.raises(DataError, match=r"org/name: no such file or folder here.*\(no route\); check the name"):
        list(stream_rows("org/name"))


@pytest.mark.parametrize(
    "text", [b'{"a": 1}\n{"a": 2}\n', b' [{"a": 1}, {"a": 2}]', gzip.compress(b'{"a": 1}\n{"a": 2}', mtime=0)]
)
def test_standard_input(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert [row.value for row in stream_rows("-")] == [{"a": 1}, {"a": 2}]


def test_places_are_lines_for_lines_and_records_for_arrays(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert [row.place for row in stream_rows(path)] == ["line 1", "line 3"]
    path.write_text('[\n{"a": 1},\n{"a": 2}]')
    assert [row.place for row in stream_rows(path)] == ["record 1, line 2", "record 2, line 3"]


def test_a_bad_line_is_a_fault_and_reading_goes_on(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n"\xff"\n[1]\n' + b"[" * 100_000 + b'\n{"a": 2}\n')
    rows = list(stream_rows(path))
    assert [row.fault is None for row in rows] == [True, False, False, False, False, True]
    assert "not valid JSON" in rows[1].fault
    assert "not UTF-8 (byte 2" in rows[2].fault
    assert rows[3].fault == "a JSON object is expected, found list"


def test_csv_numbers_and_empty_cells(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("prompt,margin,better_response_id,score\n7,1.5,1,high\n8,,0,\n")
    assert [row.value for row in stream_rows(path)] == [
        {"prompt": "7", "margin": 1.5, "better_response_id": 1, "score": "high"},
        {"prompt": "8", "margin": None, "better_response_id": 0, "score": None},
    ]


@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("columns", [["prompt", "chosen", "rejected"], ["a name, with comma", "b; c", "d"], ["query"]])
def test_the_delimiter_is_read_off_the_column_names(tmp_path, sep, suffix, columns):
    import pandas

    texts = ["one; two, three\tfour", 'five "six"; seven', ";;;", "eight,\nnine"]
    rows = [{name: f"{text} {name}" for name in columns} for text in texts]
    path = tmp_path / f"x{suffix}"
    pandas.DataFrame(rows).to_csv(path, index=False, sep=sep, quoting=csv.QUOTE_ALL if len(columns) == 1 else 0)
    assert [row.value for row in stream_rows(path)] == rows


def test_a_semicolon_file_names_the_line_that_is_wrong(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\ufeffprompt;chosen;rejected\na, b;c;d\ne;f\n", encoding="utf-8")
    first, second = stream_rows(path)
    assert first.value == {"prompt": "a, b", "chosen": "c", "rejected": "d"}
    assert (second.place, second.fault) == ("line 3", "2 cells but 3 columns; quote cells that hold the delimiter")
    path.write_text('prompt;chosen\n"a"b;c\n')
    with pytest.raises(DataError, match="line 2: not valid CSV"):
        list(stream_rows(path))


def test_csv_row_of_another_width_is_a_fault(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("prompt,chosen\na,b\na,b,c\n")
    assert [row.fault for row in stream_rows(path)] == [
        None,
        "3 cells but 2 columns; quote cells that hold the delimiter",
    ]


BAD_FILES = {
    "empty.jsonl": (b"", "the file is empty"),
    "blank.jsonl": (b"\n \n", "the file is empty"),
    "none.json": (b"[]", "the array is empty"),
    "text.json": (b'\n"text"', "line 2: starts with"),
    "plain.txt": (b"prompt chosen", "line 1: starts with"),
    "utf16.jsonl": ('{"a": 1}'.encode("utf-16"), "UTF-16"),
    "torn.json": (b'[\n{"a": 1},\n{"a"', "line 3, record 2: the file ends inside a record"),
    "bytes.json": (b'[\n{"a": "\xff"}]', "not UTF-8"),
    "cut.jsonl.gz": (gzip.compress(os.urandom(1000))[:-20], "cut short|neither"),
    "empty.csv": (b"", "the file is empty"),
    "header.csv": (b"a,b\n", "no rows"),
    "twice.csv": (b"a,a\n1,2\n", "two columns have the same name"),
    "bytes.csv": (b"a,b\n1,\xff\n", "not UTF-8"),
    "quote.csv": (b'a,b\n1,"x" y\n', "line 2: not valid CSV"),
    "not.parquet": (b"PAR1 nothing", "not a Parquet file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_cannot_be_read_says_so(tmp_path, name):
    content, reason = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        list(stream_rows(tmp_path / name))
    assert name in str(caught.value)


def test_a_file_that_is_not_there_names_the_nearest(tmp_path):
    (tmp_path / "pairs.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"there is no such file \(did you mean 'pairs.jsonl'\?\)"):
        list(stream_rows(tmp_path / "pair.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["large.json", "large.jsonl", "large.parquet"])
def test_a_large_file_is_read_in_constant_memory(tmp_path, name):
    import pyarrow.parquet

    path = tmp_path / name
    count = 30_000
    parts = {"prompt": 400, "chosen": 800, "rejected": 800}
    rows = [{part: f"{part} {k} ".ljust(size, "x") for part, size in parts.items()} for k in range(count)]
    if name.endswith("parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=1000, compression="none")
    else:
        lines = map(json.dumps, rows)
        path.write_text("[" + ",\n".join(lines) + "]" if name.endswith(".json") else "\n".join(lines))
    del rows
    assert path.stat().st_size > 60_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in stream_rows(path)) == count
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
