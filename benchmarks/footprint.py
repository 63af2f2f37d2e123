"""The memory of one training step, in a process of its own: `python -m benchmarks.footprint SIDE ...` prints bytes.

On a CPU it is the resident memory above what the loaded model takes, looked at every few milliseconds; on a GPU what
torch allocated at most, above the same.
"""

from __future__ import annotations

import argparse
import gc
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from transformers import Trainer

from benchmarks.measured import OURS
from benchmarks.peers import AS_IT_COMES, best_options, pair_rows, peer_network, trl_trainer
from benchmarks.training import our_trainer, timed
from benchmarks.workload import STEP, Setting, random_pairs, reward_model

OURS_CHECKPOINTED = f"{OURS}, checkpointing"
TRL, TRL_CHECKPOINTED = "TRL without checkpointing", "TRL as it comes"
SIDES = (OURS, TRL, OURS_CHECKPOINTED, TRL_CHECKPOINTED)
_EVERY = 0.005
"""Seconds between two looks at the resident memory."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Loads the side's model, trains one step, prints the peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", action="store_true")
    options = vars(parser.parse_args(arguments))
    side = options.pop("side")
    setting = Setting(**options)
    torch.set_num_threads(setting.threads)
    trainer = _trainer(setting, side)
    gc.collect()
    with _peak(setting.device) as peak:
        timed(trainer)
    print(json.dumps({"bytes": peak[0]}))


def _trainer(setting: Setting, side: str) -> Trainer:
    """One step of `STEP` pairs in one pass; the other side's network is not in memory."""
    model = reward_model(setting)
    items = random_pairs(setting, model, STEP)
    if side in (OURS, OURS_CHECKPOINTED):
        return our_trainer(setting, model, items, gradient_checkpointing=side == OURS_CHECKPOINTED)
    network = peer_network(setting, model)
    del model.network
    return trl_trainer(
        setting, network, model, pair_rows(items), AS_IT_COMES if side == TRL_CHECKPOINTED else best_options(STEP)
    )


@contextmanager
def _peak(device: str) -> Iterator[list[int]]:
    """Bytes above those at its beginning, in a list of one that is filled at its end."""
    found = [0]
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        yield found
        found[0] = torch.cuda.max_memory_allocated() - before
        return
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(_EVERY):
            found[0] = max(found[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    main()
