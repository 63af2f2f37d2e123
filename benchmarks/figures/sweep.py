"""Several seeds with the lower half frozen: the frozen states kept in our store, against computing them anew.

The store starts empty, so its filling is counted; so is looking for it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.measured import OURS, Measured, compared
from benchmarks.peers import best_options, by_length, pair_rows, peer_network, trl_side
from benchmarks.timing import Run, Side, alternate
from benchmarks.training import now, our_trainer, timed
from benchmarks.workload import STEP, Setting, draw_head, random_pairs, reward_model
from rewardsmith.batching.items import Item
from rewardsmith.modeling.building import freeze_layers, freeze_network
from rewardsmith.modeling.frozen import freeze_prefix
from rewardsmith.modeling.reward_model import RewardModel

_SEEDS = 5
_UNCACHED, _ALL_TRAINED, _TRL = "frozen, uncached", "nothing frozen", "TRL, frozen"
_TRL_BATCH = 4
"""Pairs a pass, what `trl_best` found or close to it."""


def cached_sweep(setting: Setting) -> Measured:
    """Every seed draws a head and an order of the same pairs, and trains once over them."""
    model = reward_model(setting)
    items = random_pairs(setting, model, STEP)
    half = model.inner.config.get_text_config().num_hidden_layers // 2
    sides = [
        Side(OURS, lambda: _cached(setting, model, items, half)),
        Side(_UNCACHED, lambda: _sweep(setting, model, items, half)),
        Side(_ALL_TRAINED, lambda: _sweep(setting, model, items, 0)),
        Side(_TRL, lambda: _trl_sweep(setting, model, items, half)),
    ]
    return compared(
        alternate(sides, setting.repeats),
        _UNCACHED,
        work=f"{_SEEDS} seeds over {len(items)} random pairs, {half} layers frozen; the store starts empty",
        notes=[
            "by arithmetic: frozen layers cost a forward pass, trained ones three; so the store can save at most a "
            f"quarter of the uncached cost (4/3), {20 / 16:.2f} over five seeds whose first fills it"
        ],
    )


def _cached(setting: Setting, model: RewardModel, items: Sequence[Item], half: int) -> Run:
    def open_store() -> None:
        model.frozen = freeze_prefix(model.backbone, half)
        assert model.frozen is not None, "the embedded backbone can be entered in its middle"

    with _empty_cache():
        return _sweep(setting, model, items, half, open_store)


def _sweep(
    setting: Setting, model: RewardModel, items: Sequence[Item], frozen: int, prepare: Callable[[], None] | None = None
) -> Run:
    model.requires_grad_(True)
    freeze_layers(model, frozen)

    def train(seed: int) -> Run:
        start = now()
        if prepare is not None:
            prepare()
        prepared = now() - start
        try:
            run = timed(our_trainer(setting, model, items, seed=seed))
        finally:
            if model.frozen is not None:
                model.frozen.store.close()
                model.frozen = None
        return Run(prepared + run.seconds, run.loss)

    return _over_seeds(model, train)


def _trl_sweep(setting: Setting, model: RewardModel, items: Sequence[Item], frozen: int) -> Run:
    """The same seeds and frozen layers through TRL at its best, which has no store."""
    rows = by_length(pair_rows(items))

    def train(_: int) -> Run:
        network = peer_network(setting, model)
        freeze_network(network, frozen)
        return trl_side(setting, _TRL, network, model, rows, best_options(_TRL_BATCH)).run()

    return _over_seeds(model, train)


def _over_seeds(model: RewardModel, train: Callable[[int], Run]) -> Run:
    """A head drawn for every seed and trained: the seconds in all, the mean loss."""
    runs = []
    for seed in range(_SEEDS):
        draw_head(model, seed)
        runs.append(train(seed))
    return Run(sum(run.seconds for run in runs), sum(run.loss or 0.0 for run in runs) / len(runs))


@contextmanager
def _empty_cache() -> Iterator[None]:
    """A cache folder of its own while frozen states are kept."""
    before = os.environ.get("REWARDSMITH_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REWARDSMITH_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["REWARDSMITH_CACHE"]
            else:
                os.environ["REWARDSMITH_CACHE"] = before
