"""Queries answered five times: list-wise against their pairs, and four domains on one trunk against four runs."""

from __future__ import annotations

import torch

from benchmarks.figures.pairs import TRL, TRL_BEST
from benchmarks.measured import Measured, compared
from benchmarks.peers import AS_IT_COMES, best_options, by_length, pair_rows, peer_network, trl_side
from benchmarks.timing import Run, Side, alternate
from benchmarks.training import our_side
from benchmarks.workload import DOMAINS, Setting, domain_queries, one_domain_each, reward_model
from rewardsmith.batching.items import build_items

_LISTS = 2
"""Lists in one optimiser step: their 8 pairs are one batch of TRL's."""
_BATCH = 2
"""Pairs a pass of TRL at its best: sorted by length, hardly anything is padded."""


def dsp_listwise(setting: Setting) -> Measured:
    """Lists of five, one domain's own response preferred to the four others."""
    model = reward_model(setting)
    preferences = one_domain_each(domain_queries(setting, _LISTS * setting.size(2, 1)))
    items, _ = build_items(preferences, model.text, model.info.domains)
    rows = pair_rows(items)
    network, unchecked = peer_network(setting, model), peer_network(setting, model)
    best = best_options(_BATCH, step=4 * _LISTS)
    sides = [
        our_side(setting, model, items, step=_LISTS),
        trl_side(setting, TRL, network, model, rows, AS_IT_COMES),
        trl_side(setting, TRL_BEST, unchecked, model, by_length(rows), best),
    ]
    return compared(
        alternate(sides, setting.repeats),
        TRL,
        work=f"{len(items)} DSP lists of five, {_LISTS} a step; {len(rows)} pairs for TRL",
        notes=[f"{TRL_BEST}: no checkpointing, {_BATCH} pairs a pass accumulated to the same step, sorted by length"],
    )


def four_domains(setting: Setting) -> Measured:
    """All domains of the same queries in one pass, against a run of TRL for each."""
    model = reward_model(setting, DOMAINS)
    queries = domain_queries(setting, _LISTS)
    items, _ = build_items([p for query in queries for p in query], model.text, DOMAINS)
    network = peer_network(setting, model)
    heads = [weight.clone() for weight in model.head.state_dict()["weight"]]
    rows = [pair_rows(items, output=k) for k in range(len(DOMAINS))]

    def one_run_each() -> Run:
        runs = []
        for k in range(len(DOMAINS)):
            with torch.no_grad():
                network.get_submodule("score").get_parameter("weight").copy_(heads[k])
            runs.append(trl_side(setting, TRL, network, model, rows[k], AS_IT_COMES).run())
        return Run(sum(run.seconds for run in runs), sum(run.loss or 0.0 for run in runs) / len(runs))

    sides = [our_side(setting, model, items, step=_LISTS), Side(TRL, one_run_each)]
    return compared(
        alternate(sides, setting.repeats),
        TRL,
        work=f"{len(queries)} DSP queries for {len(DOMAINS)} domains; {sum(map(len, rows))} pairs for TRL in four runs",
    )
