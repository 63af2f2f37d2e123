"""Do four domains on one trunk rank as well as four models that TRL trains? Both trained for real, once over the data.

Same preferences, learning rate, schedule and preferences to a step; measured on the validation part, paired by prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.peers import best_options, pair_rows, peer_network, trl_trainer
from benchmarks.timing import say
from benchmarks.training import our_trainer, timed
from benchmarks.workload import DOMAINS, SEED, Setting, domain_queries, reward_model
from rewardsmith.batching.items import Item, build_items
from rewardsmith.evaluation.compare import compare_models
from rewardsmith.evaluation.result import Comparison
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.modeling.domains import domain_model
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.splitting import split_preferences
from rewardsmith.training.recipe import SplitSpec

LEARNING_RATE = 1e-4
"""TRL's own default, for both."""
_QUERIES, _PAIRS = 8, 4
"""Queries to a step, and pairs of each for one domain."""
_WARMUP = 0.1


def accuracy_gap(setting: Setting) -> Comparison:
    """Accuracy over the four domains, ours minus TRL's."""
    every = [p for query in domain_queries(setting) for p in query]
    parts = split_preferences(every, SplitSpec().shares(), seed=SEED)
    train, measured = parts["train"], parts["validation"]
    model = reward_model(setting, DOMAINS, loud=False)
    items, _ = build_items(train, model.text, DOMAINS)
    theirs = [p for k in range(len(DOMAINS)) for p in _trained_by_trl(setting, model, items, k, measured)]
    run = timed(our_trainer(setting, model, items, step=_QUERIES, learning_rate=LEARNING_RATE, warmup=_WARMUP))
    say(f"  ours: trained on {len(items)} queries in {run.seconds:.0f} s, loss {run.loss:.3f}")
    ours = _scored(model, measured)
    return compare_models(ours, theirs, set_name="validation", names=("ours", "TRL"), seed=SEED)


def _trained_by_trl(
    setting: Setting, model: RewardModel, items: Sequence[Item], k: int, measured: Sequence[Preference]
) -> list[ScoredPreference]:
    """The preferences of domain k, scored by what TRL trained on that domain alone from the weights of `model`."""
    network, rows = peer_network(setting, model, DOMAINS[k]), pair_rows(items, output=k)
    step = _QUERIES * _PAIRS
    options = {
        **best_options(_PAIRS, step),
        "train_sampling_strategy": "random",
        "learning_rate": LEARNING_RATE,
        "warmup_steps": round(_WARMUP * -(-len(rows) // step)),
    }
    run = timed(trl_trainer(setting, network, model, rows, options))
    say(f"  TRL, {DOMAINS[k]}: trained on {len(rows)} pairs in {run.seconds:.0f} s, loss {run.loss:.3f}")
    trained = RewardModel(network, model.tokenizer, domain_model(model, DOMAINS[k]).info)
    return _scored(trained, [p for p in measured if p.domain == DOMAINS[k]])


def _scored(model: RewardModel, preferences: Sequence[Preference]) -> list[ScoredPreference]:
    with torch.no_grad():
        rewards = model.score_preferences(preferences)
    return list(map(ScoredPreference.of, preferences, rewards))
