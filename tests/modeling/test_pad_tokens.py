"""The traps of padding: where the reward is read when pad is eos, is missing, or stands on the left.

TRL #937 and RLHFlow #49: a class that looks for the last token that is not padding stops one token early when pad is
eos, and reads the reward before the end of the turn.
"""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rewardsmith.modeling.backbone import ensure_pad_token
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import LoraSpec
from rewardsmith.preferences.record import Message

CHAT_ENDING_IN_EOS = "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
CHAT_ENDING_IN_PAD = CHAT_ENDING_IN_EOS.replace("<|end|>", "<pad>")


def close(found, wanted):
    assert found == pytest.approx(wanted, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("pad", ["own", "eos", None])
def test_the_saved_pad_is_not_eos(build, decoder, pad, texts, plain_rewards, tmp_path):
    model = build(decoder, pad=pad, template="dsp")
    tokenizer = model.tokenizer
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id, tokenizer.bos_token_id)
    rewards = model.score(*texts)
    model.save_pretrained(tmp_path / "m")
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "m")
    assert network.config.pad_token_id == tokenizer.pad_token_id != network.config.eos_token_id
    for side in ("left", "right"):
        close(plain_rewards(tmp_path / "m", *texts, side=side, network=network), rewards)


def test_reward_is_read_at_the_end_of_turn(build, texts):
    """By hand: the head on the last hidden state, which is that of the end-of-turn token."""
    model = build("llama", pad="eos", template="dsp")
    sequence = model.text.batch([([Message(role="user", content=texts[0])], texts[1][0])])[0]
    assert sequence.ids[-1] == model.tokenizer.eos_token_id
    with torch.no_grad():
        states = model.backbone(input_ids=torch.tensor([sequence.ids])).last_hidden_state[0]
        at_end, one_early = (model.head(states[k]).item() for k in (-1, -2))
    found = model.rewards_of([sequence]).item()
    close(found, at_end)
    assert found != pytest.approx(one_early, abs=1e-2)


@pytest.mark.parametrize("vocabulary", [320, 310], ids=["spare rows", "full"])
def test_backbone_without_any_token_that_would_do(build, texts, plain_rewards, tmp_path, vocabulary):
    """A token is added, and with it a row of the embedding where none is spare."""
    model = build("llama", pad="nowhere", settings={"vocab_size": vocabulary})
    assert model.tokenizer.pad_token == "[PAD]"
    assert model.tokenizer.pad_token_id == 310 < model.inner.get_input_embeddings().num_embeddings
    rewards = model.score(*texts)
    model.save_pretrained(tmp_path / "m")
    close(plain_rewards(tmp_path / "m", *texts), rewards)
    close(RewardModel.from_pretrained(tmp_path / "m").score(*texts), rewards)


@pytest.mark.parametrize("vocabulary", [320, 310], ids=["spare rows", "full"])
def test_adapter_of_such_a_backbone(build, texts, tmp_path, vocabulary):
    """The base keeps its small embedding; the row is added again when the adapter is loaded."""
    model = build("llama", pad="nowhere", settings={"vocab_size": vocabulary}, lora=LoraSpec(rank=2))
    model.save_pretrained(tmp_path / "m", merge=False)
    close(RewardModel.from_pretrained(tmp_path / "m").score(*texts), model.score(*texts))


def test_pad_is_not_what_the_template_ends_with(make_tokenizer, build):
    """chatml on a tokenizer whose eos is another token and whose pad is the end-of-turn token."""
    model = build("llama")
    tokenizer = make_tokenizer(template=CHAT_ENDING_IN_PAD)
    ensure_pad_token(model.inner, tokenizer)
    assert tokenizer.pad_token != "<pad>"


@pytest.mark.parametrize("decoder", ["llama", "gpt_neox"])
def test_foreign_checkpoint_whose_pad_is_eos(make_backbone, decoder, texts, plain_rewards, tmp_path):
    """It was trained with its reward read before the trailing eos; here it gives what it gives there."""
    source = make_backbone(decoder, pad="eos", template=CHAT_ENDING_IN_EOS)
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1)
    network.config.pad_token_id = network.config.eos_token_id
    network.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path)
    model = RewardModel.from_pretrained(tmp_path)
    rewards = model.score(*texts)
    close(rewards, plain_rewards(tmp_path, *texts))
    close([model.score(texts[0], response) for response in texts[1]], rewards)
    model.save_pretrained(tmp_path / "again")
    close(plain_rewards(tmp_path / "again", *texts, side="left"), rewards)


@pytest.mark.parametrize("pad_id", [None, -1])
def test_foreign_checkpoint_without_a_usable_pad_id(make_backbone, texts, tmp_path, pad_id):
    source = make_backbone("llama")
    network = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1)
    network.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": pad_id}))
    model = RewardModel.from_pretrained(tmp_path)
    assert model.config.pad_token_id == model.tokenizer.pad_token_id != model.tokenizer.eos_token_id
    close([model.score(texts[0], response) for response in texts[1]], model.score(*texts))
