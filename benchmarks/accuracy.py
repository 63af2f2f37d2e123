"""Do four domains on one trunk rank as well as four models that TRL trains? Both trained for real, once over the data.

Same preferences, learning rate, schedule, and pairs to a step; measured on the validation part, paired by prompt.
What each of the five trained models gives is kept: hours of training go on where they were stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.peers import best_options, pair_rows, peer_network, trl_trainer
from benchmarks.timing import say
from benchmarks.training import our_trainer, timed
from benchmarks.workload import DOMAINS, SEED, Setting, domain_queries, reward_model
from rewardsmith.batching.items import Item, build_items
from rewardsmith.evaluation.compare import compare_models
from rewardsmith.evaluation.result import Comparison
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.files import write_whole
from rewardsmith.modeling.domains import domain_model
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference, content_hash
from rewardsmith.preferences.splitting import split_preferences
from rewardsmith.training.recipe import SplitSpec

LEARNING_RATE = 1e-4
"""TRL's own default, for both."""
_PAIRS = 4
"""Pairs of a query for one domain; TRL takes as many a pass."""
_STEP = 32
"""Pairs to an optimiser step, of four domains or of one: both sides take as many steps in all."""
_WARMUP = 0.1


Rewards = list[list[float]]


@dataclass(frozen=True)
class _Kept:
    """Rewards by trained models, in `folder` under all that they depend on."""

    folder: Path
    key: str

    def rewards(self, name: str, train: Callable[[], Rewards]) -> Rewards:
        """What is kept under `name`, or what `train` gives, kept."""
        path = self.folder / f"{name}-{self.key}.json"
        if path.is_file():
            say(f"  {name}: trained before, {path}")
            kept: Rewards = json.loads(path.read_text(encoding="utf-8"))
            return kept
        rewards = train()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(rewards))
        return rewards


def accuracy_gap(setting: Setting, folder: Path) -> Comparison:
    """Accuracy over the four domains, ours minus TRL's; trained models' rewards are kept in `folder` and taken up."""
    every = [p for query in domain_queries(setting) for p in query]
    parts = split_preferences(every, SplitSpec().shares(), seed=SEED)
    train, measured = parts["train"], parts["validation"]
    model = reward_model(setting, DOMAINS, loud=False)
    items, _ = build_items(train, model.text, DOMAINS)
    kept = _Kept(folder, _key(setting, train, measured))
    theirs: list[ScoredPreference] = []
    for k, domain in enumerate(DOMAINS):
        own = [p for p in measured if p.domain == domain]
        rewards = kept.rewards(f"trl-{domain}", lambda k=k, own=own: _trained_by_trl(setting, model, items, k, own))  # type: ignore[misc]
        theirs += map(ScoredPreference.of, own, rewards)
    rewards = kept.rewards("ours", lambda: _trained_by_us(setting, model, items, measured))
    ours = list(map(ScoredPreference.of, measured, rewards))
    return compare_models(ours, theirs, set_name="validation", names=("ours", "TRL"), seed=SEED)


def _key(setting: Setting, train: Sequence[Preference], measured: Sequence[Preference]) -> str:
    """Of the precision, what was trained on and measured, and how: what else changes (a package) is not told apart."""
    ids = [[p.id for p in part] for part in (train, measured)]
    return content_hash(setting.device, setting.bf16, setting.tiny, ids, LEARNING_RATE, _PAIRS, _STEP, _WARMUP, SEED)


def _trained_by_us(
    setting: Setting, model: RewardModel, items: Sequence[Item], measured: Sequence[Preference]
) -> Rewards:
    """Rewards of the preferences, all four domains trained on one trunk."""
    queries = _STEP // (_PAIRS * len(DOMAINS))
    run = timed(our_trainer(setting, model, items, step=queries, learning_rate=LEARNING_RATE, warmup=_WARMUP))
    say(f"  ours: trained on {len(items)} queries in {run.seconds:.0f} s, loss {run.loss:.3f}")
    return _rewards(model, measured)


def _trained_by_trl(
    setting: Setting, model: RewardModel, items: Sequence[Item], k: int, measured: Sequence[Preference]
) -> Rewards:
    """Rewards of the preferences, by what TRL trained on domain k alone from the weights of `model`."""
    network, rows = peer_network(setting, model, DOMAINS[k]), pair_rows(items, output=k)
    options = {
        **best_options(_PAIRS, _STEP),
        "train_sampling_strategy": "random",
        "learning_rate": LEARNING_RATE,
        "warmup_steps": round(_WARMUP * -(-len(rows) // _STEP)),
    }
    run = timed(trl_trainer(setting, network, model, rows, options))
    say(f"  TRL, {DOMAINS[k]}: trained on {len(rows)} pairs in {run.seconds:.0f} s, loss {run.loss:.3f}")
    return _rewards(RewardModel(network, model.tokenizer, domain_model(model, DOMAINS[k]).info), measured)


def _rewards(model: RewardModel, preferences: Sequence[Preference]) -> Rewards:
    with torch.no_grad():
        return [list(map(float, rewards)) for rewards in model.score_preferences(preferences)]
