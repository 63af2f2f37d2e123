"""Frozen layers read from disk while a model is trained or scored: the store is opened, and closed for others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rewardsmith.modeling.building import freeze_layers
from rewardsmith.modeling.frozen import freeze_prefix
from rewardsmith.modeling.reward_model import RewardModel


@contextmanager
def reused_layers(model: RewardModel, count: int) -> Iterator[None]:
    """Freezes the embeddings and the first `count` layers of `model`, for good; within the context their states are
    kept on disk and read back, where the architecture can be entered between layers.

    Rewards are those of the plain pass up to rounding. Models with the same frozen weights share a store: one at a time
    keeps what is new in it.

    Raises:
        ModelError: the backbone has fewer layers.
    """
    freeze_layers(model, count)
    if model.trees:
        model.frozen = freeze_prefix(model.backbone, count)
    try:
        yield
    finally:
        if model.frozen is not None:
            model.frozen.store.close()
            model.frozen = None
