"""What people say of collected pairs: which pairs are shown, where verdicts are kept, what they change.

A pair is shown without saying which response the data prefer, and in an order drawn by its seed, so that agreement is
a measurement. Verdicts are lines of JSON, one file a reviewer, each on the disk before the next pair is shown. It knows
nothing of terminals (see `screen`) or of other tools (see `exchange`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rewardsmith.collection.outputs import PREFERENCES
from rewardsmith.collection.review.agreement import Ratings, bootstrap_interval, cohens_kappa, krippendorffs_alpha
from rewardsmith.errors import DataError, UserError
from rewardsmith.files import append_lines
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference, response_text
from rewardsmith.preferences.splitting import hash_share
from rewardsmith.preferences.writing import write_preferences

REVIEWS = "reviews"
REVIEWED = "reviewed.jsonl"

Choice = Literal["first", "second", "tie", "skip"]
"""Of the responses in the order of the record's indices: the chosen one by the data is `first`."""


class Pair(BaseModel):
    """A pair that is reviewed: the data prefer response `chosen` of the record to response `rejected`."""

    model_config = ConfigDict(frozen=True)

    id: str
    record: str
    domain: str
    prompt: str
    chosen: int
    rejected: int
    texts: tuple[str, str]
    shown_swapped: bool


class Review(BaseModel):
    """One verdict. `edited` holds the text that takes the place of the response that the reviewer prefers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pair: str
    verdict: Choice
    edited: str | None = None
    note: str | None = None


class ReviewerFigures(BaseModel):
    """One reviewer against the data; kappa takes the verdict first, second or tie on sides drawn at random."""

    model_config = ConfigDict(frozen=True)

    n: int
    agrees: int
    contradicts: int
    ties: int
    kappa: float | None
    kappa_ci95: tuple[float, float] | None


class Agreement(BaseModel):
    """How the reviewers agree with the data, and with one another."""

    model_config = ConfigDict(frozen=True)

    reviewers: dict[str, ReviewerFigures]
    alpha: float | None
    alpha_ci95: tuple[float, float] | None


def load_collected(folder: Path) -> list[Preference]:
    """The preferences of a collection. Raises DataError where there are none."""
    file = folder / PREFERENCES
    if not file.is_file():
        raise DataError(f"{folder} holds no {PREFERENCES}; collect first")
    return load_preferences(file, format="rewardsmith").preferences


def sample_pairs(preferences: Iterable[Preference], n: int, *, seed: int = 0) -> list[Pair]:
    """`n` pairs, one a record, records drawn by a hash of seed and id: a larger `n` gives the same and others."""
    ordered = sorted((p for p in preferences if p.pairs()), key=lambda p: (hash_share(f"review\0{seed}\0{p.id}"), p.id))
    return [_pair_of(p, seed) for p in ordered[:n]]


def _pair_of(preference: Preference, seed: int) -> Pair:
    pairs = preference.pairs()
    i, j = pairs[int(hash_share(f"pair\0{seed}\0{preference.id}") * len(pairs))]
    texts = response_text(preference.responses[i]), response_text(preference.responses[j])
    return Pair(
        id=f"{preference.id}#{i}>{j}",
        record=preference.id,
        domain=preference.domain,
        prompt=preference.prompt[-1].content,
        chosen=i,
        rejected=j,
        texts=texts,
        shown_swapped=hash_share(f"side\0{seed}\0{preference.id}") < 0.5,
    )


class ReviewFile:
    """One reviewer's verdicts on disk; the last line on a pair counts, so that one can change one's mind."""

    def __init__(self, folder: Path, reviewer: str) -> None:
        """Raises UserError for a name that is no file name."""
        if not reviewer or any(c in reviewer for c in "/\\\0") or reviewer.startswith("."):
            raise UserError(f"--reviewer {reviewer!r}: take a plain name, it names a file")
        self.path = folder / REVIEWS / f"{reviewer}.jsonl"

    def read(self) -> dict[str, Review]:
        """Verdicts by pair. A torn last line, from a kill, is owed again; any other bad line raises DataError."""
        if not self.path.is_file():
            return {}
        found: dict[str, Review] = {}
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                review = Review.model_validate_json(line)
            except ValidationError as error:
                if number == len(lines) and not line.endswith("\n"):
                    break
                reason = error.errors()[0]["msg"]
                raise DataError(f"{self.path}, line {number}: is no review ({reason}); mend or remove it") from error
            found[review.pair] = review
        return found

    def add(self, reviews: Sequence[Review]) -> None:
        """Appends verdicts, durably."""
        append_lines(self.path, [review.model_dump_json(exclude_none=True) for review in reviews])


def all_reviews(folder: Path) -> dict[str, dict[str, Review]]:
    """Every reviewer's verdicts by pair."""
    files = sorted((folder / REVIEWS).glob("*.jsonl"))
    return {file.stem: ReviewFile(folder, file.stem).read() for file in files}


