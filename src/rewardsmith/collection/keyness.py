"""The words that tell one domain's answers from the others': log-likelihood keyness (Dunning 1993) and log ratio
(Hardie 2014). Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

FEWEST = 5
"""A word used less often in a domain is not looked at."""


class KeyWord(BaseModel):
    """A word that a domain uses more than the others do."""

    model_config = ConfigDict(frozen=True)

    word: str
    count: int
    log_likelihood: float
    """G² of its 2 x 2 table; above 15.13 p is below 0.0001."""
    log_ratio: float
    """log2 of the ratio of its relative frequencies, half an occurrence added on both sides."""


def keywords(texts: Mapping[str, Sequence[str]], most: int = 12) -> dict[str, list[KeyWord]]:
    """For each domain its most telling words against all other domains together, the most telling first."""
    counts = {name: Counter(w for text in found for w in words_of(text)) for name, found in texts.items()}
    everything: Counter[str] = sum(counts.values(), Counter())
    n_all = everything.total()
    found = {}
    for name, own in counts.items():
        n_own, n_rest = own.total(), n_all - own.total()
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
    """G² = 2 Σ O ln(O / E) over a word's table: a of n_a words here, b of n_b there (Dunning 1993)."""
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
