"""One contract that every architecture keeps: built, scored, saved, loaded here and by plain transformers, alike."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from rewardsmith.errors import ModelError
from rewardsmith.modeling.building import build_reward_model, freeze_layers
from rewardsmith.modeling.domains import domain_model, replace_domains
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec, LoraSpec
from rewardsmith.preferences.record import Message


def close(found, wanted, tolerance=1e-5):
    assert found == pytest.approx(wanted, abs=tolerance, rel=tolerance)


def all_rewards(model, texts):
    """[responses, outputs]"""
    prompt = [Message(role="user", content=texts[0])]
    return model.rewards_of(model.text.batch([(prompt, response) for response in texts[1]]))


def spread(rewards):
    """Rewards that hardly differ would make every comparison pass."""
    return max(rewards) - min(rewards) > 0.05


def test_saved_model_gives_the_same_rewards(build, architecture, architectures, texts, plain_rewards, tmp_path):
    model = build(architecture)
    rewards = model.score(*texts)
    assert spread(rewards)
    model.save_pretrained(tmp_path / "m")
    close(RewardModel.from_pretrained(tmp_path / "m").score(*texts), rewards)
    close(plain_rewards(tmp_path / "m", *texts), rewards)
    if architectures[architecture].decoder:  # encoders read the first token: the class itself needs right padding
        close(plain_rewards(tmp_path / "m", *texts, side="left"), rewards)


def test_saved_folder_is_standard(build, architecture, architectures, tmp_path):
    model = build(architecture)
    model.save_pretrained(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["architectures"][0].endswith("ForSequenceClassification")
    assert "rewardsmith" not in json.dumps(config)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert tokenizer.chat_template
    assert config["pad_token_id"] == tokenizer.pad_token_id is not None
    assert config["pad_token_id"] != tokenizer.eos_token_id
    head = architectures[architecture].head
    assert any(key.startswith(head) for key in model.inner.state_dict())
    assert json.loads((tmp_path / "m" / "rewardsmith.json").read_text())["portable"] is True
    assert not list((tmp_path / "m").glob("*.bin"))
    assert [p.name for p in tmp_path.iterdir()] == ["m"], "nothing but the model is left beside it"


def test_plain_checkpoint_loads_here(make_backbone, architecture, architectures, texts, plain_rewards, tmp_path):
    """A model that transformers trained and saved, without any file of ours."""
    decoder = architectures[architecture].decoder
    source = make_backbone(architecture)
    torch.manual_seed(3)
    network = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1)
    network.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(source)
    if not decoder:
        from rewardsmith.batching.templates import set_template

        set_template(tokenizer, "dsp")
    tokenizer.save_pretrained(tmp_path)
    close(RewardModel.from_pretrained(tmp_path).score(*texts), plain_rewards(tmp_path, *texts))


def test_rewards_do_not_depend_on_company(build, architecture, texts):
    model = build(architecture)
    prompt, responses = texts
    together = model.score(prompt, responses)
    close([model.score(prompt, response) for response in responses], together)
    close(model.score(prompt, responses[::-1])[::-1], together)
    assert model.rewards_of(model.text.batch([])).shape == (0, 1)


@pytest.mark.parametrize("budget", [1, 40, 4096])
def test_rewards_do_not_depend_on_the_token_budget(build, budget, tiny_preferences):
    model = build("llama")
    sequences = [s for p in tiny_preferences for s in model.text.preference(p)]
    wanted = torch.cat([model.rewards_of([s]) for s in sequences])
    torch.testing.assert_close(model.rewards_of(sequences, token_budget=budget), wanted, atol=1e-5, rtol=1e-5)


def test_depth_keeps_the_first_layers(build, architecture, make_backbone, texts, plain_rewards, tmp_path):
    model = build(architecture, depth=1)
    assert model.inner.config.num_hidden_layers == 1
    model.save_pretrained(tmp_path / "m")
    rewards = model.score(*texts)
    close(RewardModel.from_pretrained(tmp_path / "m").score(*texts), rewards)
    close(plain_rewards(tmp_path / "m", *texts), rewards)
    whole = AutoModel.from_pretrained(make_backbone(architecture))
    name = next(k for k in model.backbone.state_dict() if ".0." in k and k.endswith("weight"))
    torch.testing.assert_close(model.backbone.state_dict()[name], whole.state_dict()[name])


@pytest.mark.parametrize("depth", [0, 4])
def test_impossible_depth_is_refused(make_backbone, depth):
    with pytest.raises((ModelError, ValueError), match=r"depth|greater"):
        build_reward_model(BackboneSpec(model=str(make_backbone("llama")), depth=depth))


def test_freezing(build, architecture):
    model = build(architecture)
    freeze_layers(model, 2)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained, "the head and the last layer train"
    assert not any(".0." in name or ".1." in name for name in trained if "layer" in name)
    assert any(".2." in name for name in trained)
    assert not any("embed" in name and "rel_embeddings" not in name for name in trained)
    with pytest.raises(ModelError, match="cannot freeze 9 layers"):
        freeze_layers(model, 9)


def test_bfloat16_gives_float32_rewards(build, architecture, texts):
    """Read in bfloat16 a reward near 1 has steps of 1/128; the last product must be in float32."""
    model = build(architecture, precision="bfloat16")
    assert next(model.backbone.parameters()).dtype == torch.bfloat16
    rewards = all_rewards(model, texts)
    assert rewards.dtype == torch.float32
    assert not torch.equal(rewards, rewards.bfloat16().float()), "rewards were rounded to bfloat16"
    exact = build(architecture).score(*texts)
    assert torch.tensor(exact) == pytest.approx(rewards[:, 0], abs=0.6)


def test_bfloat16_survives_saving(build, architecture, texts, tmp_path):
    model = build(architecture, precision="bfloat16")
    model.save_pretrained(tmp_path / "m")
    again = RewardModel.from_pretrained(tmp_path / "m")
    assert next(again.backbone.parameters()).dtype == torch.bfloat16
    close(again.score(*texts), model.score(*texts))


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_adapters(build, architecture, texts, plain_rewards, tmp_path, dora):
    """Unmerged a peft folder with the head in it, merged a plain model; both give what was trained."""
    from peft import AutoPeftModelForSequenceClassification

    model = build(architecture, lora=LoraSpec(rank=2, alpha=4, dora=dora))
    assert not any("original_module" in n for n, w in model.named_parameters() if w.requires_grad)
    rewards = model.score(*texts)
    base = build(architecture).score(*texts)
    assert rewards != pytest.approx(base, abs=1e-3), "the adapter does nothing"

    model.save_pretrained(tmp_path / "adapter", merge=False)
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert not (tmp_path / "adapter" / "config.json").exists()
    close(RewardModel.from_pretrained(tmp_path / "adapter").score(*texts), rewards)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    stranger = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "adapter", num_labels=1)
    stranger.config.pad_token_id = tokenizer.pad_token_id
    close(plain_rewards(tmp_path / "adapter", *texts, network=stranger), rewards)

    model.save_pretrained(tmp_path / "merged")
    close(RewardModel.from_pretrained(tmp_path / "merged").score(*texts), rewards, 1e-4)
    close(plain_rewards(tmp_path / "merged", *texts), rewards, 1e-4)
    close(model.score(*texts), rewards)


def test_several_domains_are_saved_one_by_one(build, architecture, texts, plain_rewards, tmp_path):
    domains = ["academy", "business", "literature"]
    model = build(architecture, domains=domains)
    joint = all_rewards(model, texts)
    assert joint.shape == (4, 3)
    with pytest.raises(ModelError, match="3: save the model of each domain"):
        model.save_pretrained(tmp_path / "joint")
    for k, domain in enumerate(domains):
        single = domain_model(model, domain)
        close(single.score(*texts), joint[:, k].tolist())
        single.save_pretrained(tmp_path / domain)
        close(plain_rewards(tmp_path / domain, *texts), joint[:, k].tolist())
        close(RewardModel.from_pretrained(tmp_path / domain).score(*texts), joint[:, k].tolist())
    torch.testing.assert_close(all_rewards(model, texts), joint)
    assert model.inner.config.num_labels == 3


def test_domains_of_a_model_with_adapters(build, architecture, texts):
    model = build(architecture, domains=["a", "b"], lora=LoraSpec(rank=2))
    joint = all_rewards(model, texts)
    close(domain_model(model, "b").score(*texts), joint[:, 1].tolist(), 1e-4)
    with pytest.raises(ModelError, match="adapters"):
        replace_domains(model, ["c"])


def test_replaced_domains_start_from_the_first(build, architecture, texts):
    model = build(architecture)
    before = model.score(*texts)
    replace_domains(model, ["x", "y"])
    after = all_rewards(model, texts)
    close(after[:, 0].tolist(), before)
    close(after[:, 1].tolist(), before)
    with pytest.raises(ModelError, match=r"no domain 'xx' .did you mean|no domain 'xx'"):
        domain_model(model, "xx")


def test_training_moves_the_reward_and_nothing_idle(build, architecture, texts):
    """Every weight that is marked as trained gets a gradient: what lies idle would stop distributed training."""
    model = build(architecture).train()
    sequences = model.text.batch([([Message(role="user", content=texts[0])], r) for r in texts[1]])
    model(model.layout().rows(sequences)).rewards.sum().backward()
    idle = [n for n, w in model.named_parameters() if w.requires_grad and w.grad is None]
    assert not idle


def test_own_heads_leave_nothing_idle(build, architecture, texts):
    model = build(architecture, pooling="mean", head="mlp", lora=LoraSpec(rank=2)).train()
    sequences = model.text.batch([([Message(role="user", content=texts[0])], r) for r in texts[1]])
    model(model.layout().rows(sequences)).rewards.sum().backward()
    idle = [n for n, w in model.named_parameters() if w.requires_grad and w.grad is None]
    assert not idle


SHAPES = {
    "mean": {"pooling": "mean"},
    "max": {"pooling": "max"},
    "mlp": {"head": "mlp", "pooling": "last"},
    "two layers": {"layers": [1, 3], "pooling": "mean"},
    "mlp on two layers": {"layers": [2, 3], "pooling": "max", "head": "mlp"},
    "mixture": {"pooling": "last", "head": "mixture", "experts": ["kind", "terse", "sure"]},
    "mixture of means": {"layers": [1, 3], "pooling": "mean", "head": "mixture", "experts": ["kind", "terse"]},
}


def test_what_the_class_cannot_express(build, architecture, texts):
    """Several layers, pooled by a maximum, through an MLP, on every architecture: equal to a slow reference."""
    model = build(architecture, loud=0.3, **SHAPES["mlp on two layers"])
    close(model.score(*texts), _slow(model, *texts))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["llama", "bert"])
def test_own_shapes_are_saved(build, name, texts, tmp_path, shape):
    """Equal to a slow reference; loads here; the Auto classes refuse it by name rather than draw a random head."""
    model = build(name, loud=0.3, **SHAPES[shape])
    rewards = model.score(*texts)
    close(rewards, _slow(model, *texts))
    model.save_pretrained(tmp_path / "m")
    again = RewardModel.from_pretrained(tmp_path / "m")
    close(again.score(*texts), rewards)
    assert again.info.portable is False
    for auto in (AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoModelForCausalLM):
        with pytest.raises(ValueError, match="rewardsmith"):
            auto.from_pretrained(tmp_path / "m")


def test_last_on_an_encoder_is_not_portable(build, encoder, texts, tmp_path):
    model = build(encoder, pooling="last")
    close(model.score(*texts), _slow(model, *texts))
    model.save_pretrained(tmp_path / "m")
    assert RewardModel.from_pretrained(tmp_path / "m").info.portable is False


def test_own_head_with_adapters_is_saved_merged(build, architecture, texts, tmp_path):
    model = build(architecture, pooling="mean", lora=LoraSpec(rank=2))
    rewards = model.score(*texts)
    model.save_pretrained(tmp_path / "m", merge=False)
    close(RewardModel.from_pretrained(tmp_path / "m").score(*texts), rewards, 1e-4)


@pytest.mark.parametrize("shape", ["mlp", "mixture"])
def test_own_head_of_several_domains(build, architecture, texts, tmp_path, shape):
    model = build(architecture, domains=["a", "b"], **{"pooling": "mean"} | SHAPES[shape])
    joint = all_rewards(model, texts)
    domain_model(model, "b").save_pretrained(tmp_path / "b")
    close(RewardModel.from_pretrained(tmp_path / "b").score(*texts), joint[:, 1].tolist())
    replace_domains(model, ["c", "d"])
    again = all_rewards(model, texts)
    close(again[:, 1].tolist(), joint[:, 0].tolist())


@torch.no_grad()
def _slow(model, prompt, responses):
    """Everything by hand in float64, one response at a time."""
    rewards = []
    plain = copy.deepcopy(model.backbone).double().eval()
    for response in responses:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        text = model.tokenizer.apply_chat_template(turns, tokenize=False)
        ids = torch.tensor([model.tokenizer(text, add_special_tokens=False)["input_ids"]])
        output = plain(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
        layers = model.info.layers
        states = [output.last_hidden_state] if layers is None else [output.hidden_states[k] for k in layers]
        pooled = []
        for state in states:
            tokens = state[0]
            pooled.append({"mean": tokens.mean(0), "max": tokens.max(0).values, "last": tokens[-1]}[model.info.pooling])
        head = copy.deepcopy(model.own_head).double()
        vector = torch.cat(pooled)
        if model.info.head == "mlp":
            vector = torch.nn.functional.gelu(head.up.weight @ vector + head.up.bias)
        reward = head.out.weight[0] @ vector
        if model.info.head == "mixture":
            weights = (head.gate.weight @ output.last_hidden_state[0].mean(0) + head.gate.bias).softmax(0)
            reward = weights @ (head.out.weight @ vector)
        rewards.append(float(reward))
    return rewards
