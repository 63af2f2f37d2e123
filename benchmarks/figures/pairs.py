"""Pairs of helpful and harmless dialogues: ours against TRL as it comes, and against the best found for it."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from benchmarks.measured import OURS, Measured, compared
from benchmarks.peers import AS_IT_COMES, Options, batch_sizes_that_fit, best_options, pair_rows, peer_network
from benchmarks.peers import trl_trainer as trainer_of
from benchmarks.timing import Side, alternate, fastest
from benchmarks.training import our_trainer, timed
from benchmarks.workload import STEP, Setting, grouped_pairs, random_pairs, reward_model
from rewardsmith.batching.items import Item
from rewardsmith.modeling.reward_model import RewardModel

_STEPS = 2
TRL, TRL_BEST = "TRL", "TRL at its best"


def trl_default(setting: Setting) -> Measured:
    """A random sample of pairs; TRL's defaults in all but precision."""
    model = reward_model(setting)
    items = random_pairs(setting, model, STEP * setting.size(_STEPS, 1))
    peer = trl_side(setting, TRL, peer_network(setting, model), model, items, AS_IT_COMES)
    rounds = alternate([our_side(setting, model, items), peer], setting.repeats)
    return compared(rounds, TRL, work=f"{len(items)} random pairs of helpful and harmless, {STEP} a step")


def trl_best(setting: Setting) -> Measured:
    """Steps as length grouping makes them; TRL without checkpointing, at the batch size that was fastest."""
    model = reward_model(setting)
    network = peer_network(setting, model)
    items = grouped_pairs(setting, model, setting.size(_STEPS, 1))
    sizes = batch_sizes_that_fit(setting, network, pair_rows(items))
    sides = {b: trl_side(setting, f"{TRL_BEST} ({b} a pass)", network, model, items, best_options(b)) for b in sizes}
    best = fastest(sides)
    rounds = alternate([our_side(setting, model, items), sides[best]], setting.repeats)
    return compared(
        rounds,
        sides[best].name,
        work=f"{len(items)} pairs of helpful and harmless grouped by length, {STEP} a step",
        notes=[f"TRL's batch size {best} was the fastest of {', '.join(map(str, sizes))}"],
    )


def our_side(setting: Setting, model: RewardModel, items: Sequence[Item], step: int = STEP) -> Side:
    """One pass of ours over the items."""
    return Side(OURS, lambda: timed(our_trainer(setting, model, items, step=step)))


def trl_side(
    setting: Setting,
    name: str,
    network: PreTrainedModel,
    model: RewardModel,
    items: Sequence[Item],
    options: Options,
) -> Side:
    """One pass of TRL's over the items' pairs."""
    rows = pair_rows(items)
    return Side(name, lambda: timed(trainer_of(setting, network, model, rows, options)))
