"""Bad rows one by one: each is refused with line, field and reason."""

from __future__ import annotations

import pytest

from rewardsmith.errors import DataError
from rewardsmith.preferences.reading import load_preferences

TURNS = "\n\nHuman: Hi\n\nAssistant: Hello"


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def answer(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


BAD_ROWS = {
    "one text": ("dsp-text-score", {"text": ["\n\nHuman: q\n\nAssistant: a"], "score": [1]}, "'text' has 1 entries"),
    "no transcript": ("dsp-text-score", {"text": ["q", "r"], "score": [1, 0]}, "'text' is no transcript"),
    "fewer scores": ("dsp-text-score", {"text": [TURNS, TURNS], "score": [1]}, "'score' has 1 entries for 2 texts"),
    "score as text": (
        "dsp-text-score",
        {"text": [TURNS, TURNS], "score": [1, "0"]},
        "'score' must be a number, found text",
    ),
    "score is NaN": (
        "dsp-text-score",
        {"text": [TURNS, TURNS], "score": [1, float("nan")]},
        "'score' must be a finite",
    ),
    "score is true": ("dsp-text-score", {"text": [TURNS, TURNS], "score": [1, True]}, "found true or false"),
    "score is huge": ("dsp-text-score", {"text": [TURNS, TURNS], "score": [1, 10**400]}, "fits a double"),
    "ends with human": (
        "dsp-text-score",
        {"text": [TURNS, "\n\nHuman: Hi\n\nAssistant: x\n\nHuman: y"], "score": [1, 0]},
        "dialogue 2 does not end with the assistant's turn",
    ),
    "nothing shared": (
        "dsp-text-score",
        {"text": ["\n\nHuman: a\n\nAssistant: x", "\n\nHuman: b\n\nAssistant: x"], "score": [1, 0]},
        "share no first turn",
    ),
    "only normal": ("dsp", {"query": "q", "responses": {"normal": "a"}}, "names no domain besides 'normal'"),
    "one domain": ("dsp", {"query": "q", "responses": {"academy": "a"}}, "'responses' number 1"),
    "domain's text a number": (
        "dsp",
        {"query": "q", "responses": {"academy": 5, "b": "c"}},
        "'responses.academy' must be text",
    ),
    "empty prompt": ("trl", {"prompt": " ", "chosen": "a", "rejected": "b"}, "'prompt' is empty"),
    "null": ("trl", {"prompt": "q", "chosen": None, "rejected": "b"}, "'chosen' is null"),
    "mixed types": ("trl", {"prompt": "q", "chosen": "a", "rejected": [answer("b")]}, "must have the same type"),
    "chosen is a number": (
        "trl",
        {"prompt": "q", "chosen": 5, "rejected": "b"},
        "'chosen' must be text, found a number",
    ),
    "margin as text": (
        "trl",
        {"prompt": "q", "chosen": "a", "rejected": "b", "margin": "1"},
        "'margin' must be a number",
    ),
    "half a surrogate": ("trl", {"prompt": "q", "chosen": "\ud800", "rejected": "b"}, "half of a surrogate pair"),
    "no prefix": ("trl", {"chosen": "abc", "rejected": "xyz"}, "share no beginning"),
    "unknown role": (
        "trl",
        {"chosen": [{"role": "bot", "content": "x"}], "rejected": [answer("b")]},
        "has the role 'bot'",
    ),
    "content null": (
        "trl",
        {"chosen": [{"role": "user", "content": None}], "rejected": [answer("b")]},
        "has null as its",
    ),
    "an image": (
        "arena",
        {"winner": "tie", "conversation_a": [{"role": "user", "content": [{"type": "image"}]}], "conversation_b": []},
        "something other than text",
    ),
    "unknown winner": (
        "arena",
        {"prompt": "q", "response_a": "a", "response_b": "b", "winner": "c"},
        "'winner' is 'c'",
    ),
    "better is 2": (
        "pku-saferlhf",
        {"prompt": "q", "response_0": "a", "response_1": "b", "better_response_id": 2},
        "0 or 1",
    ),
    "contradiction": (
        "ultrafeedback-binarized",
        {
            "chosen": [user("q"), answer("a")],
            "rejected": [user("q"), answer("b")],
            "score_chosen": 1,
            "score_rejected": 2,
        },
        "contradicts",
    ),
    "rating missing": (
        "gpt4llm",
        {"user_input": "q", "responses_and_scores": [{"response": "a"}, {"response": "b", "score": 1}]},
        r"responses_and_scores\[0\]\.score' is missing",
    ),
    "one response": ("rewardsmith", {"prompt": [user("q")], "responses": ["a"], "scores": [1]}, "'responses' number 1"),
    "scores too few": (
        "rewardsmith",
        {"prompt": [user("q")], "responses": ["a", "b"], "scores": [1]},
        "2 responses but 1",
    ),
    "metadata torn": (
        "rewardsmith",
        {"prompt": [user("q")], "responses": ["a", "b"], "scores": [1, 0], "metadata": "{"},
        "'metadata' holds text that is not valid JSON",
    ),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_refused_with_field_and_reason(name, jsonl):
    chosen, row, reason = BAD_ROWS[name]
    with pytest.raises(DataError, match=reason) as caught:
        load_preferences(jsonl(row), format=chosen)
    assert "pairs.jsonl, line 1: '" in str(caught.value)
