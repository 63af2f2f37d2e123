"""Finds texts that are nearly the same, in close to linear time.

Each text becomes the set of its hashed word 5-grams; MinHash signatures in bands propose candidates (Broder 1997), and
the Jaccard similarity of the sets, or of their 256 smallest hashes when they are larger, decides.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
SHINGLE_WORDS = 5
BANDS, ROWS = 16, 4
SKETCH = 256
_MIX = np.uint64(0x9E3779B97F4A7C15)


def near_duplicates(texts: Sequence[str], threshold: float) -> list[tuple[int, int]]:
    """Positions (later, earlier) of each text whose similarity to an earlier one is at least `threshold`.

    Each later text is named once. A text is compared with the first of every band bucket it falls in, so that a
    thousand copies cost a thousand comparisons.
    """
    sketches: list[Hashes] = []
    buckets: dict[tuple[int, bytes], int] = {}
    found = []
    salts = np.random.default_rng(0).integers(1, 2**63, size=BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
    for position, text in enumerate(texts):
        sketch = np.unique(_shingles(text))
        signature = _mixed(sketch[None, :] * salts[:, None]).min(axis=1).reshape(BANDS, ROWS)
        sketches.append(sketch[:SKETCH])
        firsts = {buckets.setdefault((band, signature[band].tobytes()), position) for band in range(BANDS)}
        for first in sorted(firsts - {position}):
            if similarity(sketches[first], sketches[position]) >= threshold:
                found.append((position, first))
                break
    return found


def similarity(a: Hashes, b: Hashes) -> float:
    """Jaccard similarity of two sorted sketches, judged on the smallest hashes of their union."""
    union = np.union1d(a, b)
    if max(len(a), len(b)) == SKETCH:
        union = union[:SKETCH]
    both = np.isin(union, a, assume_unique=True) & np.isin(union, b, assume_unique=True)
    return float(both.sum() / len(union))


def _shingles(text: str) -> Hashes:
    """Hashes of all runs of five words, lower case; a shorter text is one run."""
    words = np.array([zlib.crc32(word.encode()) for word in text.lower().split()] or [0], dtype=np.uint64)
    width = min(SHINGLE_WORDS, len(words))
    runs = np.zeros(len(words) - width + 1, dtype=np.uint64)
    for offset in range(width):
        runs = _mixed(runs + words[offset : offset + len(runs)])
    return runs


def _mixed(values: Hashes) -> Hashes:
    """Spreads the bits of each value over all 64 (multiplication wraps on purpose)."""
    values = values * _MIX
    return values ^ (values >> np.uint64(32))
