"""Dialogues: where several fork, and transcripts with `Human:` and `Assistant:` as messages and back.

Two spellings are read: `\\n\\nHuman: ..\\n\\nAssistant: ..` (Anthropic HH) and `## Human:\\n..\\n\\n## Assistant:\\n..`
(the DSP paper). One blank or line end behind the colon belongs to the marker, everything else to the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewardsmith.preferences.formats.base import BadRow, as_messages, as_text, user_turn
from rewardsmith.preferences.record import Message, Response, response_messages

_PLAIN = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ \n]?")
_HASHED = re.compile(r"(?:\A|\n\n)## (Human|Assistant):[ \n]?")
_OPENS = re.compile(r"\s*(?:## )?Human:")
_ENDS = re.compile(r"(?:\A|\n\n)(?:## )?Assistant:\s*\Z")
_ROLE = {"Human": "user", "Assistant": "assistant"}
_NAME = {role: name for name, role in _ROLE.items()}


def is_transcript(text: object) -> bool:
    """Whether the text opens with a human turn and has an assistant's."""
    return isinstance(text, str) and _OPENS.match(text) is not None and "Assistant:" in text


def parse_transcript(text: str, field: str) -> list[Message]:
    """The turns of a transcript; text before the first turn is a system message. Raises BadRow when there is none."""
    marker = _HASHED if _HASHED.search(text) else _PLAIN
    preamble, *parts = marker.split(text)
    if not parts:
        raise BadRow(field, "is no transcript: it has no 'Human:' or 'Assistant:' turn after a blank line")
    turns = [Message(role="system", content=preamble)] if preamble.strip() else []
    for name, content in zip(parts[::2], parts[1::2], strict=True):
        turns.append(Message.model_validate({"role": _ROLE[name], "content": content}))
    return turns


def render_transcript(messages: Sequence[Message]) -> str:
    """Messages as an HH transcript; a leading system message goes before the first turn, other roles become `Human`."""
    head = messages[0].content if messages and messages[0].role == "system" else ""
    turns = messages[1:] if head else messages
    return head + "".join(f"\n\n{_NAME.get(m.role, 'Human')}: {m.content}" for m in turns)


def fork(dialogues: Sequence[list[Message]], field: str) -> tuple[list[Message], list[Response]]:
    """The turns that all dialogues share, and each one's rest as its response (text when it is one assistant turn).

    Each dialogue keeps at least its last turn as response, and that turn must be the assistant's.
    """
    for number, dialogue in enumerate(dialogues, 1):
        if not dialogue or dialogue[-1].role != "assistant":
            raise BadRow(field, f"dialogue {number} does not end with the assistant's turn, so there is no response")
    shared = min(len(dialogue) for dialogue in dialogues) - 1
    for position in range(shared):
        if any(dialogue[position] != dialogues[0][position] for dialogue in dialogues[1:]):
            shared = position
            break
    if shared == 0:
        raise BadRow(field, "the dialogues share no first turn, so they are not responses to one prompt")
    return dialogues[0][:shared], [as_response(dialogue[shared:]) for dialogue in dialogues]


def prompt_turns(prompt: object, field: str) -> list[Message]:
    """A prompt as messages: a list of them, a transcript that ends where the answer goes, or text, one user turn."""
    if isinstance(prompt, list):
        return as_messages(prompt, field)
    content = as_text(prompt, field)
    if is_transcript(content) and _ENDS.search(content):
        return parse_transcript(content, field)[:-1]
    return user_turn(content)


def as_response(messages: list[Message]) -> Response:
    """Messages behind the prompt as a response: text when they are one assistant turn."""
    return messages[0].content if len(messages) == 1 and messages[0].role == "assistant" else messages


def whole_dialogue(prompt: Sequence[Message], response: Response) -> list[Message]:
    """The prompt's messages and the response's behind them."""
    return [*prompt, *response_messages(response)]
