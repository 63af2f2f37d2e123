"""A filled Hugging Face model card: what the model is for, what it gained, what it cost, and how sure that is."""

from __future__ import annotations

from pathlib import Path

from rewardsmith.evaluation.customization import Customization
from rewardsmith.reporting.customization import limits_of, verdict_sentence
from rewardsmith.reporting.tables import changes_table, to_markdown

_PORTABLE_USE = """```python
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = "."  # where this file lies
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder)
dialogue = [
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "The air scatters blue light most."},
]
inputs = tokenizer.apply_chat_template(dialogue, tokenize=True, return_dict=True, return_tensors="pt")
with torch.no_grad():
    reward = model(**inputs).logits[0, 0].item()
```

It has one label, the reward; texts go through the tokenizer's chat template."""

_OWN_USE = """```python
from rewardsmith import RewardModel

folder = "."  # where this file lies
model = RewardModel.from_pretrained(folder)
reward = model.score("Why is the sky blue?", "The air scatters blue light most.")
```

It is no standard checkpoint: other tools cannot load it."""


def write_card(result: Customization, path: Path, *, portable: bool) -> None:
    """Writes `README.md` beside the model; `portable` says whether transformers can load that."""
    limits = "\n".join(f"- {limit}" for limit in [*result.notes, *limits_of(result)])
    path.write_text(
        f"""---
library_name: transformers
pipeline_tag: text-classification
tags: [reward-model, rewardsmith]
base_model: {result.general_model}
---

# Reward model for {result.domain}

{verdict_sentence(result)}

{to_markdown(changes_table(result))}

Made by `rewardsmith customize` from `{result.general_model}`: method {result.method}, strength {result.strength:g}.

## Use

{_PORTABLE_USE if portable else _OWN_USE} Rewards compare responses to one prompt.

## Limits

{limits}
""",
        encoding="utf-8",
    )
