"""Keys and values of the rows that are being written, and attention over them, through transformers' interface.

A pass of the network is one packed row of tokens without padding: first one token of every row that goes on, then whole
pieces of prompts. Linear layers see nothing but those; attention sends each to the slot of its row. Sliding windows and
logit soft-capping are kept. It knows nothing of text, requests or sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from rewardsmith.modeling.attention_routing import window_of

NAME = "rewardsmith_slots"

Kept = dict[int, tuple[torch.Tensor, torch.Tensor]]
"""Keys and values by layer, each [heads, tokens, d]."""


class Slots:
    """Room for `rows` rows of `length` tokens in every layer; a layer's room is made when it first writes."""

    def __init__(self, rows: int, length: int) -> None:
        self.rows, self.length = rows, length
        self.layers: Kept = {}

    def layer(self, index: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [rows, heads, length, d] of a layer whose keys are `like` [1, heads, tokens, d]."""
        if index not in self.layers:
            self.layers[index] = (self._room(like), self._room(like))
        return self.layers[index]

    def resize(self, rows: int, length: int, used: int) -> None:
        """Other rows and length; the first `used` rows stay as far as they fit, one layer at a time."""
        length_kept = min(length, self.length)
        self.rows, self.length = rows, length
        for index, old in self.layers.items():
            new = (self._room(old[0]), self._room(old[1]))
            for target, source in zip(new, old, strict=True):
                target[:used, :, :length_kept] = source[:used, :, :length_kept]
            self.layers[index] = new

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copies a row's first tokens over another row."""
        for keys, values in self.layers.values():
            keys[target, :, :tokens] = keys[source, :, :tokens]
            values[target, :, :tokens] = values[source, :, :tokens]

    def read(self, row: int, tokens: int) -> Kept:
        """A copy of a row's first tokens."""
        return {
            index: (k[row, :, :tokens].clone(), v[row, :, :tokens].clone()) for index, (k, v) in self.layers.items()
        }

    def write(self, row: int, kept: Kept) -> None:
        """Puts back what `read` gave."""
        for index, parts in kept.items():
            for layer, part in zip(self.layers[index], parts, strict=True):
                layer[row, :, : part.shape[1]] = part

    def _room(self, like: torch.Tensor) -> torch.Tensor:
        # Zeros: what nobody has written is masked, and a masked NaN would still be one.
        return like.new_zeros(self.rows, like.shape[1], self.length, like.shape[3])


@dataclass(frozen=True)
class Piece:
    """`tokens` further tokens of a prompt, of which the row has `seen` so far."""

    row: int
    seen: int
    tokens: int


@dataclass
class Pass:
    """One pass: a token each for the first rows, which have so many so far (`lengths`), and the pieces after them."""

    slots: Slots
    lengths: Sequence[int]
    pieces: Sequence[Piece]
    _masks: dict[Any, torch.Tensor] = field(default_factory=dict)

    def positions(self) -> list[int]:
        """The position of every token in its row."""
        return [*self.lengths, *(p for piece in self.pieces for p in range(piece.seen, piece.seen + piece.tokens))]

    def last_tokens(self) -> list[int]:
        """Where in the pass each row's last token stands: the rows that go on, then one for each piece."""
        ends, end = list(range(len(self.lengths))), len(self.lengths)
        for piece in self.pieces:
            end += piece.tokens
            ends.append(end - 1)
        return ends

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """Keeps keys and values [1, heads, T, d] and gives the output [1, T, heads, d]."""
        keys, values = self.slots.layer(layer, key)
        count, outputs = len(self.lengths), []
        if count:
            outputs.append(self._go_on(query, key, value, keys, values, scale, window, softcap))
        start = count
        for piece in self.pieces:
            own, end = slice(start, start + piece.tokens), piece.seen + piece.tokens
            keys[piece.row, :, piece.seen : end] = key[0, :, own]
            values[piece.row, :, piece.seen : end] = value[0, :, own]
            seen_keys, seen_values = (t[piece.row, None, :, :end] for t in (keys, values))
            mask = self._piece_mask(piece, window, query)
            attended = _attend(query[:, :, own], seen_keys, seen_values, mask, scale, softcap)
            outputs.append(attended[0].transpose(0, 1))
            start += piece.tokens
        return torch.cat(outputs)[None]

    def _go_on(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """Rows that go on, one token each, together: [rows, heads, d]."""
        count, end = len(self.lengths), max(self.lengths) + 1
        rows, at = self._places(query.device)
        keys[rows, :, at] = key[0, :, :count].transpose(0, 1)
        values[rows, :, at] = value[0, :, :count].transpose(0, 1)
        # The query heads that share a key head stand in the place of query tokens: no key is repeated.
        grouped = query[0, :, :count].transpose(0, 1).reshape(count, key.shape[1], -1, key.shape[3])
        mask = self._row_mask(end, window, query)
        return _attend(grouped, keys[:count, :, :end], values[:count, :, :end], mask, scale, softcap).flatten(1, 2)

    def _places(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        if "rows" not in self._masks:
            self._masks["rows"] = torch.arange(len(self.lengths), device=device)
            self._masks["at"] = torch.tensor(self.lengths, device=device)
        return self._masks["rows"], self._masks["at"]

    def _row_mask(self, end: int, window: int | None, query: torch.Tensor) -> torch.Tensor:
        if window not in self._masks:
            at = torch.tensor(self.lengths, device=query.device)[:, None]
            seen = _visible(at, torch.arange(end, device=query.device), window)
            self._masks[window] = _additive(seen, query.dtype)[:, None, None]
        return self._masks[window]

    def _piece_mask(self, piece: Piece, window: int | None, query: torch.Tensor) -> torch.Tensor:
        size = (piece.seen, piece.tokens, window)
        if size not in self._masks:
            columns = torch.arange(piece.seen + piece.tokens, device=query.device)
            self._masks[size] = _additive(_visible(columns[piece.seen :, None], columns, window), query.dtype)
        return self._masks[size]


@torch.no_grad()
def run_pass(network: PreTrainedModel, run: Pass, tokens: Sequence[int]) -> torch.Tensor:
    """Logits [rows, vocabulary] after the last token of every row of a pass."""
    device = network.device
    output = network(
        input_ids=torch.tensor([tokens], device=device),
        # A mask of four dimensions is taken as it is: the models make none, and the pass has its own.
        attention_mask=torch.empty(1, 1, 0, 0, device=device),
        position_ids=torch.tensor([run.positions()], device=device),
        use_cache=False,
        logits_to_keep=torch.tensor(run.last_tokens(), device=device),
        slots=run,
    )
    logits: torch.Tensor = output.logits[0]
    return logits


def slot_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    slots: Pass,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The attention interface: `query` [1, heads, T, d] to output [1, T, heads, d]."""
    window = sliding_window if sliding_window is not None else window_of(module)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    layer: Any = module
    return slots.attend(layer.layer_idx, query, key, value, scale, window, softcap), None


def _attend(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    softcap: float | None,
) -> torch.Tensor:
    """Scaled dot products under an additive mask; keys are repeated where more heads ask than there are."""
    groups = query.shape[1] // keys.shape[1]
    if groups > 1:
        keys, values = (t.repeat_interleave(groups, dim=1) for t in (keys, values))
    if softcap is None:
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=scale)
    scores = softcap * torch.tanh(query @ keys.transpose(2, 3) * scale / softcap) + mask
    return scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype) @ values


def _visible(rows: torch.Tensor, columns: torch.Tensor, window: int | None) -> torch.Tensor:
    """Whether a token at each position of `rows` sees each of `columns`."""
    seen = columns <= rows
    return seen if window is None else seen & (rows - columns < window)


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, torch.finfo(dtype).min)


AttentionInterface.register(NAME, slot_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
