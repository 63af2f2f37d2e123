"""Which queries are worth asking: near-duplicates and unwanted ones out, and the most diverse of the rest.

Pure, but for the user's filter file. It knows nothing of domains or servers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rewardsmith.collection.queries import Query
from rewardsmith.errors import DataError
from rewardsmith.preferences.duplicates import near_duplicates

SIMILARITY = 0.8
"""Jaccard similarity of word 5-grams from which on two queries are nearly the same."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The queries to ask, in their order, and how many were left out for which reason."""

    queries: list[Query]
    left_out: dict[str, int]


def choose_queries(
    queries: Sequence[Query], *, unwanted: Sequence[re.Pattern[str]] = (), near: bool = False, most: int | None = None
) -> Choice:
    """Leaves out what matches an `unwanted` pattern, near-duplicates unless `near` keeps them, and all but the `most`
    diverse.

    Raises:
        DataError: nothing is left.
    """
    wanted = [q for q in queries if not any(p.search(m.content) for m in q.prompt for p in unwanted)]
    copies = set() if near else {later for later, _ in near_duplicates([q.key for q in wanted], SIMILARITY)}
    different = [q for k, q in enumerate(wanted) if k not in copies]
    if not different:
        raise DataError(f"none of {len(queries)} queries is left after the filter; look at --filter")
    chosen = different
    if most is not None and most < len(different):
        chosen = [different[k] for k in sorted(k_centre([q.key for q in different], most))]
    left_out = {
        "unwanted": len(queries) - len(wanted),
        "nearly the same as another": len(copies),
        "less diverse": len(different) - len(chosen),
    }
    return Choice(chosen, {reason: count for reason, count in left_out.items() if count})


def k_centre(texts: Sequence[str], k: int) -> list[int]:
    """Positions of k texts such that every text is near one of them: farthest-first traversal, whose largest distance
    is at most twice the least possible (Gonzalez 1985), over cosine distances of TF-IDF weighted words.

    The first is the one nearest to the mean of all.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)  # (n, words), sparse, of length 1
    mean = np.asarray(rows.mean(axis=0)).ravel()
    chosen = [int(np.argmax(rows @ mean))]
    nearest = _distances(rows, chosen[0])
    while len(chosen) < min(k, len(texts)):
        nearest[chosen] = -1.0
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, _distances(rows, chosen[-1]))
    return chosen


def _distances(rows: object, k: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Cosine distance of every row from row k."""
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = 1.0 - (rows @ rows[k].T).toarray().ravel()  # type: ignore[index]
    return found


def load_unwanted(path: Path | None) -> list[re.Pattern[str]]:
    """The user's filter file: one regular expression a line, `#` begins a remark. Raises DataError for a bad line."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    patterns = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            patterns.append(re.compile(line.strip(), re.IGNORECASE))
        except re.error as error:
            raise DataError(f"{path}, line {number}: is no regular expression ({error})") from error
    return patterns