def apply_reviews(preferences: Sequence[Preference], reviews: Iterable[Review]) -> list[Preference]:
    """The records with the reviewed pairs as people see them: flipped and tied pairs become records of that pair
    alone, an edited text takes the place of its response; pairs that were skipped are as they were.

    A verdict on one pair says nothing of a record's other responses: what the data say of these is kept.
    """
    by_record: dict[str, list[Review]] = {}
    for review in reviews:
        by_record.setdefault(review.pair.rsplit("#", 1)[0], []).append(review)
    found: list[Preference] = []
    for preference in preferences:
        pending = by_record.get(preference.id, [])
        found += _reviewed(preference, pending) if pending else [preference]
    return found


def _reviewed(preference: Preference, reviews: list[Review]) -> list[Preference]:
    records, kept = [], preference
    for review in reviews:
        i, j = (int(k) for k in review.pair.rsplit("#", 1)[1].split(">"))
        if review.verdict == "skip":
            continue
        scores = {"first": [1.0, 0.0], "second": [0.0, 1.0], "tie": [0.5, 0.5]}[review.verdict]
        responses = [preference.responses[i], preference.responses[j]]
        if review.edited is not None:
            responses[0 if review.verdict != "second" else 1] = review.edited
        if review.verdict == "first" and review.edited is None:
            continue
        names = preference.response_names
        records.append(
            preference.model_copy(
                update={
                    "id": f"{preference.id}-reviewed-{i}-{j}",
                    "responses": responses,
                    "scores": scores,
                    "response_names": [names[i], names[j]] if names else None,
                    "source": "review",
                }
            )
        )
        kept = _without(kept, preference.responses[j])
    return [*([kept] if len(kept.responses) > 1 and kept.pairs() else []), *records]


def _without(preference: Preference, response: object) -> Preference:
    """The record without a response whose rank was contradicted."""
    left = [k for k, r in enumerate(preference.responses) if r != response]
    names = preference.response_names
    return preference.model_copy(
        update={
            "responses": [preference.responses[k] for k in left],
            "scores": [preference.scores[k] for k in left],
            "response_names": [names[k] for k in left] if names else None,
        }
    )


def agreement(pairs: Sequence[Pair], reviews: dict[str, dict[str, Review]]) -> Agreement:
    """Each reviewer against the data over the pairs that it decided, and all reviewers among one another."""
    sides = ["right" if pair.shown_swapped else "left" for pair in pairs]
    prompts = [pair.prompt for pair in pairs]
    ratings: dict[str, Ratings] = {
        name: [_side(pair, found.get(pair.id)) for pair in pairs] for name, found in reviews.items()
    }
    figures = {}
    for name, rated in ratings.items():
        verdicts = [reviews[name][p.id].verdict for p in pairs if p.id in reviews[name]]
        figures[name] = ReviewerFigures(
            n=sum(v != "skip" for v in verdicts),
            agrees=verdicts.count("first"),
            contradicts=verdicts.count("second"),
            ties=verdicts.count("tie"),
            kappa=cohens_kappa(sides, rated),
            kappa_ci95=bootstrap_interval(lambda r: cohens_kappa(r[0], r[1]), [sides, rated], prompts),
        )
    several = list(ratings.values()) if len(ratings) > 1 else []
    return Agreement(
        reviewers=figures,
        alpha=krippendorffs_alpha(several) if several else None,
        alpha_ci95=bootstrap_interval(krippendorffs_alpha, several, prompts) if several else None,
    )


def _side(pair: Pair, review: Review | None) -> str | None:
    """A verdict as the side of the screen that was preferred: kappa wants categories that chance can hit."""
    if review is None or review.verdict == "skip":
        return None
    if review.verdict == "tie":
        return "tie"
    return "left" if (review.verdict == "first") != pair.shown_swapped else "right"


def write_reviewed(folder: Path, pairs: Sequence[Pair]) -> Agreement:
    """Writes `reviewed.jsonl` with every verdict applied (where reviewers differ on a pair, the majority; without one
    the pair is a tie), and gives how they agree."""
    reviews = all_reviews(folder)
    known = {pair.id: pair for pair in pairs}
    joined = [_majority(pair, [r[pair] for r in reviews.values() if pair in r]) for pair in known]
    decided = [review for review in joined if review is not None]
    if decided:
        write_preferences(apply_reviews(load_collected(folder), decided), folder / REVIEWED, overwrite=True)
    return agreement(pairs, reviews)


def _majority(pair: str, reviews: list[Review]) -> Review | None:
    """One verdict of several; an edited text is kept where its writer was the only one."""
    given = [review for review in reviews if review.verdict != "skip"]
    if len(given) <= 1:
        return given[0] if given else None
    (top, n), *others = Counter(review.verdict for review in given).most_common()
    return Review(pair=pair, verdict="tie" if others and others[0][1] == n else top)
