"""Queries out of every kind of file, and which of them are asked."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.collection.choosing import choose_queries, k_centre, load_unwanted
from rewardsmith.collection.queries import Query, load_queries
from rewardsmith.errors import DataError
from rewardsmith.preferences.record import Message


def texts(source: object) -> list[str]:
    return [query.text for query in load_queries(str(source)).queries]


def query(text: str) -> Query:
    return Query(text, (Message(role="user", content=text),))


def test_one_query_a_line(tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_text("\ufeffWhy?\n\n  How so?  \nwhy?\n")
    found = load_queries(str(file))
    assert [q.text for q in found.queries] == ["Why?", "How so?"] and found.repeated == 1


@pytest.mark.parametrize("column", ["query", "prompt", "question", "instruction", "text"])
def test_rows_with_a_column(tmp_path: Path, column: str) -> None:
    jsonl, csv = tmp_path / "q.jsonl", tmp_path / "q.csv"
    jsonl.write_text("".join(json.dumps({column: t, "id": i, "more": 1}) + "\n" for i, t in enumerate(["A?", "B?"])))
    csv.write_text(f'id,{column}\n0,"A?"\n1,"B?"\n')
    assert texts(jsonl) == texts(csv) == ["A?", "B?"]
    csv.write_text(f'id;{column}\n0;A?\n1;"B?"\n')
    assert texts(csv) == ["A?", "B?"]
    assert [q.id for q in load_queries(str(jsonl)).queries] == ["0", "1"]


def test_prompts_of_preference_files(tmp_path: Path) -> None:
    assert len(texts("sample:domains")) == 120
    rows = [
        {
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "A?"}],
            "chosen": "x",
            "rejected": "y",
        },
        {"prompt": "B?", "chosen": "x", "rejected": "y"},
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    found = load_queries(str(file)).queries
    assert [q.text for q in found] == ["A?", "B?"]
    assert all(m.role != "system" for q in found for m in q.prompt)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.txt", " \n\n", "holds no queries"),
        ("q.jsonl", "", "empty"),
        ("q.jsonl", '{"query": "A?", "id": 1}\n{"query": "B?", "id": 1}\n', "the id '1' stands for two"),
        ("q.jsonl", '{"query": "A?"}\n{"query": ""}\n', "line 2"),
        ("q.jsonl", '{"query": "A?"}\n{"query": \n', "line 2"),
        ("q.jsonl", '{"query": "half \\ud800 of it"}\n', "half a surrogate pair, after 'half '"),
        ("q.csv", "id,query\n1\n", "line 2"),
    ],
)
def test_bad_files_are_refused_with_their_place(tmp_path: Path, name: str, content: str, said: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(DataError, match=said) as error:
        load_queries(str(file))
    assert error.value.exit_code == 2 and str(file) in str(error.value)


@given(st.text(min_size=1, max_size=200).filter(str.strip))
@settings(max_examples=50)
def test_a_query_is_data(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("q") / "q.jsonl"
    file.write_text(json.dumps({"query": text}))
    assert texts(file) == [text.strip()]


def test_choosing(tmp_path: Path) -> None:
    file = tmp_path / "unwanted.txt"
    file.write_text("# words we do not ask about\nbomb|weapon\n")
    base = "How do I keep a loaf of bread fresh for a whole week in a hot kitchen"
    asked = [query(t) for t in (base, base + "?", "How is a BOMB made?", "What is rain?", "What is snow?")]
    choice = choose_queries(asked, unwanted=load_unwanted(file))
    assert [q.text for q in choice.queries] == [base, "What is rain?", "What is snow?"]
    assert choice.left_out == {"unwanted": 1, "nearly the same as another": 1}
    assert len(choose_queries(asked, near=True).queries) == 5
    with pytest.raises(DataError, match="none of 1"):
        choose_queries(asked[2:3], unwanted=load_unwanted(file))
    file.write_text("ok\n(\n")
    with pytest.raises(DataError, match="line 2"):
        load_unwanted(file)


def test_k_centre_covers_every_group() -> None:
    """Farthest-first takes one of each of five groups, whichever words they share within; and every text is as near to
    a centre as the traversal's bound says: not farther than twice the best of many random choices."""
    words = [[f"w{g}{k}" for k in range(6)] for g in range(5)]
    rng = random.Random(0)
    found = [" ".join(rng.sample(words[g], 4)) for g in range(5) for _ in range(8)]
    chosen = k_centre(found, 5)
    assert {k // 8 for k in chosen} == set(range(5))
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = TfidfVectorizer(sublinear_tf=True).fit_transform(found).toarray()
    distance = 1 - rows @ rows.T
    radius = lambda centres: float(np.max(np.min(distance[:, list(centres)], axis=1)))  # noqa: E731
    best = min(radius(rng.sample(range(len(found)), 5)) for _ in range(300))
    assert radius(chosen) <= 2 * best + 1e-9
