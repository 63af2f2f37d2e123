"""A filled Hugging Face model card: what the model is for, what it gained, what it cost, and how sure that is."""

from __future__ import annotations

from pathlib import Path

from rewardsmith.evaluation.customization import Change, Customization
from rewardsmith.reporting.customization import LIMITS, verdict_sentence
from rewardsmith.reporting.format import difference_with_interval, percent


def write_card(result: Customization, path: Path) -> None:
    """Writes `README.md` beside the model."""
    rows = [("custom: " + result.domain, result.custom), ("all general sets", result.general)]
    rows += [(name, change) for name, change in result.general.sets.items()]
    table = "\n".join(f"| {name} | {_cells(change)} |" for name, change in rows)
    path.write_text(
        f"""---
library_name: transformers
pipeline_tag: text-classification
tags: [reward-model, rewardsmith]
base_model: {result.general_model}
---

# Reward model for {result.domain}

{verdict_sentence(result)}

| preferences, test part | accuracy before, % | after, % | difference, points [95%] | prompts |
|:--|--:|--:|--:|--:|
{table}

Made by `rewardsmith customize` from `{result.general_model}`: method {result.method}, strength {result.strength:g}.

## Use

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer
```

It has one label, the reward; texts go through the tokenizer's chat template. Rewards compare responses to one prompt.

## Limits

{LIMITS}
""",
        encoding="utf-8",
    )


def _cells(change: Change) -> str:
    cells = (percent(change.before), percent(change.after), difference_with_interval(change.difference, change.ci95))
    return " | ".join((*cells, str(change.n_prompts)))
