"""Tokenising dialogues, once for all uses.

One prompt with one response becomes one sequence of token ids through the tokenizer's chat template, without further
special tokens (the template holds them; adding them again is the double-BOS fault). What does not fit is cut from the
left of the prompt; a response that alone is too long is cut at its end, its end-of-turn tokens kept.
It knows nothing of scores or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from rewardsmith.errors import DataError, ModelError
from rewardsmith.preferences.record import Message, Preference, Response, response_messages

_UNLIMITED = 1_000_000
"""Tokenizers without a limit say so with an absurdly large number."""


@dataclass(frozen=True)
class TokenizedResponse:
    """A prompt and one response: token ids, and the index at which the response begins."""

    ids: tuple[int, ...]
    response_start: int
    prompt_cut: int = 0
    """Prompt tokens left out on the left."""
    response_cut: int = 0
    """Response tokens left out at the end."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_cut(self) -> bool:
        """Whether something had to be left out."""
        return self.prompt_cut + self.response_cut > 0


class ConversationTokenizer:
    """Turns prompts with responses into token ids of at most `max_length`.

    Args:
        tokenizer: a fast one with a chat template.
        max_length: tokens of prompt and response together.
        unread: id that the model's own class takes for padding and never reads; such tokens at the end are left out.

    Raises:
        ModelError: the tokenizer is a slow one, or its chat template leaves the response out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, unread: int | None = None) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError("a fast tokenizer is needed (tokenizer.json); convert the slow one with transformers")
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.unread = unread
        self.end_of_turn = self._count_end_of_turn()
        """Tokens that the template puts after a response."""

    def preference(self, preference: Preference) -> list[TokenizedResponse]:
        """The r tokenised responses of one preference."""
        return self.batch([(preference.prompt, response) for response in preference.responses])

    def batch(self, dialogues: Sequence[tuple[Sequence[Message], Response]]) -> list[TokenizedResponse]:
        """Tokenises many (prompt, response) at once, in the order given.

        Raises:
            DataError: the chat template refuses a dialogue.
        """
        if not dialogues:
            return []
        texts, starts = zip(*(self._render(prompt, response) for prompt, response in dialogues), strict=True)
        encoded = self.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        return [
            self._truncate(ids, next((k for k, (_, end) in enumerate(offsets) if end > start), len(ids)))
            for ids, offsets, start in zip(encoded["input_ids"], encoded["offset_mapping"], starts, strict=True)
        ]

    def count(self, text: str) -> int:
        """Number of tokens of a bare text."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _render(self, prompt: Sequence[Message], response: Response) -> tuple[str, int]:
        before = [m.model_dump() for m in prompt]
        after = [m.model_dump() for m in response_messages(response)]
        try:
            text = str(self.tokenizer.apply_chat_template(before + after, tokenize=False))
            head = str(self.tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # templates raise whatever their author chose
            raise DataError(f"the chat template refuses this dialogue: {error}") from error
        # Some templates open an assistant turn differently when they generate: what both share is the prompt.
        differ = (k for k, (a, b) in enumerate(zip(text, head, strict=False)) if a != b)
        return text, next(differ, min(len(text), len(head)))

    def _truncate(self, ids: list[int], start: int) -> TokenizedResponse:
        while len(ids) > 1 and ids[-1] == self.unread:
            ids = ids[:-1]
        excess = len(ids) - self.max_length
        if excess <= 0:
            return TokenizedResponse(tuple(ids), min(start, len(ids)))
        keep_first = 1 if ids[0] in (self.tokenizer.bos_token_id, self.tokenizer.cls_token_id) and start > 0 else 0
        cut = min(excess, start - keep_first)
        ids = ids[:keep_first] + ids[keep_first + cut :]
        over = len(ids) - self.max_length
        if over > 0:
            tail = min(self.end_of_turn, self.max_length - keep_first - 1)
            ids = ids[: self.max_length - tail] + (ids[-tail:] if tail else [])
        return TokenizedResponse(tuple(ids), start - cut, prompt_cut=cut, response_cut=max(0, over))

    def _count_end_of_turn(self) -> int:
        text, _ = self._render([Message(role="user", content="q")], "zqz")
        _, found, suffix = text.rpartition("zqz")
        if not found:
            raise ModelError("the chat template leaves out what the assistant says; name another template")
        return len(self.tokenizer(suffix, add_special_tokens=False)["input_ids"]) if suffix else 0


def context_limit(tokenizer: PreTrainedTokenizerBase, config_limit: int | None) -> int | None:
    """The longest input that tokenizer and model both allow, or None when neither says."""
    limits = [n for n in (tokenizer.model_max_length, config_limit) if n and n < _UNLIMITED]
    return min(limits) if limits else None
