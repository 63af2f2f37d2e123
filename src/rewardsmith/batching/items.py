"""What a training step works on: preferences grouped by their text, tokenised once.

Preferences that share prompt and responses (a query judged by several domains) become one item: the text is run once
and each domain ranks its own output. It knows nothing of losses or models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from rewardsmith.batching.tokenizing import ConversationTokenizer, TokenizedResponse
from rewardsmith.batching.trees import tree_size
from rewardsmith.preferences.record import Preference

IMITATED_ABOVE = 0.85
"""Responses scored above this share of their preference's best count as preferred (the paper's code)."""


@dataclass(frozen=True)
class Judgement:
    """One preference's scores of an item's r responses, for one of the model's outputs."""

    scores: tuple[float, ...]
    output: int
    margin: float
    record: str

    def imitated(self) -> list[bool]:
        """Which responses are preferred enough to be imitated."""
        best = max(self.scores)
        if best == min(self.scores):
            return [False] * len(self.scores)
        return [s == best or (best > 0 and s > IMITATED_ABOVE * best) for s in self.scores]


@dataclass(frozen=True)
class Item:
    """A prompt with its r tokenised responses and everybody's judgements of them."""

    responses: tuple[TokenizedResponse, ...]
    judgements: tuple[Judgement, ...]
    general: bool = False
    reference: tuple[tuple[float, ...], ...] | None = field(default=None)
    """Rewards [r][outputs] of the model that distillation keeps to."""
    expert: int | None = None
    """Which of a mixture head's experts the text belongs to."""

    @property
    def tokens(self) -> int:
        """Tokens of all sequences: the work of a padded form."""
        return sum(len(r) for r in self.responses)

    @cached_property
    def tree_tokens(self) -> int:
        """The same with what the sequences share at their beginning counted once: the work of a tree."""
        return tree_size(self.responses)

    def pairs(self, judgement: Judgement) -> list[tuple[int, int]]:
        """Index pairs (better, worse) whose tokens differ: truncation can make two responses the same."""
        s, r = judgement.scores, self.responses
        n = range(len(s))
        return [(i, j) for i in n for j in n if s[i] > s[j] and r[i].ids != r[j].ids]

    def ties(self, judgement: Judgement) -> list[tuple[int, int]]:
        """Index pairs of equal score and different tokens."""
        s, r = judgement.scores, self.responses
        n = range(len(s))
        return [(i, j) for i in n for j in n if i < j and s[i] == s[j] and r[i].ids != r[j].ids]


@dataclass(frozen=True)
class ItemCounts:
    """What became of the preferences: how many rank something, and what was left out or cut, for the log."""

    preferences: int
    items: int
    ranking: int
    ranking_nothing: int
    tokens: int
    tree_tokens: int
    prompts_cut: int
    responses_cut: int


def build_items(
    preferences: Iterable[Preference],
    text: ConversationTokenizer,
    outputs: Sequence[str],
    *,
    general: bool = False,
    keep_ties: bool = False,
    experts: Sequence[str] = (),
) -> tuple[list[Item], ItemCounts]:
    """Tokenises preferences into items; those that rank nothing are left out and counted.

    Args:
        outputs: the domains of the model's outputs. A preference of one of them judges that output, any other (general
            preferences in a custom stage) judges all.
        general: marks the items as enrichment.
        keep_ties: keep preferences that have ties only.
        experts: names of a mixture head's experts; a preference whose `source` is one of them belongs to it.
    """
    groups: dict[tuple[tuple[int, ...], ...], Item] = {}
    preferences = list(preferences)
    flat = iter(text.batch([(p.prompt, r) for p in preferences for r in p.responses]))
    ranking = cut_prompts = cut_responses = 0
    for p in preferences:
        responses = tuple(next(flat) for _ in p.responses)
        cut_prompts += any(r.prompt_cut for r in responses)
        cut_responses += any(r.response_cut for r in responses)
        judged = [outputs.index(p.domain)] if p.domain in outputs else range(len(outputs))
        new = tuple(Judgement(tuple(p.scores), k, p.margin or 0.0, p.id) for k in judged)
        expert = experts.index(p.source) if p.source in experts else None
        single = Item(responses, new, general, expert=expert)
        if not single.pairs(new[0]) and not (keep_ties and single.ties(new[0])):
            continue
        ranking += 1
        key = tuple(r.ids for r in responses)
        found = groups.get(key)
        groups[key] = single if found is None else replace(found, judgements=found.judgements + new)
    items = list(groups.values())
    counts = ItemCounts(
        preferences=len(preferences),
        items=len(items),
        ranking=ranking,
        ranking_nothing=len(preferences) - ranking,
        tokens=sum(item.tokens for item in items),
        tree_tokens=sum(item.tree_tokens for item in items),
        prompts_cut=cut_prompts,
        responses_cut=cut_responses,
    )
    return items, counts
