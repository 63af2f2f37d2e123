"""One contract for every format: a literal row of its published schema is detected as it and read as it should be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from rewardsmith.errors import DataError
from rewardsmith.preferences.formats import FORMATS, detect, format_named
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Message


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def answer(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


@dataclass
class Case:
    """A row, the format it belongs to, and what its (first) record must hold."""

    format: str
    row: dict[str, Any]
    prompt: list[dict[str, str]]
    responses: list[Any]
    scores: list[float]
    others: dict[str, Any] = field(default_factory=dict)
    broken: str = ""
    """A field without which the row is bad."""


TURNS = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How?\n\nAssistant:"
HH_PROMPT = [user("Hi"), answer("Hello"), user("How?")]
CASES = {
    "own": Case(
        "rewardsmith",
        {"id": "7", "prompt": [user("q")], "responses": ["a", [answer("b"), user("c"), answer("d")]]}
        | {"scores": [1, 0.5], "domain": "academy", "annotator": "ann", "source": "dsp", "margin": 0.5}
        | {"response_names": ["x", "y"], "metadata": {"k": [1]}},
        [user("q")],
        ["a", [answer("b"), user("c"), answer("d")]],
        [1.0, 0.5],
        {"id": "7", "domain": "academy", "annotator": "ann", "source": "dsp", "margin": 0.5}
        | {"response_names": ["x", "y"], "metadata": {"k": [1]}},
        broken="scores",
    ),
    "dsp": Case(
        "dsp",
        {"query": "q", "responses": {"academy": "a", "business": "b", "normal": "n"}},
        [user("q")],
        ["a", "b", "n"],
        [1.0, 0.0, 0.0],
        {"domain": "academy", "response_names": ["academy", "business", "normal"], "source": "dsp"},
        broken="query",
    ),
    "text-score, HH marks": Case(
        "dsp-text-score",
        {"text": [f"{TURNS} Fine", f"{TURNS} Bad"], "score": [1.0, 0.0]},
        HH_PROMPT,
        ["Fine", "Bad"],
        [1.0, 0.0],
        broken="score",
    ),
    "text-score, hashed marks, three texts": Case(
        "dsp-text-score",
        {
            "text": [f"## Human:\nWhy?\n\nReally\n\n## Assistant:\n{r}" for r in ("x", "y", "x\n\nz")],
            "score": [1, 1, 0],
        },
        [user("Why?\n\nReally")],
        ["x", "y", "x\n\nz"],
        [1.0, 1.0, 0.0],
        broken="text",
    ),
    "text-score, forked before the last turn": Case(
        "dsp-text-score",
        {"text": ["\n\nHuman: q\n\nAssistant: a", "\n\nHuman: q\n\nAssistant: b\n\nHuman: c\n\nAssistant: d"]}
        | {"score": [0.0, 1.0]},
        [user("q")],
        ["a", [answer("b"), user("c"), answer("d")]],
        [0.0, 1.0],
        broken="score",
    ),
    "trl explicit": Case(
        "trl", {"prompt": "q", "chosen": "a", "rejected": "b"}, [user("q")], ["a", "b"], [1, 0], {}, "chosen"
    ),
    "trl explicit, margin": Case(
        "trl",
        {"prompt": "q", "chosen": "a", "rejected": "b", "margin": 2},
        [user("q")],
        ["a", "b"],
        [1.0, 0.0],
        {"margin": 2.0},
        "rejected",
    ),
    "trl explicit, prompt a transcript": Case(
        "trl",
        {"prompt": TURNS, "chosen": " Fine", "rejected": " Bad"},
        HH_PROMPT,
        ["Fine", "Bad"],
        [1.0, 0.0],
        {},
        "chosen",
    ),
    "trl implicit": Case(
        "trl",
        {"chosen": "The sky is blue.", "rejected": "The sky is black."},
        [user("The sky is")],
        [" blue.", " black."],
        [1.0, 0.0],
        broken="chosen",
    ),
    "trl conversational explicit": Case(
        "trl",
        {"prompt": [user("q")], "chosen": [answer("a")], "rejected": [answer("b"), user("c"), answer("d")]},
        [user("q")],
        ["a", [answer("b"), user("c"), answer("d")]],
        [1.0, 0.0],
        broken="rejected",
    ),
    "trl conversational implicit": Case(
        "trl",
        {"chosen": [user("q"), answer("a")], "rejected": [user("q"), answer("b")]},
        [user("q")],
        ["a", "b"],
        [1.0, 0.0],
        broken="chosen",
    ),
    "hh-rlhf": Case(
        "hh-rlhf",
        {"chosen": f"{TURNS} Fine", "rejected": f"{TURNS} "},
        HH_PROMPT,
        ["Fine", ""],
        [1.0, 0.0],
        {},
        "rejected",
    ),
    "webgpt": Case(
        "webgpt",
        {"question": {"dataset": "eli5", "id": "5", "full_text": "Why?"}, "answer_0": "a", "answer_1": "b"}
        | {"score_0": -0.5, "score_1": 0.5, "quotes_0": {"title": []}},
        [user("Why?")],
        ["a", "b"],
        [-0.5, 0.5],
        {"metadata": {"question": {"dataset": "eli5", "id": "5"}, "quotes_0": {"title": []}}},
        "score_1",
    ),
    "gpt4llm": Case(
        "gpt4llm",
        {
            "user_input": "q",
            "responses_and_scores": [
                {"response": "a", "source": "gpt4", "score": 9.0},
                {"response": "b", "source": "opt", "score": 2},
                {"response": "c", "source": "text-davinci-003", "score": 8},
            ],
        },
        [user("q")],
        ["a", "b", "c"],
        [9.0, 2.0, 8.0],
        {"response_names": ["gpt4", "opt", "text-davinci-003"]},
        "user_input",
    ),
    "gpt4llm, first version": Case(
        "gpt4llm",
        {"user_input": "q", "completion_a": "a", "completion_b": "b"},
        [user("q")],
        ["a", "b"],
        [1, 0],
        {},
        "completion_b",
    ),
    "ultrafeedback": Case(
        "ultrafeedback",
        {
            "source": "evol_instruct",
            "instruction": "q",
            "models": ["m1", "m2"],
            "completions": [
                {"model": "m1", "response": "a", "overall_score": 7.5, "annotations": {}},
                {"model": "m2", "response": "b", "overall_score": 7.0, "annotations": {}},
            ],
        },
        [user("q")],
        ["a", "b"],
        [7.5, 7.0],
        {"response_names": ["m1", "m2"], "metadata": {"source": "evol_instruct", "models": ["m1", "m2"]}},
        "instruction",
    ),
    "ultrafeedback, binarised": Case(
        "ultrafeedback-binarized",
        {"prompt": "q", "prompt_id": "p", "chosen": [user("q"), answer("a")], "rejected": [user("q"), answer("b")]}
        | {"messages": [user("q"), answer("a")], "score_chosen": 8.5, "score_rejected": 8.5},
        [user("q")],
        ["a", "b"],
        [8.5, 8.5],
        {"metadata": {"prompt_id": "p"}},
        "score_chosen",
    ),
    "helpsteer3": Case(
        "helpsteer3",
        {"domain": "code", "language": "python", "context": [user("q"), answer("r"), user("s")]}
        | {"response1": "a", "response2": "b", "overall_preference": -2, "individual_preference": [{"score": -2}]},
        [user("q"), answer("r"), user("s")],
        ["a", "b"],
        [2.0, 0.0],
        {"metadata": {"domain": "code", "language": "python", "individual_preference": [{"score": -2}]}},
        "overall_preference",
    ),
    "helpsteer2": Case(
        "helpsteer2",
        {"split": "train", "prompt": "q\n<extra_id_1>Assistant\nr\n<extra_id_1>User\ns", "response_1": "a"}
        | {"response_2": "b", "preference_strength": 1, "preference_statement": "2 is better"},
        [user("q"), answer("r"), user("s")],
        ["a", "b"],
        [0.0, 1.0],
        {"metadata": {"split": "train", "preference_statement": "2 is better"}},
        "preference_strength",
    ),
    "pku-saferlhf": Case(
        "pku-saferlhf",
        {"prompt": "q", "response_0": "a", "response_1": "b", "is_response_0_safe": True, "better_response_id": 1}
        | {"safer_response_id": 0},
        [user("q")],
        ["a", "b"],
        [0.0, 1.0],
        {"metadata": {"is_response_0_safe": True, "safer_response_id": 0}},
        "response_1",
    ),
    "pku-saferlhf by safety": Case(
        "pku-saferlhf-safer",
        {"prompt": "q", "response_0": "a", "response_1": "b", "safer_response_id": 0},
        [user("q")],
        ["a", "b"],
        [1.0, 0.0],
        broken="safer_response_id",
    ),
    "arena conversations": Case(
        "arena",
        {"question_id": "x", "model_a": "m", "model_b": "n", "winner": "tie (bothbad)", "judge": "arena_user_973"}
        | {"conversation_a": [user("q"), answer("a")], "conversation_b": [user("q"), answer("b")], "turn": 1},
        [user("q")],
        ["a", "b"],
        [0.0, 0.0],
        {
            "annotator": "arena_user_973",
            "response_names": ["m", "n"],
            "metadata": {"question_id": "x", "turn": 1, "winner": "tie (bothbad)"},
        },
        "winner",
    ),
    "arena, parts of text": Case(
        "arena",
        {
            "winner": "model_b",
            "conversation_a": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, answer("a")],
        }
        | {"conversation_b": [user("q"), answer("b")]},
        [user("q")],
        ["a", "b"],
        [0.0, 1.0],
        broken="conversation_b",
    ),
    "arena, contexts that differ": Case(
        "arena",
        {"user": "mt-1", "turn": 2, "context_a": [user("q"), answer("a1"), user("s")], "response_a": "a2"}
        | {"context_b": [user("q"), answer("b1"), user("s")], "response_b": "b2", "winner": "tie"},
        [user("q")],
        [[answer("a1"), user("s"), answer("a2")], [answer("b1"), user("s"), answer("b2")]],
        [1.0, 1.0],
        {"annotator": "mt-1"},
        "response_b",
    ),
    "arena, a table": Case(
        "arena",
        {"prompt": "q", "response_a": "a", "response_b": "b", "winner": "A"},
        [user("q")],
        ["a", "b"],
        [1, 0],
        {},
        "prompt",
    ),
    "rewardbench": Case(
        "rewardbench",
        {"prompt": "q", "chosen": "a", "chosen_model": "m", "rejected": "b", "rejected_model": "n"}
        | {"subset": "alpacaeval-easy", "id": 30},
        [user("q")],
        ["a", "b"],
        [1.0, 0.0],
        {"id": "30", "response_names": ["m", "n"], "metadata": {"subset": "alpacaeval-easy"}},
        "chosen",
    ),
    "llamafactory": Case(
        "llamafactory",
        {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}]}
        | {"chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}},
        [{"role": "system", "content": "s"}, user("q")],
        ["a", "b"],
        [1.0, 0.0],
        broken="rejected",
    ),
    "llamafactory-alpaca": Case(
        "llamafactory-alpaca",
        {"instruction": "q", "input": "x", "chosen": "a", "rejected": "b", "system": "s", "history": [["h", "i"]]},
        [{"role": "system", "content": "s"}, user("h"), answer("i"), user("q\nx")],
        ["a", "b"],
        [1.0, 0.0],
        broken="chosen",
    ),
    "people's own pairs": Case(
        "personal-pairs",
        {"user": "prism-1", "profile": "P", "prompt": "q", "chosen": "a", "rejected": "b"},
        [user("q")],
        ["a", "b"],
        [1.0, 0.0],
        {"annotator": "prism-1", "metadata": {"profile": "P"}, "source": "personal-pairs"},
        "rejected",
    ),
    "pairs": Case(
        "pairs",
        {"prompt": "q", "chosen": "a", "rejected": "b", "type": "homonyms", "domain": "law"},
        [user("q")],
        ["a", "b"],
        [1.0, 0.0],
        {"domain": "law", "metadata": {"type": "homonyms"}},
        "rejected",
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def test_every_format_has_a_case():
    assert {case.format for case in CASES.values()} == set(FORMATS)


@each_case
def test_detects_and_reads_its_published_row(case, jsonl):
    loaded = load_preferences(jsonl(case.row))
    assert loaded.format == case.format
    assert loaded.reason
    record = loaded.preferences[0]
    dumped = record.model_dump()
    assert dumped["prompt"] == case.prompt
    assert dumped["responses"] == case.responses
    assert dumped["scores"] == case.scores
    assert {name: dumped[name] for name in case.others} == case.others


@each_case
def test_a_row_without_a_field_is_refused_with_line_and_field(case, jsonl):
    bad = {name: value for name, value in case.row.items() if name != case.broken}
    path = jsonl(case.row, case.row, bad)
    with pytest.raises(
        DataError, match=rf"pairs\.jsonl, line 3: '{case.broken}.*or read with --on-error skip"
    ) as caught:
        load_preferences(path)
    assert "\n" not in str(caught.value)
    loaded = load_preferences(path, on_error="skip")
    assert loaded.counts.dropped == 1
    assert loaded.dropped[0].place == "line 3"


@each_case
def test_identical_rows_get_different_ids_and_order_does_not_matter(case, jsonl):
    other = json.loads(
        json.dumps(case.row)
        .replace('"q"', '"q!"')
        .replace('"q\\n', '"q!\\n')
        .replace("The sky", "A sky")
        .replace("Why?", "Who?")
        .replace("Hi", "Ho")
    )
    first = [p.id for p in load_preferences(jsonl(case.row, case.row, other, name="a.jsonl"))]
    again = [p.id for p in load_preferences(jsonl(other, case.row, case.row, name="b.jsonl"))]
    assert len(set(first)) == len(first)
    assert set(first) == set(again)
    assert first[len(first) // 3] == f"{first[0]}-2"


@each_case
def test_an_explicit_format_overrides_detection(case, jsonl):
    loaded = load_preferences(jsonl(case.row), format=case.format)
    assert (loaded.format, loaded.reason) == (case.format, "chosen by name")


def test_dsp_gives_one_record_for_each_domain_but_normal(jsonl):
    records = load_preferences(jsonl(CASES["dsp"].row)).preferences
    assert [(r.domain, r.scores) for r in records] == [("academy", [1.0, 0.0, 0.0]), ("business", [0.0, 1.0, 0.0])]
    assert len({record.id.removesuffix(record.domain) for record in records}) == 1
    only = load_preferences(jsonl(CASES["dsp"].row), domain="business").preferences
    assert only == records[1:]


def test_text_before_the_first_turn_is_a_system_message():
    texts = ["Be kind.\n\nHuman: q\n\nAssistant: a", "Be kind.\n\nHuman: q\n\nAssistant: b"]
    record = format_named("dsp-text-score").parse({"text": texts, "score": [1, 0]})[0]
    assert record.prompt == [Message(role="system", content="Be kind."), Message(role="user", content="q")]


def test_several_readings_are_refused_with_the_choices():
    row = CASES["webgpt"].row | CASES["pku-saferlhf"].row
    with pytest.raises(DataError, match=r"x\.json: could be read in several ways: webgpt .*pku-saferlhf .*--format"):
        detect([row], "x.json")


def test_an_unknown_format_names_the_nearest(jsonl):
    with pytest.raises(
        DataError, match=r"no format 'helpsteer4' \(did you mean 'helpsteer3'\?\); known are rewardsmith"
    ):
        load_preferences(jsonl({"prompt": "q"}), format="helpsteer4")


def test_unknown_columns_are_told_with_the_nearest_format():
    with pytest.raises(DataError, match=r"fields: prompt, chosen\. Nearest is 'trl', but 'rejected' is missing"):
        detect([{"prompt": "q", "chosen": "a"}], "x.json")
    with pytest.raises(DataError, match=r"fields: foo\. Rename the columns"):
        detect([{"foo": 1}], "x.json")
