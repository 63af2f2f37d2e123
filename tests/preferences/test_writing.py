"""Writers: what comes back through the readers, what is reported as lost, and files that are whole or not there."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import string
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewardsmith.errors import DataError, OutputExistsError, RewardsmithError, UserError
from rewardsmith.preferences.formats.dialogues import whole_dialogue
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Message, Preference
from rewardsmith.preferences.targets import TARGETS
from rewardsmith.preferences.writing import write_preferences

words = st.text(alphabet=string.ascii_letters + string.digits + " \n\t.,!?äß中\u2028", max_size=30)
filled = words.filter(lambda text: bool(text.strip()))
scores = st.floats(-1e6, 1e6, allow_nan=False)
labels = st.text(string.ascii_letters + "-ü", min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def dialogues(draw, max_turns: int = 2) -> list[Message]:
    """user, assistant, ..., user."""
    turns = [Message(role="user", content=draw(filled))]
    for _ in range(draw(st.integers(0, max_turns))):
        turns.append(Message(role="assistant", content=draw(words)))
        turns.append(Message(role="user", content=draw(filled)))
    return turns


@st.composite
def forked_responses(draw) -> list[Message]:
    """assistant, user, assistant."""
    roles = ("assistant", "user", "assistant")
    return [Message(role=role, content=draw(words)) for role in roles]


@st.composite
def preferences(draw, most: int = 4, forked: bool = True, plain_scores: bool = False) -> Preference:
    count = draw(st.integers(2, most))
    system = [Message(role="system", content=draw(filled))] if draw(st.booleans()) else []
    kinds = words | forked_responses() if forked else words
    return Preference(
        id=draw(labels),
        prompt=system + draw(dialogues()),
        responses=draw(st.lists(kinds, min_size=count, max_size=count)),
        scores=[1.0, 0.0] if plain_scores else draw(st.lists(scores, min_size=count, max_size=count)),
        domain=draw(labels),
        annotator=draw(st.none() | labels),
        source=draw(st.none() | labels),
        response_names=draw(st.none() | st.lists(labels, min_size=count, max_size=count)),
        margin=draw(st.none() | scores),
        metadata=draw(st.dictionaries(words, json_values, max_size=3)),
    )


def record_lists(**options):
    return st.lists(preferences(**options), min_size=1, max_size=4, unique_by=lambda record: record.id)


round_trip = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def there_and_back(records: list[Preference], folder: Path, to: str, suffix: str = ".jsonl") -> list[Preference]:
    path = folder / f"out{suffix}"
    write_preferences(records, path, to=to, overwrite=True)
    return load_preferences(path).preferences


def ranked(records: list[Preference]) -> list[tuple[list[Message], list[Message], float | None]]:
    """All that a pairwise target can hold: the two dialogues of each ranked pair, and the margin."""
    return [
        (whole_dialogue(r.prompt, r.responses[i]), whole_dialogue(r.prompt, r.responses[j]), r.margin)
        for r in records
        for i, j in r.pairs()
    ]


@round_trip
@given(record_lists(), st.sampled_from([".jsonl", ".json", ".parquet"]))
def test_our_own_files_keep_everything(tmp_path, records, suffix):
    assert there_and_back(records, tmp_path, "rewardsmith", suffix) == records


@round_trip
@given(record_lists())
def test_text_score_keeps_dialogues_and_scores(tmp_path, records):
    read = there_and_back(records, tmp_path, "dsp-text-score")
    assert [r.scores for r in read] == [r.scores for r in records]
    for before, after in zip(records, read, strict=True):
        wanted = [whole_dialogue(before.prompt, response) for response in before.responses]
        assert [whole_dialogue(after.prompt, response) for response in after.responses] == wanted


@round_trip
@given(
    record_lists(),
    st.sampled_from(
        ["trl", "trl-implicit", "trl-conversational", "trl-conversational-implicit", "openrlhf", "openrlhf-plain"]
    ),
)
def test_pair_targets_keep_every_ranked_pair_or_count_it(tmp_path, records, to):
    path = tmp_path / "out.jsonl"
    if not ranked(records):
        with pytest.raises(DataError, match="nothing to write"):
            write_preferences(records, path, to=to, overwrite=True)
        return
    report = write_preferences(records, path, to=to, overwrite=True)
    read = load_preferences(path, format="trl").preferences
    assert report.written == len(read) == len(ranked(records))
    changed = sum(a != b for a, b in zip(ranked(records), ranked(read), strict=True))
    assert changed == report.lost.get("turns as they were", 0)
    if "conversational" in to:
        assert changed == 0


@round_trip
@given(record_lists(forked=False), st.sampled_from(["llamafactory", "llamafactory-alpaca"]))
def test_llamafactory_files_are_read_back(tmp_path, records, to):
    records = [r.model_copy(update={"margin": None}) for r in records if r.pairs()]
    if records:
        path = tmp_path / "out.json"
        write_preferences(records, path, to=to, overwrite=True)
        loaded = load_preferences(path)
        assert loaded.format == to
        assert ranked(loaded.preferences) == ranked(records)


@round_trip
@given(record_lists(forked=False, plain_scores=True, most=2))
def test_trl_returns_prompt_and_responses_as_they_were(tmp_path, records):
    records = [r for r in records if r.pairs()]
    if records:
        read = there_and_back(records, tmp_path, "trl-conversational")
        fields = ("prompt", "responses", "scores", "margin")
        assert [[getattr(r, f) for f in fields] for r in read] == [[getattr(r, f) for f in fields] for r in records]


@pytest.mark.parametrize("name", ["helpful.json", "harmless.json", "webgpt.json", "mtbench_votes.json"])
def test_real_dialogues_survive_text_score(real_data, tmp_path, name):
    records = load_preferences(real_data / name).preferences
    report = write_preferences(records, tmp_path / "out.json", to="dsp-text-score")
    assert report.lost.get("turns as they were", 0) <= 2  # HH texts that speak of "Human:" themselves
    read = load_preferences(tmp_path / "out.json").preferences
    same = sum(
        (a.prompt, a.responses, a.scores) == (b.prompt, b.responses, b.scores)
        for a, b in zip(records, read, strict=True)
    )
    assert same >= len(records) - 2


def test_marks_inside_a_text_are_counted_as_lost(make, tmp_path):
    record = make("q", "a\n\nHuman: not a turn\n\nAssistant: really", "b")
    assert write_preferences([record], tmp_path / "a.jsonl", to="dsp-text-score").lost["turns as they were"] == 1
    assert write_preferences([record], tmp_path / "b.jsonl", to="trl-implicit").lost["turns as they were"] == 1
    assert "turns as they were" not in write_preferences([record], tmp_path / "c.jsonl", to="trl").lost


def test_reports_what_a_pairwise_target_cannot_hold(make, tmp_path):
    records = [
        make("q", "a", "b", "c", scores=[3, 2, 2], id="1", domain="academy", response_names=["x", "y", "z"]),
        make("r", "a", "b", scores=[1, 1], id="2", annotator="ann", source="arena"),
        make("s", "a", "a", id="3", metadata={"k": 1}, margin=0.5),
        make("t", "a", "b", id="4"),
    ]
    report = write_preferences(records, tmp_path / "out.jsonl", to="trl")
    assert (report.records, report.written) == (4, 3)
    assert report.lost == {
        "id": 4,
        "domain": 1,
        "response names": 1,
        "lists (written as pairs)": 1,
        "score values": 2,
        "ties": 2,
        "annotator": 1,
        "source": 1,
        "metadata": 1,
        "pairs of identical responses": 1,
    }
    assert write_preferences(records, tmp_path / "own.jsonl").lost == {}


def test_llamafactory_rows_and_entry(make, tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"other": {"file_name": "x.json"}}')
    turns = [Message(role=r, content=r) for r in ("system", "user", "assistant", "user")]
    record = Preference(id="1", prompt=turns, responses=["a", "b"], scores=[0.0, 1.0])
    write_preferences([record, make("q")], tmp_path / "mine.json", to="llamafactory")
    assert json.loads((tmp_path / "mine.json").read_text())[0] == {
        "conversations": [
            {"from": "system", "value": "system"},
            {"from": "human", "value": "user"},
            {"from": "gpt", "value": "assistant"},
            {"from": "human", "value": "user"},
        ],
        "chosen": {"from": "gpt", "value": "b"},
        "rejected": {"from": "gpt", "value": "a"},
    }
    write_preferences([record, make("q")], tmp_path / "alpaca.json", to="llamafactory-alpaca")
    assert json.loads((tmp_path / "alpaca.json").read_text())[0] == {
        "instruction": "user",
        "input": "",
        "chosen": "b",
        "rejected": "a",
        "system": "system",
        "history": [["user", "assistant"]],
    }
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert set(info) == {"other", "mine", "alpaca"}
    assert info["mine"] == {
        "file_name": "mine.json",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    }
    assert info["alpaca"]["columns"]["prompt"] == "instruction"


def test_llamafactory_leaves_out_dialogues_it_cannot_hold(make, tmp_path):
    forked = [Message(role=r, content="x") for r in ("assistant", "user", "assistant")]
    odd = Preference(id="1", prompt=[Message(role="user", content="q")] * 2, responses=["a", "b"], scores=[1, 0])
    fork = Preference(id="2", prompt=odd.prompt[:1], responses=["a", forked], scores=[1, 0])
    report = write_preferences([odd, fork, make("q")], tmp_path / "mine.jsonl", to="llamafactory")
    assert (report.written, report.lost["pairs whose dialogue the target cannot hold"]) == (1, 2)


def test_trl_itself_reads_what_we_write(make, tmp_path):
    trl = pytest.importorskip("trl.data_utils", reason="TRL is not installed")
    records = [make("q", "a", "b")]
    write_preferences(records, tmp_path / "c.jsonl", to="trl-conversational-implicit")
    row = json.loads((tmp_path / "c.jsonl").read_text())
    assert trl.is_conversational(row)
    assert trl.maybe_extract_prompt(row)["prompt"] == [{"role": "user", "content": "q"}]


def test_standard_output(make, monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer))
    assert write_preferences([make("ü"), make("r")], "-", to="trl").written == 2
    assert [json.loads(line)["prompt"] for line in buffer.getvalue().splitlines()] == ["ü", "r"]


def test_refuses_an_output_that_is_there(make, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"out.jsonl: is there already; .*--overwrite"):
        write_preferences([make("q")], path)
    assert path.read_text() == "precious"
    write_preferences([make("q")], path, overwrite=True)
    assert len(load_preferences(path)) == 1


def test_a_full_disk_leaves_nothing_and_says_so(make, tmp_path, monkeypatch):
    path = tmp_path / "out.jsonl"
    path.write_text("precious")

    def full(self: Path, *args: object):
        class Full(io.BytesIO):
            def write(self, data: object) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        self.touch()
        return Full()

    with monkeypatch.context() as patch, pytest.raises(RewardsmithError, match="the disk is full; nothing was written"):
        patch.setattr(Path, "open", full)
        write_preferences([make("q")], path, overwrite=True)
    assert os.listdir(tmp_path) == ["out.jsonl"]
    assert path.read_text() == "precious"


def test_a_failing_source_leaves_nothing(make, tmp_path):
    def broken():
        yield make("q")
        raise DataError("line 2: bad")

    with pytest.raises(DataError, match="line 2"):
        write_preferences(broken(), tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == []


def test_refuses_folders_it_cannot_write_to(make, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is no folder"):
        write_preferences([make("q")], tmp_path / "none" / "out.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        write_preferences([make("q")], tmp_path)

    def denied(self: Path, *args: object):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UserError, match=r"cannot be written to \(Permission denied\); choose another"):
        write_preferences([make("q")], tmp_path / "out.jsonl")


def test_the_file_has_usual_permissions(make, tmp_path):
    write_preferences([make("q")], tmp_path / "out.jsonl")
    (tmp_path / "usual").touch()
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_unknown_target_and_parquet_for_foreign_targets(make, tmp_path):
    with pytest.raises(UserError, match=r"no target 'trll' \(did you mean 'trl'\?\)"):
        write_preferences([make("q")], tmp_path / "x.jsonl", to="trll")
    with pytest.raises(UserError, match="is written as JSON"):
        write_preferences([make("q")], tmp_path / "x.parquet", to="trl")


def test_half_a_surrogate_in_metadata_is_written_escaped(make, tmp_path):
    record = make("q", metadata={"k": "\ud800"})
    assert there_and_back([record], tmp_path, "rewardsmith")[0].metadata == {"k": "\ud800"}


def test_every_target_describes_itself():
    assert len(TARGETS) == 10
    assert all(target.name == name and target.description for name, target in TARGETS.items())
