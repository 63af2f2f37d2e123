"""Reads a top-level JSON array element by element, in constant memory and linear time.

A sliding buffer holds at most one element and one chunk. When an element does not end inside the buffer, the next
read is at least as long as the buffer, so that a huge element is scanned a logarithmic number of times. It knows
nothing of files (it takes any binary reader) nor of what the elements mean.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

CHUNK_BYTES = 1 << 18
_BLANK = " \t\r\n"
_NEAR_END = 12
"""Characters before the buffer's end within which a decoding error may only mean that the text goes on: the longest
token the decoder looks at as a whole is an escaped surrogate pair."""


class TornArray(ValueError):
    """The array is not valid JSON; `line` is where, `reason` why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


def iterate_array(handle: BinaryIO, first_line: int = 1) -> Iterator[tuple[int, Any]]:
    """Yields (line, element) for each element of the array that `handle` stands before; lines count from `first_line`.

    Raises TornArray where the text stops being a JSON array of UTF-8.
    """
    buffer = _Buffer(handle, first_line)
    buffer.expect("[")
    if buffer.next_character() == "]":
        buffer.expect("]")
    else:
        while True:
            buffer.next_character()
            line = buffer.line
            yield line, buffer.element()
            if buffer.next_character() == "]":
                buffer.expect("]")
                break
            buffer.expect(",")
    if buffer.next_character():
        raise TornArray(buffer.line, "there is more text after the array's closing bracket")


class _Buffer:
    """The sliding window: decoded text, a position in it, and the line that the position stands on."""

    def __init__(self, handle: BinaryIO, line: int) -> None:
        self.line = line
        self._handle = handle
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False

    def next_character(self) -> str:
        """Moves past white space; the character there, or an empty string at the end."""
        while True:
            start = self._at
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            self.line += self._text.count("\n", start, self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._refill()

    def expect(self, character: str) -> None:
        found = self.next_character()
        if not found:
            raise TornArray(self.line, f"the file ends where '{character}' should stand; it was cut short")
        if found != character:
            raise TornArray(self.line, f"'{character}' expected, found {found!r}")
        self._at += 1

    def element(self) -> Any:
        """Decodes the element at the position and moves past it."""
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                unfinished = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _NEAR_END
                if self._ended or not unfinished:
                    raise self._torn(error) from None
            except (RecursionError, ValueError) as error:
                raise TornArray(self.line, f"cannot be decoded ({error})") from None
            else:
                number_may_go_on = not isinstance(value, dict | list | str) and end > len(self._text) - _NEAR_END
                if self._ended or not number_may_go_on:
                    self.line += self._text.count("\n", self._at, end)
                    self._at = end
                    return value
            self._refill()

    def _torn(self, error: json.JSONDecodeError) -> TornArray:
        line = self.line + self._text.count("\n", self._at, error.pos)
        if error.pos >= len(self._text.rstrip()) or error.msg.startswith("Unterminated string"):
            return TornArray(line, f"the file ends inside a record; it was cut short ({error.msg})")
        return TornArray(line, f"not valid JSON ({error.msg})")

    def _refill(self) -> None:
        rest = self._text[self._at :]
        chunk = self._handle.read(max(CHUNK_BYTES, len(rest)))
        self._ended = not chunk
        try:
            self._text = rest + self._decode(chunk, self._ended)
        except UnicodeDecodeError:
            line = self.line + rest.count("\n")
            raise TornArray(line, "not UTF-8 (at this line or soon after); convert the file to UTF-8") from None
        self._at = 0
