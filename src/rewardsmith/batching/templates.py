"""Chat templates: how a dialogue becomes text.

Whatever the user picks ends up as the tokenizer's own `chat_template`, so that a saved model is formatted the same way
by every tool that applies chat templates (TRL, vLLM, OpenRLHF). This module knows nothing of preferences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewardsmith.errors import ModelError, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TURN_END = "{{ eos_token if eos_token else sep_token }}"
_START = "{% if bos_token %}{{ bos_token }}{% elif cls_token %}{{ cls_token }}{% endif %}"

TEMPLATES = {
    # The paper's form (Cheng et al. 2023, section 4), its final end-of-turn token made explicit.
    "dsp": _START + "{% set names = {'assistant': 'Assistant', 'system': 'System'} %}"
    "{% for m in messages %}{% if not loop.first %}{{ '\\n\\n' }}{% endif %}"
    "{{ '## ' + names.get(m['role'], 'Human') + ':\\n' + m['content'] }}"
    "{% if loop.last and m['role'] == 'assistant' %}" + _TURN_END + "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\n## Assistant:\\n' }}{% endif %}",
    # Some tokenizers name the mark that opens a turn as their beginning of text: it stands there once.
    "chatml": "{% if bos_token != '<|im_start|>' %}" + _START + "{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
}
"""Templates by name, as Jinja."""

TOKENIZER = "tokenizer"
"""Name that keeps the template the tokenizer came with."""


def set_template(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Give `tokenizer` the named template, or check that it has one of its own.

    Raises:
        ModelError: an unknown name, or `tokenizer` asked for where the tokenizer has no chat template.
    """
    if name == TOKENIZER:
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no chat template; "
                f"name one with backbone.template: {' | '.join(TEMPLATES)}"
            )
        return
    if name not in TEMPLATES:
        choices = [TOKENIZER, *TEMPLATES]
        raise ModelError(f"unknown template {name!r}{nearest(name, choices)}; choose from {', '.join(choices)}")
    tokenizer.chat_template = TEMPLATES[name]
