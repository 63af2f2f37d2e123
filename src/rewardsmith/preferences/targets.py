"""The formats that preferences can be written to: each turns a record into rows and says what they cannot hold.

Pure: it makes rows, `writing` makes files. Targets made of text check themselves by reading their rows back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from rewardsmith.errors import UserError, nearest
from rewardsmith.preferences.formats.base import BadRow, RowData
from rewardsmith.preferences.formats.dialogues import fork, parse_transcript, render_transcript, whole_dialogue
from rewardsmith.preferences.formats.own import json_row
from rewardsmith.preferences.formats.pairs import parse_pair
from rewardsmith.preferences.record import GENERAL, Message, Preference, Response, response_messages

Lost = Counter[str]


class Target(ABC):
    """One output format. `holds` names the optional parts of a record that its rows carry."""

    name: ClassVar[str]
    description: ClassVar[str]
    holds: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def rows(self, preference: Preference) -> tuple[list[RowData], Lost]:
        """The record's rows, and how often what was lost."""

    def dataset_info(self, file_name: str) -> RowData | None:
        """The entry that LLaMA-Factory wants in `dataset_info.json` beside the file; None for all others."""
        return None

    def lost_parts(self, preference: Preference) -> Lost:
        """One for each optional part that the record has and this target does not carry."""
        has = {
            "id": True,
            "domain": preference.domain != GENERAL,
            "annotator": preference.annotator is not None,
            "source": preference.source is not None,
            "response names": preference.response_names is not None,
            "margin": preference.margin is not None,
            "metadata": bool(preference.metadata),
        }
        return Counter(part for part, there in has.items() if there and part not in self.holds)


class OwnTarget(Target):
    name = "rewardsmith"
    description = "our own record, everything kept (.jsonl, .json or .parquet)"
    holds = frozenset(["id", "domain", "annotator", "source", "response names", "margin", "metadata"])

    def rows(self, preference: Preference) -> tuple[list[RowData], Lost]:
        return [json_row(preference)], Counter()


class DspTextScoreTarget(Target):
    name = "dsp-text-score"
    description = "DSP text-score: whole transcripts in 'text', their scores in 'score'"

    def rows(self, preference: Preference) -> tuple[list[RowData], Lost]:
        dialogues = [whole_dialogue(preference.prompt, response) for response in preference.responses]
        texts = [render_transcript(dialogue) for dialogue in dialogues]
        lost = self.lost_parts(preference)
        lost["turns as they were"] += not _transcripts_read_back(texts, dialogues)
        return [{"text": texts, "score": preference.scores}], lost


class PairTarget(Target):
    """A target of chosen and rejected: a list of more than two responses becomes all its pairs."""

    holds = frozenset(["margin"])

    def rows(self, preference: Preference) -> tuple[list[RowData], Lost]:
        lost = self.lost_parts(preference) + _lost_in_pairs(preference)
        rows = []
        for i, j in preference.pairs():
            row = self.pair(preference.prompt, preference.responses[i], preference.responses[j])
            if row is None:
                lost["pairs whose dialogue the target cannot hold"] += 1
                continue
            lost["turns as they were"] += not self.reads_back(row, preference, (i, j))
            if preference.margin is not None and "margin" in self.holds:
                row["margin"] = preference.margin
            rows.append(row)
        return rows, lost

    @abstractmethod
    def pair(self, prompt: list[Message], chosen: Response, rejected: Response) -> RowData | None:
        """The row of one pair, or None where the target cannot hold its dialogue."""

    def reads_back(self, row: RowData, preference: Preference, pair: tuple[int, int]) -> bool:
        """Whether our reader makes the same two dialogues of the row. Targets made of messages always do."""
        return True


def _lost_in_pairs(preference: Preference) -> Lost:
    scores, responses = preference.scores, preference.responses
    indices = range(len(scores))
    differing = [(i, j) for i in indices for j in indices if scores[i] > scores[j]]
    lost: Lost = Counter()
    lost["ties"] = sum(scores[i] == scores[j] for i in indices for j in indices if i < j)
    lost["pairs of identical responses"] = sum(responses[i] == responses[j] for i, j in differing)
    lost["score values"] = sorted(scores) != [0.0, 1.0] if len(scores) == 2 else len(set(scores) - {0.0, 1.0}) > 0
    lost["lists (written as pairs)"] = len(scores) > 2
    return +lost


class TextPairTarget(PairTarget):
    """Pairs whose dialogues are plain text; checked by reading back."""

    def reads_back(self, row: RowData, preference: Preference, pair: tuple[int, int]) -> bool:
        wanted = [whole_dialogue(preference.prompt, preference.responses[k]) for k in pair]
        try:
            draft = parse_pair(row)
        except BadRow:
            return False
        return [whole_dialogue(draft.prompt, response) for response in draft.responses] == wanted


class TrlTarget(TextPairTarget):
    name = "trl"
    description = "TRL, explicit prompt, plain text; longer dialogues as transcripts"

    def pair(self, prompt: list[Message], chosen: Response, rejected: Response) -> RowData:
        if len(prompt) == 1 and prompt[0].role == "user":
            return {"prompt": prompt[0].content, "chosen": _tail(chosen), "rejected": _tail(rejected)}
        return {
            "prompt": render_transcript(prompt) + "\n\nAssistant:",
            "chosen": " " + _tail(chosen),
            "rejected": " " + _tail(rejected),
        }


