"""Scores a large file of preferences on any number of processes, GPUs or machines:

    accelerate launch --num_processes 8 examples/score_many.py MODEL preferences.jsonl rewards.jsonl

Every process loads the model and takes its part of each chunk; the main process writes one line a record, in the order
of the file. Any format that `rewardsmith inspect` knows can be read; a chunk at a time is in memory.
"""

from __future__ import annotations

import itertools
import json
import os
import sys

from accelerate import PartialState
from accelerate.utils import gather_object

from rewardsmith import RewardModel, read_preferences

CHUNK = 20_000


def main(path: str, data: str, out: str) -> None:
    """Writes `{"id": ..., "rewards": [...]}` for every preference of `data`."""
    state = PartialState(cpu=os.environ.get("ACCELERATE_USE_CPU") == "true")
    model = RewardModel.from_pretrained(path, device=str(state.device))
    preferences = iter(read_preferences(data))
    with open(out if state.is_main_process else os.devnull, "w", encoding="utf-8") as file:
        while chunk := list(itertools.islice(preferences, CHUNK)):
            with state.split_between_processes(chunk) as mine:
                rewards = zip([p.id for p in mine], model.score_preferences(mine), strict=True)
            for identity, scored in gather_object(list(rewards)):
                file.write(json.dumps({"id": identity, "rewards": scored}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
