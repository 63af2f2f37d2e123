"""Training on prompt trees is training on padded rows: the same rewards, losses and gradients, and TRL's own steps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, PreTrainedModel, Trainer, TrainingArguments

from rewardsmith.batching.items import Item, Judgement, build_items
from rewardsmith.batching.layout import Layout
from rewardsmith.batching.rows import Rows
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Message, Preference
from rewardsmith.training.batch import Batch, Collator
from rewardsmith.training.recipe import LossSpec
from rewardsmith.training.trainer import PreferenceTrainer

InDouble = Callable[[torch.nn.Module], AbstractContextManager[None]]
Tensors = dict[str, torch.Tensor]

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
few = settings(max_examples=4, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def batches(draw: st.DrawFn) -> list[Item]:
    """1 to 4 preferences of 2 to 8 responses, whose prompts share beginnings at several levels.

    A response may be of one token, the same as another, or fork from it anywhere; texts may be cut on either side. The
    tokens themselves are random: rewards of texts that only repeat a token are equal, and their gradients nothing but
    rounding.
    """
    rng = random.Random(draw(st.integers(0, 2**32)))

    def fork(stems: list[tuple[int, ...]], longest: int) -> tuple[int, ...]:
        stem = draw(st.sampled_from(stems))
        kept = stem[: draw(st.just(len(stem)) | st.integers(0, len(stem)))]
        new = draw(st.sampled_from([0, 1]) | st.integers(2, longest))
        return kept + tuple(rng.randrange(10, 310) for _ in range(max(new, not kept)))

    length = draw(st.sampled_from([10, 30, 100]))
    window = slice(-length, None) if draw(st.booleans()) else slice(length)
    prompts: list[tuple[int, ...]] = [()]
    items = []
    for k in range(draw(st.integers(1, 4))):
        prompts.append(fork(prompts, 40))
        responses = [()]
        for _ in range(draw(st.integers(2, 8))):
            responses.append(fork(responses, 20))
        tokens = [(prompts[-1] + response)[window] for response in responses[1:]]
        start = [max(0, min(len(prompts[-1]), len(t) - 1)) for t in tokens]
        scores = [1.0, *(draw(st.sampled_from([0.0, 0.5, 1.0])) for _ in tokens[1:])]
        judgement = Judgement(tuple(scores), 0, draw(st.sampled_from([0.0, 0.5])), f"record-{k}")
        reference = tuple((rng.gauss(0, 1),) for _ in tokens) if draw(st.booleans()) else None
        texts = tuple(TokenizedResponse(t, s) for t, s in zip(tokens, start, strict=True))
        items.append(Item(texts, (judgement,), general=reference is not None, reference=reference))
    return items


LOSSES = st.builds(
    LossSpec,
    ranking=st.sampled_from([1.0, 0.0]),
    reduction=st.sampled_from(["preference", "pair"]),
    label_smoothing=st.sampled_from([0.0, 0.1]),
    ties=st.sampled_from(["ignore", "half"]),
    centring=st.sampled_from([0.0, 0.01]),
    imitation=st.sampled_from([0.0, 0.3]),
    imitation_scaling=st.sampled_from(["response", "sequence", "grm"]),
    distillation=st.sampled_from([0.0, 0.5]),
    distillation_temperature=st.sampled_from([1.0, 2.0]),
).filter(lambda spec: spec.ranking or spec.imitation or spec.centring)
"""Every loss in each of its forms, alone and with others; margins come with the preferences."""


def _measure(model: RewardModel, batch: Batch, spec: LossSpec) -> tuple[Tensors, Tensors, Tensors]:
    """Rewards and loss; the gradient of each parameter; and that gradient were no response's share in it negative."""
    output = model(batch.rows)
    loss = PreferenceTrainer._losses(SimpleNamespace(losses=spec), output, batch, batch.counts)  # type: ignore[arg-type]
    results = [t for t in (output.rewards, output.lm_nll) if t.requires_grad]
    weights = torch.autograd.grad(loss, results, retain_graph=True, materialize_grads=True)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def gradients(weights: Sequence[torch.Tensor]) -> Tensors:
        found = torch.autograd.grad(
            results, list(parameters.values()), weights, retain_graph=True, materialize_grads=True, allow_unused=True
        )
        return dict(zip(parameters, found, strict=True))

    values = {"rewards": output.rewards.detach(), "loss": loss.detach()}
    return values, gradients(weights), gradients([w.abs() for w in weights])


