"""Shared beginnings: those that save enough, nested, never a whole prompt."""

from __future__ import annotations

import random

from rewardsmith.collection.generation.prefixes import shared_beginnings


def test_a_system_prompt_is_shared_at_two_levels() -> None:
    system = tuple(range(80))
    queries = [(*system, 100 + q, *range(300, 330), 400 + s) for q in range(3) for s in range(12)]
    lengths = shared_beginnings(queries)
    assert lengths == [(80, 111)] * len(queries)


def test_what_saves_little_is_not_shared() -> None:
    assert shared_beginnings([]) == []
    assert shared_beginnings([(1, 2, 3)]) == [()]
    assert shared_beginnings([(1, 2, 3, 4), (1, 2, 3, 5), (9,)]) == [(), (), ()]


def test_equal_prompts_keep_a_token_to_go_on_from() -> None:
    prompt = tuple(range(100))
    assert shared_beginnings([prompt] * 5) == [(99,)] * 5
    assert shared_beginnings([prompt] * 5 + [prompt[:90]]) == [(89,)] * 6


def test_beginnings_are_truly_shared() -> None:
    draw = random.Random(0)
    base = tuple(draw.choices(range(3), k=150))
    prompts = [base[: draw.randint(0, 149)] + tuple(draw.choices(range(3), k=draw.randint(1, 9))) for _ in range(200)]
    shared = shared_beginnings(prompts)
    assert any(len(lengths) > 1 for lengths in shared)
    for prompt, lengths in zip(prompts, shared, strict=True):
        assert list(lengths) == sorted(set(lengths))
        assert all(0 < n < len(prompt) for n in lengths)
        assert all(sum(other[:n] == prompt[:n] for other in prompts) > 1 for n in lengths)
