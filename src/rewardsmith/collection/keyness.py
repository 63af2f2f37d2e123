"""The words that tell one domain's answers from the others': log-likelihood keyness (Dunning 1993) and log ratio
(Hardie 2014). Pure.

What is counted is answers that use a word, not its occurrences: one answer that says a word thirty times tells nothing
of its domain.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

FEWEST = 5
"""A word in fewer answers of a domain is not looked at."""


class KeyWord(BaseModel):
    """A word that a domain uses more than the others do."""

    model_config = ConfigDict(frozen=True)

    word: str
    count: int
    """Answers of the domain that use it."""
    log_likelihood: float
    """G² of its 2 x 2 table; above 15.13 p is below 0.0001."""
    log_ratio: float
    """log2 of the ratio of the shares of answers that use it, half an answer added on both sides."""


def keywords(texts: Mapping[str, Sequence[str]], most: int = 12) -> dict[str, list[KeyWord]]:
    """For each domain its most telling words against all other domains together, the most telling first."""
    counts = {name: Counter(w for text in found for w in set(words_of(text))) for name, found in texts.items()}
    everything: Counter[str] = sum(counts.values(), Counter())
    n_all = sum(map(len, texts.values()))
    found = {}
    for name, own in counts.items():
        n_own, n_rest = len(texts[name]), n_all - len(texts[name])
        words = [
            KeyWord(
                word=word,
                count=count,
                log_likelihood=log_likelihood(count, everything[word] - count, n_own, n_rest),
                log_ratio=math.log2(((count + 0.5) / n_own) / ((everything[word] - count + 0.5) / n_rest)),
            )
            for word, count in own.items()
            if count >= FEWEST and n_rest
        ]
        words = [w for w in words if w.log_ratio > 0]
        found[name] = sorted(words, key=lambda w: (-w.log_likelihood, w.word))[:most]
    return found


def log_likelihood(a: int, b: int, n_a: int, n_b: int) -> float:
    """G² = 2 Σ O ln(O / E) over a word's table: in a of n_a answers here, in b of n_b there (Dunning 1993)."""
    total, n = a + b, n_a + n_b
    cells = (
        (a, n_a * total / n),
        (b, n_b * total / n),
        (n_a - a, n_a * (n - total) / n),
        (n_b - b, n_b * (n - total) / n),
    )
    return 2.0 * sum(o * math.log(o / e) for o, e in cells if o and e)


def words_of(text: str) -> list[str]:
    """Words in lower case, apostrophes kept."""
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text.lower())
