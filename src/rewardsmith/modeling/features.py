"""What the last layer of a reward model reads, computed once for each text and kept on disk.

A head on these features trains and is judged in seconds, over methods, domains, seeds and runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.modeling.embedded import cache_root
from rewardsmith.modeling.frozen import digest_of
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.state_store import StateStore, make_room
from rewardsmith.preferences.record import Preference

FloatArray = npt.NDArray[np.float64]

_CHUNK = 64
"""Preferences computed together: what is kept after a kill."""


class FeatureBank:
    """Features [n, width] and rewards [n] of a model, by text."""

    def __init__(self, model: RewardModel) -> None:
        self.model = model
        width = model.last_layer.in_features + 1
        root, name = cache_root() / "features", f"{digest_of(model.parameters())}-{width}"
        make_room(root, keep=name)
        self._store = StateStore(root / name, width)
        self._memory: dict[str, FloatArray] = {}
        self._known: dict[int, tuple[Preference, tuple[FloatArray, FloatArray]]] = {}

    def fill(self, preferences: Sequence[Preference], on_progress: Callable[[int], None] | None = None) -> None:
        """Computes what is not there yet; `on_progress` is told how many preferences were just done."""
        for start in range(0, len(preferences), _CHUNK):
            chunk = preferences[start : start + _CHUNK]
            new = [p for p in chunk if id(p) not in self._known]
            texts = self.model.text.batch([(p.prompt, r) for p in new for r in p.responses])
            keys = [self._key(text) for text in texts]
            wanted = {key: text for key, text in zip(keys, texts, strict=True) if self._get(key) is None}
            if wanted:
                self._compute(wanted)
            rows = iter(keys)
            for p in new:
                found = np.stack([self._memory[next(rows)] for _ in p.responses])
                # The record is kept with its features: while it lives, no other has its id.
                self._known[id(p)] = (p, (found[:, :-1], found[:, -1]))
            if on_progress:
                on_progress(len(chunk))

    def of(self, preferences: Sequence[Preference]) -> list[tuple[FloatArray, FloatArray]]:
        """For each preference the features [r, width] and the rewards [r] of its responses."""
        self.fill([p for p in preferences if id(p) not in self._known])
        return [self._known[id(p)][1] for p in preferences]

    def close(self) -> None:
        """Lets the store be removed where room is needed."""
        self._store.close()

    def _compute(self, texts: dict[str, TokenizedResponse]) -> None:
        sequences = list(texts.values())
        features, rewards = self.model.features_of(sequences)
        rows = torch.cat([features, rewards[:, :1]], dim=1).numpy().astype(np.float32)
        self._store.put({key: row[None] for key, row in zip(texts, rows, strict=True)})
        for key, row in zip(texts, rows, strict=True):
            self._memory[key] = row.astype(np.float64)

    def _get(self, key: str) -> FloatArray | None:
        if key not in self._memory:
            row = self._store.get(key)
            if row is None:
                return None
            self._memory[key] = row[0].astype(np.float64)
        return self._memory[key]

    @staticmethod
    def _key(text: TokenizedResponse) -> str:
        return hashlib.blake2b(np.asarray(text.ids, np.int64).tobytes(), digest_size=16).hexdigest()
