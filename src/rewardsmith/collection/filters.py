"""Answers that are no good as preferences, and why: each filter is a pure function, each fault is counted.

Words that give a refusal or an assistant's boilerplate away are English; an answer in another language passes them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from rewardsmith.collection.plan import Slot
from rewardsmith.collection.requests import Answer

_REFUSAL = re.compile(
    r"^\W*(i['’]?m (really |very |so )?sorry,? but|sorry,? (but )?i (can|could)"
    r"|i (can(no|['’])?t|cannot|am unable to|won['’]?t) (help|assist|answer|provide|do|fulfil|comply|discuss)"
    r"|i['’]m (unable|not able) to|i must decline)",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"\bas an? (ai|artificial intelligence|large language model|language model|ai language model|virtual assistant)\b"
    r"|\bi(['’]m| am) (just |only )?an? (ai|language model|virtual assistant)\b"
    r"|\bmy (training data|knowledge cutoff)\b",
    re.IGNORECASE,
)
COPY_WORDS = 0.6
"""From this share of a prompt's word trigrams on, an answer that is little longer is a copy of it."""
SURE_OF_LANGUAGE = 0.95
FEWEST_WORDS_TO_TELL = 12
"""Fewer words than this do not tell a language."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer in its place."""

    slot: Slot
    answer: Answer


def n_words(text: str) -> int:
    """Words, by white space."""
    return len(text.split())


def fault_of(given: Given) -> str | None:
    """Why an answer is left out, looked at by itself: the first fault that it has, or None."""
    return next((name for name, has in _FAULTS.items() if has(given)), None)


def shared_texts(answers: Sequence[Given]) -> set[str]:
    """Keys of answers to one query whose text was given for two domains: it tells neither from the other."""
    texts: dict[str, set[str]] = {}
    for given in answers:
        texts.setdefault(_folded(given.answer.text), set()).add(given.slot.profile.name)
    return {g.slot.key for g in answers if len(texts[_folded(g.answer.text)]) > 1}


def misses_length(given: Given) -> bool:
    """Shorter or longer than its domain wants."""
    wanted = given.slot.profile.words
    return wanted is not None and not wanted[0] <= n_words(given.answer.text) <= wanted[1]


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def _copies_prompt(given: Given) -> bool:
    prompt, text = given.slot.query.text, given.answer.text
    grams = _trigrams(prompt)
    if not grams or n_words(text) > 2 * n_words(prompt) + 10:
        return _folded(prompt) == _folded(text)
    found = _trigrams(text)
    return sum((grams & found).values()) >= COPY_WORDS * sum(grams.values())


def _trigrams(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return Counter(tuple(words[k : k + 3]) for k in range(len(words) - 2))


def _other_language(given: Given) -> bool:
    """Whether prompt and answer are surely in two languages."""
    prompt, text = given.slot.query.text, given.answer.text
    if min(n_words(prompt), n_words(text)) < FEWEST_WORDS_TO_TELL:
        # A short query tells little, but a script that it does not use is told at a glance.
        return _latin(text) != _latin(prompt) and n_words(text) >= FEWEST_WORDS_TO_TELL
    asked, given_in = language_of(prompt), language_of(text)
    return asked is not None and given_in is not None and asked != given_in


def language_of(text: str) -> str | None:
    """ISO 639-1 code where it is beyond doubt, else None (py3langid, after Lui and Baldwin 2012)."""
    code, sure = _identifier().classify(text)
    return str(code) if sure >= SURE_OF_LANGUAGE else None


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_modelpath(MODEL_DIR / MODEL_FILE, norm_probs=True)


def _latin(text: str) -> bool:
    """Whether most letters are Latin."""
    letters = [c for c in text if c.isalpha()]
    return sum(c < "\u0250" for c in letters) >= len(letters) / 2


_FAULTS: dict[str, Callable[[Given], bool]] = {
    "empty": lambda g: not g.answer.text.strip(),
    "refusal": lambda g: g.answer.finish_reason == "content_filter" or bool(_REFUSAL.search(g.answer.text)),
    "cut off": lambda g: g.answer.finish_reason == "length",
    "boilerplate": lambda g: bool(_BOILERPLATE.search(g.answer.text)),
    "copy of the prompt": _copies_prompt,
    "other language": _other_language,
    "outside the length range": misses_length,
}
SHARED = "same text for two domains"
FAULTS = (*_FAULTS, SHARED)
