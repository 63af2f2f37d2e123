"""The reader: the nine real files, domains, what is dropped, counted and noted."""

from __future__ import annotations

import io
import sys

import pytest

from rewardsmith.errors import DataError
from rewardsmith.preferences.reading import load_preferences, read_preferences, with_annotator_domains
from rewardsmith.preferences.sample import located

REAL = {
    # file: (format, records, ties, annotators)
    "domain_specific_preference.json": ("dsp", 4 * 479, 0, 0),
    "helpful.json": ("dsp-text-score", 1737, 0, 0),
    "harmless.json": ("dsp-text-score", 1727, 0, 0),
    "webgpt.json": ("dsp-text-score", 672, 176, 0),
    "qa_feedback.json": ("trl", 2008, 0, 0),
    "xstest.json": ("pairs", 697, 0, 0),
    "prism.json": ("personal-pairs", 2063, 0, 301),
    "mtbench_votes.json": ("arena", 1895, 399, 45),
    "creative_writing.json": ("personal-pairs", 1242, 0, 13),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_through_detection(real_data, name):
    loaded = load_preferences(real_data / name)
    ties = sum(len(set(p.scores)) == 1 for p in loaded)
    annotators = {p.annotator for p in loaded} - {None}
    assert (loaded.format, len(loaded), ties, len(annotators)) == REAL[name]
    assert loaded.counts.ties == ties
    assert loaded.counts.dropped == 0
    assert len({p.id for p in loaded}) == len(loaded)
    assert all(not p.prompt[-1].content.rstrip().endswith("Assistant:") for p in loaded)


def test_the_sample_is_none_of_the_real_files(real_data):
    def texts(source):
        loaded = load_preferences(source).preferences
        spoken = [str(r) for p in loaded for r in p.responses] + [m.content for p in loaded for m in p.prompt]
        return {" ".join(text.lower().split()) for text in spoken if text.strip()}

    ours = texts(located("sample:domains")) | texts(located("sample:general"))
    for name in REAL:
        assert not ours & texts(real_data / name), name


def test_real_dialogues_lose_no_character(real_data):
    import json

    for name in ("helpful.json", "harmless.json", "webgpt.json"):
        rows = json.loads((real_data / name).read_text())
        hashed = name == "webgpt.json"
        marks = (
            {"user": "## Human:\n", "assistant": "## Assistant:\n"}
            if hashed
            else {"user": "Human: ", "assistant": "Assistant: "}
        )
        for row, record in zip(rows, load_preferences(real_data / name), strict=True):
            for text, response in zip(row["text"], record.responses, strict=True):
                turns = [(m.role, m.content) for m in record.prompt]
                turns += (
                    [("assistant", response)] if isinstance(response, str) else [(m.role, m.content) for m in response]
                )
                rebuilt = "\n\n".join(marks[role] + content for role, content in turns)
                assert rebuilt.strip() == text.strip()


def test_a_domain_of_the_real_dsp_file(real_data):
    path = real_data / "domain_specific_preference.json"
    loaded = load_preferences(path, domain="literature")
    assert len(loaded) == 479
    assert all(p.response_names[p.scores.index(1.0)] == "literature" for p in loaded)
    with pytest.raises(
        DataError, match=r"no domain 'literatur' \(did you mean 'literature'\?\); there are academy, busi"
    ):
        load_preferences(path, domain="literatur")
    with pytest.raises(DataError, match="no domain 'normal'"):
        load_preferences(path, domain="normal")


PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}


def test_is_a_stream_that_can_be_walked_again(jsonl):
    reader = read_preferences(jsonl(*[PAIR | {"prompt": f"q{k}"} for k in range(120)]))
    assert (reader.format, reader.counts.records) == ("trl", 0)
    first = list(reader)
    assert list(reader) == first
    assert (len(first), reader.counts.records) == (120, 120)


def test_standard_input_is_read_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "q", "chosen": "a", "rejected": "b"}')))
    reader = read_preferences("-")
    assert len(list(reader)) == 1
    with pytest.raises(DataError, match="only once"):
        list(reader)


def test_skipping_counts_all_and_remembers_some(jsonl, monkeypatch):
    monkeypatch.setattr("rewardsmith.preferences.reading.MOST_DROPPED", 2)
    path = jsonl(PAIR, *[{"prompt": "q", "chosen": "a"}] * 3)
    path.write_text(path.read_text() + '{"torn": \n')
    loaded = load_preferences(path, on_error="skip", format="trl")
    assert (len(loaded), loaded.counts.dropped, len(loaded.dropped)) == (1, 4, 2)
    assert (loaded.dropped[0].place, loaded.dropped[0].reason) == ("line 2", "'rejected' is missing")
    lines = [f"  line {k}: 'rejected' is missing" for k in (2, 3)]
    assert loaded.notes[1:] == ["4 bad rows were left out:", *lines, "  and 2 more"]


def test_stops_at_a_torn_line_and_says_what_to_do(jsonl):
    path = jsonl(PAIR, PAIR)
    path.write_text(path.read_text() + '{"prompt": \n')
    with pytest.raises(DataError, match=r"line 3: not valid JSON .*; mend it or read with --on-error skip"):
        load_preferences(path)


def test_ties_identical_and_empty_responses_are_kept_and_counted(jsonl):
    rows = [{"prompt": [{"role": "user", "content": "q"}], "responses": r, "scores": s} for r, s in KINDS]
    loaded = load_preferences(jsonl(*rows))
    assert len(loaded) == len(KINDS)
    assert (loaded.counts.ties, loaded.counts.identical, loaded.counts.empty) == (1, 2, 1)
    assert any("1 records hold an empty response" in note for note in loaded.notes)


KINDS = [
    (["a", "b"], [1, 1]),
    (["a", "a"], [1, 0]),
    (["a", "b", "b"], [1, 0, 0]),
    (["a", " "], [1, 0]),
    (["a", "b", "c"], [1, 0, 0]),
]


def test_only_bad_rows_is_an_error_even_when_skipping(jsonl):
    with pytest.raises(
        DataError, match="no preference could be read, 1 rows were dropped; the first, line 1: 'chosen'"
    ):
        load_preferences(jsonl({"prompt": "q"}), format="trl", on_error="skip")


def test_csv_with_named_columns(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,chosen,rejected,margin,user\nq,007,,1.5,ann\nq2,1,2,,bob\n")
    loaded = load_preferences(path)
    assert loaded.format == "personal-pairs"
    assert [(p.responses, p.margin, p.annotator) for p in loaded] == [
        (["007", ""], 1.5, "ann"),
        (["1", "2"], None, "bob"),
    ]
    path.write_text("prompt,response_a,response_b,winner\nq,x,y,b\n")
    assert load_preferences(path).preferences[0].scores == [0.0, 1.0]


def test_annotators_become_domains(make):
    records = with_annotator_domains([make("q", annotator="ann"), make("r", annotator="bob")])
    assert [r.domain for r in records] == ["ann", "bob"]
    with pytest.raises(DataError, match="names no annotator"):
        with_annotator_domains([make("q")])


def test_importing_the_package_loads_nothing_heavy():
    import subprocess

    code = (
        "import sys, rewardsmith.preferences as p; assert 'pydantic' not in sys.modules; p.read_preferences;"
        "assert not {'torch', 'sklearn', 'pyarrow', 'datasets', 'pandas', 'numpy'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_names_are_there():
    import rewardsmith.preferences as room

    assert all(getattr(room, name) is not None for name in room.__all__)
    assert sorted(name for names in room._HOME.values() for name in names) == sorted(room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = room.nothing
