"""A tiny random Llama and made-up preferences: all of the benchmark's code in seconds, without data or downloads."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from rewardsmith.modeling.backbone import quiet
from rewardsmith.preferences.record import Message, Preference

_WORDS = ["why", "is", "the", "sky", "blue", "air", "scatters", "light", "bread", "flour", "water", "salt", "yeast"]
_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_MARKS = ["<pad>", "<|end|>", "<|user|>", "<|assistant|>"]


def backbone(scratch: Path) -> Path:
    """The folder of a saved language model of two layers, made on the first call."""
    folder = scratch / "tiny-llama"
    if folder.exists():
        return folder
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with quiet():
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)
    return folder


def pairs(count: int = 32) -> list[Preference]:
    """Prompts with two responses."""
    return [_preference(k, 2, [1.0, 0.0], "general") for k in range(count)]


def lists(domains: list[str], count: int = 6) -> list[Preference]:
    """Prompts with a response of each domain and a plain one; a domain prefers its own."""
    r = len(domains) + 1
    return [
        _preference(k, r, [float(j == d) for j in range(r)], domain)
        for k in range(count)
        for d, domain in enumerate(domains)
    ]


def _preference(k: int, r: int, scores: list[float], domain: str) -> Preference:
    draw = random.Random(k)
    prompt = f"{k} {_text(draw, 12)}"
    responses = [f"{j} {_text(draw, 16)}" for j in range(r)]
    message = Message(role="user", content=prompt)
    return Preference(id=f"{domain}-{k}", prompt=[message], responses=[*responses], scores=scores, domain=domain)


def _text(draw: random.Random, longest: int) -> str:
    return " ".join(draw.choices(_WORDS, k=draw.randint(longest // 2, longest)))


def _tokenizer() -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=_MARKS, initial_alphabet=alphabet, show_progress=False)
    plain.train_from_iterator([" ".join(_WORDS)], trainer)
    made: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = made(tokenizer_object=plain, pad_token="<pad>", eos_token="<|end|>")
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