class TrlImplicitTarget(TextPairTarget):
    name = "trl-implicit"
    description = "TRL, implicit prompt, plain text: whole transcripts, as HH-RLHF has them"

    def pair(self, prompt: list[Message], chosen: Response, rejected: Response) -> RowData:
        return {
            "chosen": render_transcript(whole_dialogue(prompt, chosen)),
            "rejected": render_transcript(whole_dialogue(prompt, rejected)),
        }


class TrlConversationalTarget(PairTarget):
    name = "trl-conversational"
    description = "TRL, explicit prompt, messages"

    def pair(self, prompt: list[Message], chosen: Response, rejected: Response) -> RowData:
        return {
            "prompt": _dumped(prompt),
            "chosen": _dumped(response_messages(chosen)),
            "rejected": _dumped(response_messages(rejected)),
        }


class TrlConversationalImplicitTarget(PairTarget):
    name = "trl-conversational-implicit"
    description = "TRL, implicit prompt, messages: whole dialogues"

    def pair(self, prompt: list[Message], chosen: Response, rejected: Response) -> RowData:
        return {
            "chosen": _dumped(whole_dialogue(prompt, chosen)),
            "rejected": _dumped(whole_dialogue(prompt, rejected)),
        }


class OpenRlhfTarget(TrlConversationalTarget):
    name = "openrlhf"
    description = "OpenRLHF with --apply_chat_template --prompt_key prompt --chosen_key chosen --rejected_key rejected"


class OpenRlhfPlainTarget(TrlTarget):
    name = "openrlhf-plain"
    description = "OpenRLHF without chat template: --prompt_key prompt --chosen_key chosen --rejected_key rejected"


class LlamaFactoryTarget(PairTarget):
    """https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md: turns alternate and start with the human."""

    name = "llamafactory"
    description = "LLaMA-Factory ranking data, sharegpt form, with dataset_info.json beside"
    holds = frozenset()

    def pair(self, prompt: list[Message], chosen: Response, rejected: Response) -> RowData | None:
        if not (isinstance(chosen, str) and isinstance(rejected, str) and _alternates(prompt)):
            return None
        names = {"user": "human", "assistant": "gpt", "system": "system"}
        return {
            "conversations": [{"from": names[m.role], "value": m.content} for m in prompt],
            "chosen": {"from": "gpt", "value": chosen},
            "rejected": {"from": "gpt", "value": rejected},
        }

    def dataset_info(self, file_name: str) -> RowData:
        columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
        return {"file_name": file_name, "formatting": "sharegpt", "ranking": True, "columns": columns}


class LlamaFactoryAlpacaTarget(PairTarget):
    name = "llamafactory-alpaca"
    description = "LLaMA-Factory ranking data, alpaca form, with dataset_info.json beside"
    holds = frozenset()

    def pair(self, prompt: list[Message], chosen: Response, rejected: Response) -> RowData | None:
        if not (isinstance(chosen, str) and isinstance(rejected, str) and _alternates(prompt)):
            return None
        system = prompt[0].content if prompt[0].role == "system" else ""
        turns = [m.content for m in prompt if m.role != "system"]
        history = [list(pair) for pair in zip(turns[:-1:2], turns[1::2], strict=True)]
        sides = {"chosen": chosen, "rejected": rejected}
        return {"instruction": turns[-1], "input": "", **sides, "system": system, "history": history}

    def dataset_info(self, file_name: str) -> RowData:
        columns = {"prompt": "instruction", "query": "input", "system": "system", "history": "history"}
        columns |= {"chosen": "chosen", "rejected": "rejected"}
        return {"file_name": file_name, "ranking": True, "columns": columns}


def _alternates(prompt: Sequence[Message]) -> bool:
    """Whether user and assistant take turns, the user first and last, at most one system message before them."""
    roles = [m.role for m in prompt]
    turns = roles[1:] if roles[0] == "system" else roles
    return len(turns) % 2 == 1 and turns == (["user", "assistant"] * len(turns))[: len(turns)]


def _dumped(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message.model_dump() for message in messages]


def _tail(response: Response) -> str:
    """A response as the text behind an open `Assistant:`; further turns follow as a transcript."""
    if isinstance(response, str):
        return response
    return render_transcript(response).removeprefix("\n\nAssistant: ")


def _transcripts_read_back(texts: list[str], dialogues: list[list[Message]]) -> bool:
    try:
        parsed = [parse_transcript(text, "text") for text in texts]
        fork(parsed, "text")
    except BadRow:
        return False
    return parsed == dialogues


_ALL: list[Target] = [
    *(OwnTarget(), TrlTarget(), TrlImplicitTarget(), TrlConversationalTarget(), TrlConversationalImplicitTarget()),
    *(DspTextScoreTarget(), OpenRlhfTarget(), OpenRlhfPlainTarget()),
    *(LlamaFactoryTarget(), LlamaFactoryAlpacaTarget()),
]

TARGETS: dict[str, Target] = {each.name: each for each in _ALL}


def target_named(name: str) -> Target:
    """The target of this name. Raises UserError with the nearest name and all of them."""
    if name not in TARGETS:
        raise UserError(f"there is no target '{name}'{nearest(name, TARGETS)}; known are {', '.join(TARGETS)}")
    return TARGETS[name]
