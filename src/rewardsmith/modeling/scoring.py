"""Scoring files: rewards of candidates as JSON lines, in constant memory, and scorers for evaluation."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from rewardsmith.errors import ModelError, UserError
from rewardsmith.modeling.calibration import FloatArray
from rewardsmith.modeling.checkpoint import MODELS
from rewardsmith.modeling.judging import Judge, Judgement, best_first
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.candidates import CandidateReader, Candidates
from rewardsmith.preferences.reading import OnError
from rewardsmith.preferences.record import Preference, content_hash

if TYPE_CHECKING:
    from rich.console import Console

_CHUNK = 64
"""Prompts scored together: enough to fill buckets of like length, few enough that a pipe sees results soon."""


def score_lines(
    source: str,
    model: str,
    *,
    domain: str | None = None,
    format: str | None = None,
    on_error: OnError = "stop",
    console: Console | None = None,
    ranked: bool = False,
    calibrated: bool = False,
    length_controlled: bool = False,
    uncertainty: bool = False,
) -> None:
    """Writes `{"id", "rewards"}` (with `order`, best first, when `ranked`) to standard output for each of the source.

    Args:
        calibrated, length_controlled, uncertainty: what `Judge` gives; the last two imply the first.

    Raises:
        ModelError: `model` is no reward model, gives a reward that is not finite, or does not know what is asked for.
        DataError: a bad row, or an unreadable source.
    """
    reader = CandidateReader(source, format=format, domain=domain, on_error=on_error)
    loaded = RewardModel.from_pretrained(model, domain)
    judge = None
    if calibrated or length_controlled or uncertainty:
        judge = Judge(loaded, length_controlled=length_controlled, uncertainty=uncertainty)
    candidates = iter(reader)
    cut = 0
    with progress(console, "scoring", None) as advance:
        while chunk := list(itertools.islice(candidates, _CHUNK)):
            lines, shortened = _lines(loaded, judge, chunk, ranked)
            print("\n".join(lines))
            sys.stdout.flush()
            cut += shortened
            advance(len(chunk))
    if console is not None:
        for note in [*reader.notes, *_cut_note(loaded, cut)]:
            console.print(note, highlight=False, markup=False)


class ModelScorer:
    """A scorer for `evaluate`: loads the model now, scores when called, with a bar on `console`."""

    def __init__(self, model: str, domain: str | None, console: Console | None) -> None:
        self.name, self.console = model, console
        self.model = RewardModel.from_pretrained(model, domain)
        self._cut = 0
        self._watched: dict[int, Preference] = {}
        self._features: dict[int, FloatArray] = {}

    @property
    def notes(self) -> list[str]:
        """Sentences for the user about what was scored so far."""
        return [f"{self.name}: {note}" for note in _cut_note(self.model, self._cut)]

    def __call__(self, preferences: Sequence[Preference]) -> list[list[float]]:
        watched = [p for p in preferences if id(p) in self._watched]
        others = [p for p in preferences if id(p) not in self._watched]
        with progress(self.console, self.name, sum(len(p.responses) for p in preferences)) as advance:
            read = iter(self._read(watched, advance))
            scored = iter(self.model.score_preferences(others, on_progress=advance, on_cut=self._count_cut))
        return [next(read if id(p) in self._watched else scored) for p in preferences]

    def watch(self, preferences: Sequence[Preference]) -> None:
        """Asks for the features of these preferences to be kept when they are scored."""
        self._watched |= {id(p): p for p in preferences}

    def features(self, preferences: Sequence[Preference]) -> list[FloatArray]:
        """For each preference that was watched and scored, what the last layer read of its responses [r, width]."""
        return [self._features[id(p)] for p in preferences]

    def _read(self, preferences: Sequence[Preference], on_progress: Callable[[int], None]) -> list[list[float]]:
        """Scores and keeps the features."""
        if not preferences:
            return []
        sequences = self.model.text.batch([(p.prompt, r) for p in preferences for r in p.responses])
        self._count_cut(sum(s.is_cut for s in sequences))
        features, rewards = self.model.features_of(sequences, on_progress=on_progress)
        ends = np.cumsum([len(p.responses) for p in preferences])[:-1]
        self._features |= zip(map(id, preferences), np.split(features.double().numpy(), ends), strict=True)
        parts = zip(preferences, np.split(rewards.numpy(), ends), strict=True)
        return [rows[:, self.model.output_of(p.domain)].tolist() for p, rows in parts]

    def _count_cut(self, dialogues: int) -> None:
        self._cut += dialogues

    def key(self) -> str:
        """A hash of all that a reward depends on besides the dialogue: weights, head, template, length."""
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().reshape(-1).cpu().view(torch.uint8).numpy())
        info = self.model.info.model_dump(include={"pooling", "head", "layers", "depth", "domains"})
        return content_hash(digest.hexdigest(), info, self.model.tokenizer.chat_template, self.model.text.max_length)

    def seen(self, preferences: Sequence[Preference]) -> list[bool]:
        """Which of them have a prompt that the model was trained on."""
        trained_on = set(self.model.info.trained_on)
        return [content_hash(p.prompt_key()) in trained_on for p in preferences]


def check_domain(domain: str | None, scorers: Iterable[ModelScorer], sets: Mapping[str, Sequence[Preference]]) -> None:
    """Refuses a domain that neither chooses a model nor any preferences.

    Raises:
        UserError: as said.
    """
    if domain is None or any(p.domain == domain for preferences in sets.values() for p in preferences):
        return
    if not any((Path(scorer.name) / MODELS).is_dir() or domain in scorer.model.info.domains for scorer in scorers):
        raise UserError(f"there is no domain {domain!r} in these sets, and none of the models is one for it")


def check_unseen(scorers: Iterable[ModelScorer], sets: Mapping[str, Sequence[Preference]]) -> list[str]:
    """Remarks on sets whose prompts a model was trained on in part.

    Raises:
        UserError: a model was trained on all prompts of a set: its figures would say nothing.
    """
    remarks = []
    for scorer in scorers:
        for name, preferences in sets.items():
            seen = sum(scorer.seen(preferences))
            if preferences and seen == len(preferences):
                raise UserError(
                    f"{scorer.name} was trained on every prompt of the set '{name}': evaluate it on held-out "
                    "preferences, or say --seen to measure its memory"
                )
            if seen:
                remarks.append(
                    f"{scorer.name} was trained on the prompts of {seen} of the {len(preferences)} preferences of "
                    f"'{name}': its figures there are flattered"
                )
    return remarks


def unseen_by_all(
    scorers: Sequence[ModelScorer], sets: Mapping[str, Sequence[Preference]]
) -> tuple[dict[str, list[Preference]], list[str]]:
    """The preferences of each set on whose prompts no model was trained, and remarks on what was left out.

    Raises:
        UserError: nothing of a set is left, be it that one model was trained on all of it.
    """
    check_unseen(scorers, sets)
    found: dict[str, list[Preference]] = {}
    remarks = []
    for name, preferences in sets.items():
        seen = np.any([scorer.seen(preferences) for scorer in scorers], axis=0)
        found[name] = [p for p, known in zip(preferences, seen, strict=True) if not known]
        left_out = len(preferences) - len(found[name])
        if preferences and not found[name]:
            raise UserError(
                f"'{name}' has no prompt that none of the models was trained on: a verdict needs held-out preferences"
            )
        if left_out:
            remarks.append(
                f"{name}: {left_out} of {len(preferences)} preferences stand on prompts that a model was trained on; "
                "they are left out"
            )
    return found, remarks


def _lines(model: RewardModel, judge: Judge | None, chunk: Sequence[Candidates], ranked: bool) -> tuple[list[str], int]:
    """JSON lines of a chunk, and how many dialogues did not fit."""
    sequences = model.text.batch([(c.prompt, r) for c in chunk for r in c.responses])
    if judge is not None:
        judgements = judge.judge_all(sequences, [c.responses for c in chunk])
    else:
        rewards = iter(model.rewards_of(sequences).tolist())
        judgements = [Judgement([next(rewards)[0] for _ in c.responses]) for c in chunk]
    lines = []
    for candidate, judgement in zip(chunk, judgements, strict=True):
        found, doubts = judgement.rewards, judgement.doubts
        if not all(math.isfinite(reward) for reward in found):
            raise ModelError(f"record {candidate.id}: the model gives rewards that are not finite ({found})")
        row: dict[str, object] = {"id": candidate.id, "rewards": found}
        if ranked:
            row["order"] = best_first(found)
        if doubts is not None:
            row |= vars(doubts) if ranked else {"standard_errors": doubts.standard_errors}
        lines.append(json.dumps(row, ensure_ascii=False))
    return lines, sum(s.is_cut for s in sequences)


def _cut_note(model: RewardModel, cut: int) -> list[str]:
    """Says how many dialogues did not fit, if any."""
    limit = model.text.max_length
    return [f"{cut} dialogues are longer than {limit} tokens: the prompt's beginning was cut"] if cut else []


@contextmanager
def progress(console: Console | None, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if console is None or not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, advance=done)
