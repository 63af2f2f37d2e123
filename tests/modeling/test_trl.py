"""With TRL, both ways: ours go on training there, and what it trains is scored here; same rewards, same margins."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig

from rewardsmith.modeling.reward_model import RewardModel

pytest.importorskip("trl")


@pytest.fixture(scope="module")
def pairs(tiny_preferences):
    """Conversational rows with an explicit prompt, as TRL names them, and the same as plain texts."""
    chosen = [(p.prompt, p.responses[0], p.responses[1]) for p in tiny_preferences]
    rows = [
        {
            "prompt": [m.model_dump() for m in prompt],
            "chosen": [{"role": "assistant", "content": good}],
            "rejected": [{"role": "assistant", "content": bad}],
        }
        for prompt, good, bad in chosen
    ]
    return chosen, rows


def make_trainer(model: str, rows: list, folder, adapter=None, **settings):
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    arguments = RewardConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=len(rows),
        max_length=128,
        **settings,
    )
    data = Dataset.from_list(rows)
    return RewardTrainer(model=model, args=arguments, train_dataset=data, eval_dataset=data, peft_config=adapter)


def rewards_there(trainer):
    """Rewards [chosen, rejected] that TRL's own batch and network give."""
    batch = next(iter(trainer.get_eval_dataloader()))
    network = trainer.model.eval()
    with torch.no_grad():
        logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, 0]
    return logits.chunk(2)


def rewards_here(model, chosen):
    good = model.rewards_of(model.text.batch([(prompt, good) for prompt, good, _ in chosen]))[:, 0]
    bad = model.rewards_of(model.text.batch([(prompt, bad) for prompt, _, bad in chosen]))[:, 0]
    return good, bad


@pytest.mark.parametrize("name", ["llama", "gpt_neox"])
def test_ours_loads_in_trl(build, pairs, tmp_path, name):
    model = build(name)
    model.save_pretrained(tmp_path / "m")
    trainer = make_trainer(str(tmp_path / "m"), pairs[1], tmp_path / "out")
    good, bad = rewards_here(model, pairs[0])
    there = rewards_there(trainer)
    torch.testing.assert_close(there[0], good, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(there[1], bad, atol=1e-5, rtol=1e-5)
    metrics = trainer.evaluate()
    assert metrics["eval_margin"] == pytest.approx((good - bad).mean().item(), abs=1e-4)
    assert metrics["eval_accuracy"] == pytest.approx((good > bad).float().mean().item())


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("pad", ["own", "eos", None])
def test_theirs_loads_here(make_backbone, pairs, tmp_path, pad, lora):
    """Trained by TRL from a language model; where the backbone has no pad of its own, TRL takes eos."""
    backbone = str(make_backbone("llama", pad=pad))
    adapter = LoraConfig(task_type="SEQ_CLS", r=2, modules_to_save=["score"]) if lora else None
    trainer = make_trainer(backbone, pairs[1], tmp_path / "out", adapter, max_steps=2, learning_rate=0.1)
    trainer.train()
    trainer.save_model(str(tmp_path / "m"))
    model = RewardModel.from_pretrained(tmp_path / "m")
    for there, here in zip(rewards_there(trainer), rewards_here(model, pairs[0]), strict=True):
        torch.testing.assert_close(there, here, atol=1e-5, rtol=1e-5)
