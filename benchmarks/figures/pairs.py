"""Pairs of helpful and harmless dialogues: ours against TRL as it comes, and against the best found for it."""

from __future__ import annotations

from benchmarks.measured import Measured, compared
from benchmarks.peers import AS_IT_COMES, batch_sizes_that_fit, best_options, pair_rows, peer_network, trl_side
from benchmarks.timing import alternate, fastest, run_clean
from benchmarks.training import our_side, without_onednn
from benchmarks.workload import STEP, Setting, grouped_pairs, random_pairs, reward_model
from rewardsmith.modeling.compiling import compile_modules

_STEPS = 2
TRL, TRL_BEST = "TRL", "TRL at its best"


def trl_default(setting: Setting) -> Measured:
    """A random sample of pairs; TRL's defaults in all but precision."""
    model = reward_model(setting)
    items = random_pairs(setting, model, STEP * setting.size(_STEPS, 1))
    peer = trl_side(setting, TRL, peer_network(setting, model), model, pair_rows(items), AS_IT_COMES)
    ours = our_side(setting, model, items)
    rounds = alternate([ours, peer, *without_onednn(ours)], setting.repeats)
    return compared(rounds, TRL, work=f"{len(items)} random pairs of helpful and harmless, {STEP} a step")


def trl_best(setting: Setting) -> Measured:
    """Steps as length grouping makes them; TRL without checkpointing, at the batch size that was fastest.

    Norms and MLPs are compiled on both sides: what that gains is in both times.
    """
    model = reward_model(setting)
    network = peer_network(setting, model)
    items = grouped_pairs(setting, model, setting.size(_STEPS, 1))
    rows = pair_rows(items)
    sizes = batch_sizes_that_fit(setting, network, rows)
    sides = {b: trl_side(setting, f"{TRL_BEST} ({b} a pass)", network, model, rows, best_options(b)) for b in sizes}
    for side in (model.backbone, network):
        compile_modules(side)
    run_clean(sides[sizes[0]])  # compiles
    best = fastest(sides)
    rounds = alternate([our_side(setting, model, items), sides[best]], setting.repeats)
    return compared(
        rounds,
        sides[best].name,
        work=f"{len(items)} pairs of helpful and harmless grouped by length, {STEP} a step",
        notes=[
            f"TRL's batch size {best} was the fastest of {', '.join(map(str, sizes))}",
            "norms and MLPs are compiled on both sides (torch.compile); compiling is not in the times",
        ],
    )
