"""The order of an epoch: a shuffle in which everything comes exactly once, however it is shared out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.batching.sharding import ShardedBatches, balance


@settings(max_examples=100)
@given(
    tokens=st.lists(st.integers(1, 500), min_size=1, max_size=60),
    batch_size=st.integers(1, 16),
    parts=st.integers(1, 4),
    world=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_everything_comes_once_an_epoch(tokens: list[int], batch_size: int, parts: int, world: int, seed: int) -> None:
    shards = [ShardedBatches(tokens, batch_size, parts, rank=r, world=world, seed=seed) for r in range(world)]
    epochs = []
    for epoch in (0, 1):
        given_out = []
        for shard in shards:
            shard.set_epoch(epoch)
            given_out.append(list(shard))
            assert len(given_out[-1]) == len(shard) == -(-len(tokens) // batch_size) * parts
        steps = [
            sorted(k for mine in given_out for part in mine[s * parts : (s + 1) * parts] for k in part)
            for s in range(len(shards[0]) // parts)
        ]
        assert sorted(k for step in steps for k in step) == list(range(len(tokens)))
        assert all(len(step) == batch_size for step in steps[:-1])
        epochs.append(steps)
    single = ShardedBatches(tokens, batch_size, 1, seed=seed)
    single.set_epoch(1)
    assert [sorted(step) for step in single] == epochs[1], "the global batches do not depend on how they are shared out"


@settings(max_examples=50)
@given(fixed=st.integers(0, 10), rotating=st.integers(1, 20), drawn=st.integers(1, 25), seed=st.integers(0, 3))
def test_items_take_turns_until_all_have_come(fixed: int, rotating: int, drawn: int, seed: int) -> None:
    batches = ShardedBatches([1] * (fixed + rotating), 4, 1, seed=seed, rotating=rotating, drawn=drawn)
    drawn = min(drawn, rotating)
    came: list[int] = []
    for epoch in range(5):
        batches.set_epoch(epoch)
        given_out = [list(batches), list(batches)]
        assert given_out[0] == given_out[1] and len(given_out[0]) == len(batches)
        items = sorted(k for batch in given_out[0] for k in batch)
        assert items[:fixed] == list(range(fixed)) and len(set(items)) == len(items) == fixed + drawn
        came += items[fixed:]
    counts = [came.count(k) for k in range(fixed, fixed + rotating)]
    assert max(counts) - min(counts) <= 1


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = ShardedBatches([1] * 50, 5, 1, seed=seed)
        batches.set_epoch(epoch)
        return [k for batch in batches for k in batch]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert order(0, 0) != list(range(50))


def test_shares_are_about_equal_in_tokens() -> None:
    tokens = [100, 90, 30, 30, 30, 20]
    shares = balance(range(6), tokens, 2)
    loads = [sum(tokens[k] for k in share) for share in shares]
    assert sorted(k for share in shares for k in share) == list(range(6))
    assert abs(loads[0] - loads[1]) <= 30