def _padded_on_the_left(rows: Rows) -> Rows:
    """The same padded rows with their padding before the text."""
    assert rows.attention_mask is not None
    width = rows.input_ids.shape[1]
    shift = width - rows.attention_mask.sum(dim=1)

    def moved(places: torch.Tensor) -> torch.Tensor:
        return places + shift[places // width]

    order = (torch.arange(width) - shift[:, None]) % width
    return replace(
        rows,
        input_ids=rows.input_ids.gather(1, order),
        attention_mask=rows.attention_mask.gather(1, order),
        last=moved(rows.last),
        member=moved(rows.member),
        lm_state=moved(rows.lm_state),
    )


def _check(
    model: RewardModel, precision: torch.dtype, items: list[Item], spec: LossSpec, budget: int, left: bool
) -> None:
    span = "sequence" if spec.imitation_scaling == "sequence" else "response"
    trees, padded = (
        Collator(spec, Layout(model.layout().pad_id, form, budget, span), items[0])(items) for form in (True, False)
    )
    if left:
        padded = replace(padded, rows=[_padded_on_the_left(rows) for rows in padded.rows])
    found, gradients, _ = _measure(model, trees, spec)
    wanted, truth, shares = _measure(model, padded, spec)
    tolerance = TOLERANCE[precision]
    assert found["rewards"].dtype == precision and trees.counts.equal(padded.counts)
    for name in wanted:
        assert (found[name] - wanted[name]).norm() <= tolerance * wanted[name].norm(), name
    # In float32 the shares of two responses in a gradient can cancel out and leave little but their rounding. Some
    # gradients, like those of the keys' biases, are zero by symmetry: their rounding is held against the whole.
    size = {name: t.norm() for name, t in (shares if precision == torch.float32 else truth).items()}
    whole = torch.stack(list(size.values())).norm()
    for name in truth:
        difference = (gradients[name] - truth[name]).norm()
        assert difference <= tolerance * max(size[name], 0.01 * whole), f"{name}: {difference} of {size[name]}"


@pytest.mark.parametrize("precision", TOLERANCE, ids=str)
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@few
@given(items=batches(), spec=LOSSES, budget=st.sampled_from([24, 100, 4096]), left=st.booleans())
def test_trees_equal_padded_rows(
    model_of: Callable[[str, str], RewardModel],
    in_double: InDouble,
    tree_decoder: str,
    pooling: str,
    precision: torch.dtype,
    items: list[Item],
    spec: LossSpec,
    budget: int,
    left: bool,
) -> None:
    model = model_of(tree_decoder, pooling)
    assert model.trees
    with in_double(model) if precision == torch.float64 else nullcontext():
        _check(model, precision, items, spec, budget, left)


@pytest.fixture(scope="module")
def pairs() -> list[Preference]:
    """80 pairs over 8 prompts: two system prompts, dialogues that go on from one another, responses that do too."""
    turns = ["Hello!", "Hello, how can I help?", "Why is the sky blue?", "It scatters.", "What does?"]
    dialogues = [turns[:1], turns[:3], turns, ["How do I bake bread?"]]
    responses = ["Because the air scatters blue light.", "Because the air", "No idea, go away!", "x", "Because the sky"]
    roles = ["user", "assistant"] * 3
    return [
        Preference(
            id=f"{system} {k} {good} {bad}",
            prompt=[
                Message(role="system", content=system),
                *(Message(role=role, content=text) for role, text in zip(roles, dialogue, strict=False)),
            ],
            responses=[responses[good], responses[bad]],
            scores=[1.0, 0.0],
            margin=0.1 * good,
        )
        for system in ("Be kind.", "Be brief.")
        for k, dialogue in enumerate(dialogues)
        for good, bad in combinations(range(5), 2)
    ]


@pytest.mark.parametrize(("margins", "centring"), [(False, 0.0), (True, 0.01)], ids=["plain", "margins and centring"])
def test_steps_are_those_of_trl(
    model_of: Callable[[str, str], RewardModel],
    in_double: InDouble,
    pairs: list[Preference],
    tmp_path: Path,
    margins: bool,
    centring: float,
) -> None:
    """20 steps of plain gradient descent from the same weights over the same tokens in the same order, in float64."""
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    model_of("llama", "last").save_pretrained(tmp_path / "start")
    ours = RewardModel.from_pretrained(tmp_path / "start", device="cpu")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "start", attn_implementation="eager")
    start = {name: p.detach().double().clone() for name, p in theirs.named_parameters()}
    common: dict[str, Any] = {
        "output_dir": str(tmp_path / "out"),
        "per_device_train_batch_size": 4,
        "max_steps": 20,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }

    def change(trainer: Trainer, network: PreTrainedModel) -> Tensors:
        trainer.optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
        trainer.train()
        assert trainer.state.global_step == 20
        return {name: p.detach() - start[name] for name, p in network.named_parameters()}

    items, _ = build_items([p if margins else p.model_copy(update={"margin": None}) for p in pairs], ours.text, ["all"])
    with in_double(ours):
        arguments = TrainingArguments(**common, remove_unused_columns=False)
        spec = LossSpec(centring=centring)
        trainer: Trainer = PreferenceTrainer(ours, arguments, items, spec, batch_size=4, token_budget=4096)
        order = [k for batch in trainer.get_train_dataloader().batch_sampler for k in batch]  # type: ignore[union-attr]
        assert ours.trees and sorted(order) == list(range(80))
        found = change(trainer, ours.inner)
    with in_double(theirs):
        trainer = trl.RewardTrainer(
            theirs,
            trl.RewardConfig(
                **common,
                train_sampling_strategy="sequential",
                gradient_checkpointing=False,
                center_rewards_coefficient=centring or None,
            ),
            train_dataset=Dataset.from_list([_row(pairs[k], margins) for k in order]),
            processing_class=ours.tokenizer,
        )
        for row, k in zip(trainer.train_dataset, order, strict=True):  # type: ignore[arg-type]
            assert [tuple(row["chosen_ids"]), tuple(row["rejected_ids"])] == [r.ids for r in items[k].responses]
        wanted = change(trainer, theirs)
    assert found.keys() == wanted.keys() and _norm(wanted) > 0.01 * _norm(start)
    for name in wanted:
        assert (found[name] - wanted[name]).norm() <= 1e-6 * wanted[name].norm(), name
    assert _norm({name: found[name] - wanted[name] for name in wanted}) <= 1e-6 * _norm(wanted)


def _row(pair: Preference, margin: bool) -> dict[str, Any]:
    """A pair as TRL reads it."""
    good, bad = ([{"role": "assistant", "content": response}] for response in pair.responses)
    row = {"prompt": [m.model_dump() for m in pair.prompt], "chosen": good, "rejected": bad}
    return row | ({"margin": pair.margin} if margin else {})


def _norm(tensors: Tensors) -> float:
    return float(torch.stack([t.norm() for t in tensors.values()]).norm())
