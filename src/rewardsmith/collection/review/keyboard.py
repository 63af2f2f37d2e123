"""Keys and edited text from a terminal, through prompt_toolkit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent


class TerminalKeyboard:
    """The terminal that the program runs in; `input` and `output` are prompt_toolkit's, for tests."""

    def __init__(self, input: Any = None, output: Any = None) -> None:
        self._streams: dict[str, Any] = {"input": input, "output": output}

    def key(self, choices: Sequence[str], message: str = "> ") -> str:
        """Waits for one of these keys; Ctrl-C and Ctrl-D are `KeyboardInterrupt` and `EOFError`."""
        bindings = KeyBindings()
        for choice in choices:
            bindings.add(choice)(lambda event, choice=choice: event.app.exit(result=choice))

        @bindings.add("<any>")
        def _(event: KeyPressEvent) -> None:
            """Other keys do nothing."""

        session: PromptSession[str] = PromptSession(**self._streams)
        return session.prompt(message, key_bindings=bindings)

    def edit(self, text: str) -> str:
        """The text as its reader changed it; Escape and then Enter ends."""
        session: PromptSession[str] = PromptSession(**self._streams)
        return session.prompt("edit, then Escape and Enter:\n", default=text, multiline=True)
