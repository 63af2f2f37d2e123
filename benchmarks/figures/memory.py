"""Peak memory of a step over the same eight pairs in one pass, each side in fresh processes (`footprint`)."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.footprint import OURS_CHECKPOINTED, SIDES, TRL, TRL_CHECKPOINTED
from benchmarks.measured import OURS, Measured
from benchmarks.timing import Ratio, say
from benchmarks.workload import STEP, Setting
from rewardsmith.errors import RewardsmithError


def memory(setting: Setting) -> Measured:
    """Like with like: both without gradient checkpointing; beside it, both with."""
    peaks: dict[str, list[int]] = {side: [] for side in SIDES}
    for k in range(setting.repeats):
        for side in SIDES:
            peaks[side].append(_peak(setting, side))
            say(f"  round {k + 1}/{setting.repeats}: {side} {peaks[side][-1] / 1e9:.2f} GB")
    shown = ", ".join(f"{side} {max(values) / 1e9:.2f} GB" for side, values in peaks.items())
    return Measured(
        ratio=_over(peaks[TRL], peaks[OURS]),
        against=TRL,
        work=f"one step of {STEP} random pairs in one pass; peak above the loaded model, each in a fresh process",
        also={
            f"{TRL_CHECKPOINTED}, ours with checkpointing too": _over(peaks[TRL_CHECKPOINTED], peaks[OURS_CHECKPOINTED])
        },
        notes=[f"highest peaks: {shown}", "gradients and AdamW's states, the same for all, are part of every peak"],
    )


def _over(peer: list[int], ours: list[int]) -> Ratio:
    return Ratio.of([p / o for p, o in zip(peer, ours, strict=True)])


def _peak(setting: Setting, side: str) -> int:
    places = [f"--data={setting.data}", f"--scratch={setting.scratch}"]
    how = [f"--threads={setting.threads}", f"--device={setting.device}", *(["--tiny"] if setting.tiny else [])]
    command = [sys.executable, "-m", "benchmarks.footprint", side, *places, *how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RewardsmithError(f"the memory of {side!r} could not be measured (exit {done.returncode}): {reason}")
    peak: int = json.loads(done.stdout.splitlines()[-1])["bytes"]
    return peak
