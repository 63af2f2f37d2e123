"""A person at the terminal, pair by pair: one key a verdict, each written down before the next pair is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from rewardsmith.collection.review.verdicts import Choice, Pair, Review, ReviewFile

if TYPE_CHECKING:
    from rich.console import Console

KEYS = "1, 2: this one is better   t: as good as each other   e: edit the better one   s: skip   u: undo   q: stop"
_WITHOUT_SIDE: dict[str, Choice] = {"s": "skip", "t": "tie"}
_CHOICES = ("1", "2", "t", "e", "s", "u", "q")


class Keyboard(Protocol):
    """What the screen needs of a terminal (`keyboard.TerminalKeyboard`)."""

    def key(self, choices: Sequence[str], message: str = "> ") -> str:
        """Waits for one of these keys."""

    def edit(self, text: str) -> str:
        """Lets the text be changed."""


def review(pairs: Sequence[Pair], file: ReviewFile, console: Console, keyboard: Keyboard) -> int:
    """Asks for every pair without a verdict; the number of those given now."""
    done = file.read()
    owed = [pair for pair in pairs if pair.id not in done]
    position, given = 0, 0
    while position < len(owed):
        pair = owed[position]
        _show(pair, f"{len(pairs) - len(owed) + position + 1} of {len(pairs)}", console)
        key = keyboard.key(_CHOICES)
        if key == "q":
            break
        if key == "u":
            position = max(0, position - 1)
            continue
        file.add([_verdict(pair, key, keyboard)])
        position, given = position + 1, given + 1
    return given


def _verdict(pair: Pair, key: str, keyboard: Keyboard) -> Review:
    if key in _WITHOUT_SIDE:
        return Review(pair=pair.id, verdict=_WITHOUT_SIDE[key])
    edit = key == "e"
    if edit:
        key = keyboard.key(("1", "2"), "the better one, to be edited, is 1 or 2: ")
    first = (key == "1") != pair.shown_swapped
    text = pair.texts[0 if first else 1]
    edited = keyboard.edit(text) if edit else text
    return Review(pair=pair.id, verdict="first" if first else "second", edited=edited if edited != text else None)


def _show(pair: Pair, place: str, console: Console) -> None:
    from rich.panel import Panel
    from rich.text import Text

    shown = pair.texts[::-1] if pair.shown_swapped else pair.texts
    console.rule(f"{place}: which would {pair.domain} prefer?")
    console.print(Text(printable(pair.prompt), style="bold"))
    for number, text in enumerate(shown, 1):
        console.print(Panel(Text(printable(text)), title=str(number), title_align="left"))
    console.print(KEYS, style="dim", highlight=False)


def printable(text: str) -> str:
    """Text that moves no cursor and sets no colour: control characters but newline and tab are shown as marks."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
