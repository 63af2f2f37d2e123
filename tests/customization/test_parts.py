"""Who sees what: no prompt in two parts, none of the training prompts where something is proved."""

from __future__ import annotations

import pytest

from rewardsmith.customization.parts import CERTIFY, CHOOSE, TEST, TRAIN, split_parts
from rewardsmith.errors import DataError
from rewardsmith.preferences.record import Message, Preference, content_hash
from rewardsmith.preferences.splitting import split_preferences


def pairs(name: str, count: int, **fields: object) -> list[Preference]:
    return [
        Preference.model_validate(
            {
                "id": f"{name}{k}",
                "prompt": [Message(role="user", content=f"{name} {k}")],
                "responses": ["a", "b"],
                "scores": [1.0, 0.0],
            }
            | fields
        )
        for k in range(count)
    ]


def test_every_preference_is_in_one_part() -> None:
    custom, general = pairs("c", 80), pairs("g", 400)
    parts = split_parts(custom, {"g": general}, None)
    assert sorted(p.id for part in parts.custom.values() for p in part) == sorted(p.id for p in custom)
    assert sorted(p.id for part in parts.general["g"].values() for p in part) == sorted(p.id for p in general)
    assert set(parts.custom) == {TRAIN, CHOOSE, TEST} and set(parts.general["g"]) == {TRAIN, CHOOSE, CERTIFY, TEST}
    assert any("does not say what it was trained on" in note for note in parts.notes)


def test_what_the_model_was_trained_on_only_trains() -> None:
    """Also where its own training part was drawn by the same hash."""
    general = pairs("g", 400)
    trained = split_preferences(general, {"train": 0.6, "rest": 0.4})["train"]
    parts = split_parts(pairs("c", 80), {"g": general}, [content_hash(p.prompt_key()) for p in trained])
    split = parts.general["g"]
    assert {p.id for p in split[TRAIN]} == {p.id for p in trained}
    unseen = len(general) - len(trained)
    assert len(split[CERTIFY]) == pytest.approx(0.6 * unseen, rel=0.2)
    assert not any("does not say" in note for note in parts.notes)


def test_shared_prompts_are_left_out_of_the_general_set_and_counted() -> None:
    custom = pairs("g", 60)
    parts = split_parts(custom, {"g": pairs("g", 400)}, None)
    general = {p.prompt_key() for part in parts.general["g"].values() for p in part}
    assert not general & {p.prompt_key() for p in custom}
    assert "g: 60 preferences left out, the custom set has their prompts" in parts.notes


def test_what_cannot_be_used_is_refused() -> None:
    custom = pairs("c", 80)
    with pytest.raises(DataError, match=r"g: none of 50 preferences ranks anything \(all are ties"):
        split_parts(custom, {"g": pairs("g", 50, scores=[1.0, 1.0])}, None)
    with pytest.raises(DataError, match="the custom preferences: none of 0"):
        split_parts([], {"g": pairs("g", 50)}, None)
    with pytest.raises(DataError, match=r"g: each of its .* has a prompt of the custom preferences"):
        split_parts(custom, {"g": pairs("c", 50)}, None)
    with pytest.raises(DataError, match=r"leave none to choose with \(40 stand on prompts"):
        general = pairs("g", 40)
        split_parts(custom, {"g": general}, [content_hash(p.prompt_key()) for p in general])
    with pytest.raises(DataError, match="a general set is called 'custom'"):
        split_parts(custom, {"custom": pairs("g", 50)}, None)
