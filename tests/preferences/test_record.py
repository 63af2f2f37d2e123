"""The record: what it refuses, which pairs it ranks, what makes two prompts the same."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rewardsmith.preferences.record import Message, Preference, content_hash, response_messages, response_text


def test_pairs_are_those_with_differing_score_and_text(make):
    record = make("q", "a", "b", "a", "c", scores=[1.0, 0.0, 0.0, 0.0])
    assert record.pairs() == [(0, 1), (0, 3)]
    assert make("q", "a", "b", scores=[0.5, 0.5]).pairs() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"scores": [1.0]},
        {"scores": [1.0, float("nan")]},
        {"responses": ["only one"], "scores": [1.0]},
        {"prompt": []},
        {"response_names": ["a"]},
        {"surprise": 1},
    ],
)
def test_refuses_what_does_not_fit_together(wrong):
    fields = {"id": "1", "prompt": [{"role": "user", "content": "q"}], "responses": ["a", "b"], "scores": [1.0, 0.0]}
    with pytest.raises(ValidationError):
        Preference.model_validate({**fields, **wrong})


def test_prompt_key_is_the_normalised_first_user_turn():
    turns = [Message(role="system", content="S"), Message(role="user", content="  Why\n IS it? ")]
    record = Preference(id="1", prompt=turns, responses=["a", "b"], scores=[1.0, 0.0])
    assert record.prompt_key() == "why is it?"


def test_forked_response_as_text_and_messages():
    forked = [Message(role="assistant", content="a"), Message(role="user", content="b")]
    assert response_text(forked) == "a\nb"
    assert response_messages(forked) == forked
    assert response_messages("a") == [Message(role="assistant", content="a")]


def test_content_hash_depends_on_content_alone():
    message = Message(role="user", content="ü")
    assert content_hash({"b": 1, "a": [message]}) == content_hash({"a": [message], "b": 1})
    assert content_hash("a", "b") != content_hash("ab", "")
    assert len(content_hash("x")) == 16
