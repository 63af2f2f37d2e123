"""Published files: found in a folder, read whole, refused in part, and faults said with file, row and field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from rewardsmith.errors import DataError, UserError
from rewardsmith.evaluation.benchmarks import SUITES, suite_named
from rewardsmith.evaluation.benchmarks.reading import read_suite, suite_files
from rewardsmith.evaluation.benchmarks.suite import Suite

Files = dict[str, list[dict[str, Any]]]
Small = tuple[Suite, Path, Files]
Write = Callable[[Path, Files], None]
Published = dict[str, Callable[[], Files]]


def test_small_files_are_read_whole(small: Small) -> None:
    suite, folder, files = small
    items = read_suite(suite, folder)
    assert len(items) == sum(len(rows) for rows in files.values())
    assert {i.subset for i in items} == set(suite.rows)
    for i in items:
        right = i.preference.responses[: i.n_right]
        assert i.preference.scores == [1.0] * i.n_right + [0.0] * (len(i.preference.responses) - i.n_right)
        assert right and i.preference.prompt[0].role == "user"


def test_a_partial_file_is_refused(small: Small, write: Write) -> None:
    suite, folder, files = small
    name, rows = next(iter(files.items()))
    if len(files) > 1:
        (folder / name).unlink()
    else:
        write(folder, {name: rows[1:]})
    left_out = next(iter(suite.rows))
    with pytest.raises(DataError, match=f"would not be its score: .*{left_out} has 0 rows of 1; .*--data"):
        read_suite(suite, folder)


def test_extra_rows_are_refused(small: Small, write: Write) -> None:
    suite, folder, files = small
    name = list(files)[-1]
    write(folder, {**files, name: [*files[name], files[name][-1]]})
    with pytest.raises(DataError, match=r"has \d+ rows of \d+"):
        read_suite(suite, folder)


def test_a_missing_field_is_said(small: Small, write: Write) -> None:
    suite, folder, files = small
    name = next(iter(files))
    field = next(f for f in ("prompt", "question", "input") if f in files[name][0])
    broken = {key: value for key, value in files[name][0].items() if key != field}
    write(folder, {**files, name: [broken, *files[name][1:]]})
    with pytest.raises(DataError, match=rf"{Path(name).name}.*(line|record) 1.*'{field}' is missing.*--data"):
        read_suite(suite, folder)


@pytest.mark.parametrize(
    ("suite", "change", "said"),
    [
        ("rewardbench", {"subset": "math-prn"}, "'subset' is 'math-prn'.*did you mean 'math-prm'"),
        ("rewardbench", {"chosen": 3}, "'chosen' must be text"),
        ("rewardbench2", {"chosen": ["a", "b"]}, "'num_correct' is 1, but 'chosen' holds 2"),
        ("rewardbench2", {"rejected": ["a"]}, "hold 1 and 1 responses"),
        ("rewardbench2", {"rejected": []}, "'rejected' is an empty list"),
        ("rewardbench2", {"subset": "Ties", "id": "9"}, "ref:NUMBER or tied:NUMBER"),
        ("rewardbench2", {"subset": "Ties", "id": "tied:9"}, "a tied prompt has several"),
        ("rm-bench", {"chosen": ["a", "b"]}, "'chosen' holds 2 responses"),
        ("rm-bench", {"domain": "poetry"}, "'domain' is 'poetry'"),
        ("judgebench", {"label": "A=B"}, "'label' is 'A=B'"),
        ("judgebench", {"source": "trivia"}, "'source' is 'trivia'"),
        ("llmbar", {"label": 3}, "'label' is 3"),
    ],
)
def test_rows_that_the_suite_does_not_publish(
    suite: str, change: dict[str, Any], said: str, published: Published, write: Write, tmp_path: Path
) -> None:
    files = published[suite]()
    name = next(iter(files))
    files[name][0] |= change
    write(tmp_path, files)
    with pytest.raises(DataError, match=said):
        read_suite(SUITES[suite], tmp_path)


def test_the_right_response_comes_first(
    published: Published, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, first in (("judgebench", ["Second.", "First.", "Second.", "First."]), ("llmbar", ["No."] * 5)):
        suite = SUITES[name]
        monkeypatch.setattr(type(suite), "rows", dict.fromkeys(suite.rows, 1))
        write(tmp_path / name, published[name]())
        assert [i.preference.responses[0] for i in read_suite(suite, tmp_path / name)] == first


def test_parquet_shards_are_joined(published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = SUITES["rewardbench2"]
    monkeypatch.setattr(type(suite), "rows", {name: 1 + (name == "Ties") for name in suite.rows})
    (rows,) = published["rewardbench2"]().values()
    for k, part in enumerate((rows[:3], rows[3:])):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), tmp_path / f"test-0000{k}-of-00002.parquet")
    assert [i.id for i in read_suite(suite, tmp_path)] == [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("suite", "names"),
    [
        ("rewardbench", ["data/filtered-00000-of-00001.parquet"]),
        ("rm-bench", ["total_dataset.json"]),
        ("rm-bench", ["data/chat_filtered.json", "data/safety-refuse_filtered.json"]),
        ("judgebench", ["data/gpt-00000-of-00001.jsonl"]),
        ("llmbar", ["Adversarial/Manual/dataset.json", "Natural/dataset.json"]),
    ],
)
def test_files_go_by_their_published_names(suite: str, names: list[str], tmp_path: Path) -> None:
    """As the hub and the repositories have them, among others that are not the suite's."""
    others = ("data/raw-00000-of-00001.parquet", "data/claude-00000-of-00001.jsonl", "CaseStudy/Base_9/dataset.json")
    for name in (*names, *others, "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert suite_files(SUITES[suite], tmp_path) == [tmp_path / name for name in names]


def test_one_file_may_be_named(small: Small) -> None:
    suite, folder, files = small
    if len(files) == 1:
        assert read_suite(suite, folder / next(iter(files)))


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file of RM-Bench.*total_dataset.json.*github.com/THU-KEG/RM-Bench"):
        read_suite(SUITES["rm-bench"], tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read_suite(SUITES["rm-bench"], tmp_path / "nowhere")


def test_without_a_network_the_folder_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"allenai/reward-bench cannot be read.*--data"):
        read_suite(SUITES["rewardbench"], None)
    with pytest.raises(DataError, match=r"LLMBar is not on the hub.*--data"):
        read_suite(SUITES["llmbar"], None)


def test_an_unknown_suite_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'rm-bench'"):
        suite_named("rm_bench")
    with pytest.raises(UserError, match="ppe cannot be scored yet"):
        suite_named("ppe")
    assert suite_named("rm-bench") is SUITES["rm-bench"]


def test_published_sizes() -> None:
    sizes = {name: sum(suite.rows.values()) for name, suite in SUITES.items()}
    assert sizes == {"rewardbench": 2985, "rewardbench2": 1865, "rm-bench": 1327, "judgebench": 350, "llmbar": 419}
    for suite in SUITES.values():
        assert [name for subsets in suite.sections.values() for name in subsets] == list(suite.rows)
