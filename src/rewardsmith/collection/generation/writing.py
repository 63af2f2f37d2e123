"""Writing many answers at once: one running batch that rows enter and leave at any time.

A row that ends frees its slot; the next prompt takes it in the very next pass, beside the rows that go on. Prompts come
longest first, so rows only get shorter and more of them fit. It knows token ids, not text or requests.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from transformers import PreTrainedModel

from rewardsmith.collection.generation.sampling import next_tokens
from rewardsmith.collection.generation.slots import Kept, Pass, Piece, Slots, run_pass
from rewardsmith.collection.requests import Sampling

_MOST_ROWS = 128
"""More rows are hardly faster on a CPU."""
_PASS_TOKENS = 2048
"""Prompt tokens beyond which no further prompt enters in the same pass."""
_SHRINK = 1.25
"""Slots are made shorter, and more, once they are so many times longer than any row needs."""
_PREFIX_SHARE = 4
"""Shared beginnings are kept in a further `batch_tokens` over this."""


@dataclass(frozen=True)
class Prompt:
    """What is to be continued, by at most `room` tokens; `beginnings` are lengths that other prompts share."""

    ids: tuple[int, ...]
    room: int
    sampling: Sampling
    seed: int
    beginnings: tuple[int, ...] = ()

    @property
    def need(self) -> int:
        """Tokens of the longest row that can come of it."""
        return len(self.ids) + self.room


@dataclass
class Row:
    """A prompt, by its place among all, and what has been written after it."""

    place: int
    prompt: Prompt
    chance: Random
    written: list[int] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Tokens whose keys are in its slot: all but the last one, once it goes on."""
        return len(self.prompt.ids) + len(self.written) - 1


class Writing:
    """The running batch over a causal language model whose attention is `slots.NAME`.

    Args:
        stops: tokens that end an answer.
        batch_tokens: tokens for which there is room at once, in all rows.
    """

    def __init__(self, network: PreTrainedModel, stops: frozenset[int], batch_tokens: int) -> None:
        self.network, self.stops, self.batch_tokens = network, stops, batch_tokens
        self.slots = Slots(0, 0)
        self.rows: list[Row] = []
        self.beginnings: OrderedDict[tuple[int, ...], Kept] = OrderedDict()

    def write(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, list[int]]]:
        """The place of each prompt with the tokens written after it, a final stop token included, as each ends."""
        order = sorted(range(len(prompts)), key=lambda k: (-prompts[k].need, prompts[k].ids))
        waiting = deque(Row(k, prompts[k], Random(prompts[k].seed)) for k in order)
        while waiting or self.rows:
            if waiting:
                self._make_room(waiting[0].prompt.need, len(waiting))
            for row, token in zip(self.rows, self._step(self._enter(waiting)), strict=True):
                row.written.append(token)
            for slot in reversed(range(len(self.rows))):
                row = self.rows[slot]
                if row.written[-1] in self.stops or len(row.written) == row.prompt.room:
                    self._leave(slot)
                    yield row.place, row.written

    def _make_room(self, need: int, waiting: int) -> None:
        longest = max([need, *(row.prompt.need for row in self.rows)])
        if self.slots.length < longest or self.slots.length >= _SHRINK * longest:
            rows = min(_MOST_ROWS, self.batch_tokens // longest, len(self.rows) + waiting)
            self.slots.resize(rows, longest, len(self.rows))

    def _enter(self, waiting: deque[Row]) -> list[Piece]:
        """Gives waiting rows the free slots; what remains of their prompts beyond what is shared."""
        pieces: list[Piece] = []
        while waiting and len(self.rows) < self.slots.rows and sum(p.tokens for p in pieces) < _PASS_TOKENS:
            row = waiting.popleft()
            seen = self._begin(len(self.rows), row.prompt)
            pieces.append(Piece(len(self.rows), seen, len(row.prompt.ids) - seen))
            self.rows.append(row)
        return pieces

    def _begin(self, slot: int, prompt: Prompt) -> int:
        """Puts the beginning that `prompt` shares into a slot, run once and then copied; its length."""
        known = [length for length in prompt.beginnings if prompt.ids[:length] in self.beginnings]
        seen = max(known, default=0)
        if seen:
            self.beginnings.move_to_end(prompt.ids[:seen])
            self.slots.write(slot, self.beginnings[prompt.ids[:seen]])
        for length in prompt.beginnings:
            if length > seen:
                run_pass(
                    self.network, Pass(self.slots, [], [Piece(slot, seen, length - seen)]), prompt.ids[seen:length]
                )
                self._keep(prompt.ids[:length], self.slots.read(slot, length))
                seen = length
        return seen

    def _keep(self, ids: tuple[int, ...], kept: Kept) -> None:
        """Keeps a beginning; those not used for longest go when there are too many."""
        self.beginnings[ids] = kept
        while len(self.beginnings) > 1 and sum(map(len, self.beginnings)) > self.batch_tokens // _PREFIX_SHARE:
            self.beginnings.popitem(last=False)

    def _step(self, pieces: list[Piece]) -> list[int]:
        """The next token of every row: those that go on, and those whose prompts are the pieces."""
        going = self.rows[: len(self.rows) - len(pieces)]
        tokens = [row.written[-1] for row in going]
        for piece in pieces:
            tokens += self.rows[piece.row].prompt.ids[piece.seen :]
        logits = run_pass(self.network, Pass(self.slots, [row.kept for row in going], pieces), tokens)
        sampling = [row.prompt.sampling for row in self.rows]
        found: list[int] = next_tokens(logits, sampling, [row.chance for row in self.rows]).tolist()
        return found

    def _leave(self, slot: int) -> None:
        """Takes a row out; the last one moves into its slot."""
        last = self.rows.pop()
        if slot < len(self.rows):
            self.slots.move(len(self.rows), slot, last.kept)
            self.rows[slot] = last
