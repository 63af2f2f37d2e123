"""`speed.md` out of the published figures: it reads their JSON alone, never a model or a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.curves import DEPTH

Entry = dict[str, Any]
"""A figure as `speed.json` holds it."""

ALLOWED_GAP = 1.0
"""Points of accuracy that a speed may cost and still count."""


def page_of(entries: Sequence[Entry], *, curves: bool) -> str:
    """The whole page; `curves` says whether theirs have been measured."""
    parts = [_HEAD]
    if entries:
        parts += [_table(entries), "![Every figure's ratio with its range, its floor and its aim](../images/speed.png)"]
        parts += ["## How each was measured", *(_detail(entry) for entry in entries)]
    if curves:
        parts.append(_CURVES)
    return "\n\n".join(parts) + "\n"


def _table(entries: Sequence[Entry]) -> str:
    rows = ["| figure | what | ratio [low, high] | floor | aim | |", "|---|---|--:|--:|--:|---|"]
    for e in entries:
        name, floor, aim = f"`{e['figure']}`", f"{e['floor']:g}", f"{e['aim']:g}"
        rows.append(
            f"| {name} | {e['what']} | **{_number(e['ratio'])}** {_range(e)} | {floor} | {aim} | {_verdict(e)} |"
        )
    return "\n".join(rows)


def _verdict(entry: Entry) -> str:
    if entry["ratio"] < entry["floor"]:
        return "floor missed"
    verdict = "aim reached" if entry["ratio"] >= entry["aim"] else "above the floor"
    if "accuracy_gap" not in entry:
        return verdict
    if entry["accuracy_gap"] is None:
        return f"{verdict}, accuracy owed"
    return verdict if entry["accuracy_gap"] >= -ALLOWED_GAP else "does not count: accuracy lost"


def _detail(entry: Entry) -> str:
    m: Mapping[str, Any] = entry["measured"]
    said = [f"{entry['work']}; against {entry['against']}"]
    said += [f"also against {name}: {_number(other['ratio'])} {_range(other)}" for name, other in entry["also"].items()]
    for name, seconds in entry["seconds"].items():
        said.append(f"seconds of {name}: " + ", ".join(f"{s:.2f}" for s in seconds))
    if entry["loss"]:
        said.append("mean training loss: " + ", ".join(f"{name} {loss:.4f}" for name, loss in entry["loss"].items()))
    said += entry["notes"]
    if "accuracy_gap" in entry:
        gap = "not measured" if entry["accuracy_gap"] is None else f"{entry['accuracy_gap']:+.1f}"
        said.append(f"accuracy gap: {gap} ({entry['accuracy_note']})")
    said.append(
        f"`{m['command']}`; seed {m['seed']}, commit {m['commit']}, {m['date']}; {m['model']}, {m['precision']}; "
        f"{m['machine']}; {m['versions']}"
    )
    return f"### {entry['figure']}\n\n" + "\n".join(f"- {text[0].upper()}{text[1:]}." for text in said)


def _range(value: Mapping[str, float]) -> str:
    return f"[{_number(value['low'])}, {_number(value['high'])}]"


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_HEAD = """# Speed

<!-- Written by `make bench` from speed.json; do not edit. -->

How many times as long (or as much memory) the peer takes for the same work; `matmul_peak` and `overhead` are about our
own step. The sides run in turn in one process, on the same weights, tokens, precision and threads, after a round that
warms up: the median of the rounds' ratios, with the lowest and the highest. Whole optimiser steps are timed, from
collating the batch to the optimiser's update, ours through `PreferenceTrainer` and TRL's through its own
`RewardTrainer`; the optimiser's states are there before the clock starts, and nothing is saved. Where both report the
same mean loss they did the same work.

*TRL* means TRL as it comes, by the defaults of its `RewardConfig`: gradient checkpointing, batches of 8 pairs in random
order, fused AdamW; only its bfloat16 default is replaced by the precision of both. *TRL at its best* means no gradient
checkpointing, batches grouped by length, and the fastest of the batch sizes that fit into memory (2, 4 or 8,
accumulated to the same step).

Part of a ratio is the machine's: on AVX-512 CPUs of other makers than Intel a reward model's float32 linear layers are
multiplied by oneDNN, where PyTorch by itself, and with it every peer, uses MKL at half its rate
([how fast a token is](../design/trees.md#how-fast-a-token-is)). *Ours without oneDNN* is what sharing alone gives:
divided by that of ours without it a ratio is about what to expect on an Intel CPU, where none was measured."""

_CURVES = f"""## Curves

![Seconds of a pass over responses, prompt tokens and domains, ours and padded](../images/speed_curves.png)

Made-up tokens, the first {DEPTH} layers; *padded* is TRL without checkpointing, a run for each domain. Responses: a
prompt of 256 tokens and responses of 128, the first preferred to all others. Prompt: two responses of 128. Domains: two
responses of 64 to a prompt of 64. `python -m benchmarks --figure curves`; numbers in
[speed_curves.json](speed_curves.json)."""
