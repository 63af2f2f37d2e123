"""A filled Hugging Face model card: what the model is for, what it gained, what it cost, and how sure that is."""

from __future__ import annotations

from pathlib import Path

from rewardsmith.evaluation.customization import Customization
from rewardsmith.reporting.customization import limits_of, verdict_sentence
from rewardsmith.reporting.tables import changes_table, to_markdown


def write_card(result: Customization, path: Path) -> None:
    """Writes `README.md` beside the model."""
    limits = "\n".join(f"- {limit}" for limit in limits_of(result))
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

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer
```

It has one label, the reward; texts go through the tokenizer's chat template. Rewards compare responses to one prompt.

## Limits

{limits}
""",
        encoding="utf-8",
    )
