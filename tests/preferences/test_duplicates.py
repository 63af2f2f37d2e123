"""Near duplicates against the slow comparison of all pairs."""

from __future__ import annotations

import time

import numpy as np

from rewardsmith.preferences.duplicates import near_duplicates


def runs(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    width = min(5, len(words))
    return {tuple(words[k : k + width]) for k in range(len(words) - width + 1)}


def jaccard(a: str, b: str) -> float:
    return len(runs(a) & runs(b)) / len(runs(a) | runs(b))


def made_texts(count: int) -> list[str]:
    """Random texts of 60 words, every third one a copy of an earlier one with some words changed."""
    rng = np.random.default_rng(1)
    texts: list[list[str]] = []
    for k in range(count):
        words = [f"w{n}" for n in rng.integers(0, 300, 60)]
        if k % 3 == 2:
            words = list(texts[k - 2])
            for _ in range(int(rng.integers(0, 6))):
                words[int(rng.integers(0, 60))] = "changed"
        texts.append(words)
    return [" ".join(words) for words in texts]


def test_agrees_with_comparing_all_pairs():
    texts = made_texts(150)
    found = {later for later, _ in near_duplicates(texts, 0.6)}
    truth = {j for j in range(150) for i in range(j) if jaccard(texts[i], texts[j]) >= 0.6}
    assert all(jaccard(texts[a], texts[b]) >= 0.6 for a, b in near_duplicates(texts, 0.6))
    # 16 bands of 4 rows miss (1 - 0.6**4)**16 = 11 % of pairs right at the threshold, and 0.1 % at 0.8
    assert len(found & truth) >= 0.9 * len(truth) > 10
    sure = {j for j in range(150) for i in range(j) if jaccard(texts[i], texts[j]) >= 0.8}
    assert sure <= found


def test_short_and_empty_texts():
    assert near_duplicates(["", "a", "a", "b", ""], 0.8) == [(2, 1), (4, 0)]
    assert near_duplicates([], 0.8) == []


def test_many_copies_do_not_cost_their_square():
    texts = ["the very same text of a few words"] * 5000
    start = time.perf_counter()
    assert len(near_duplicates(texts, 0.8)) == 4999
    assert time.perf_counter() - start < 10
