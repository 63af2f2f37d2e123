"""Chat templates: the paper's form to the letter, and clear refusals."""

from __future__ import annotations

import pytest

from rewardsmith.batching.templates import TEMPLATES, set_template
from rewardsmith.errors import ModelError

TURNS = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
]


def render(make_tokenizer, template, turns, **options):
    style = options.pop("style", "decoder")
    tokenizer = make_tokenizer(style=style)
    set_template(tokenizer, template)
    return tokenizer.apply_chat_template(turns, tokenize=False, **options)


def test_dsp_is_the_paper_s_form(make_tokenizer):
    text = "## Human:\nHi\n\n## Assistant:\nHello"
    assert render(make_tokenizer, "dsp", TURNS[1:3]) == f"<s>{text}<|end|>"
    assert render(make_tokenizer, "dsp", TURNS[1:3], style="encoder") == f"[CLS]{text}[SEP]"
    whole = "<s>## System:\nBe kind.\n\n" + text + "\n\n## Human:\nWhy?\n\n## Assistant:\nSo.<|end|>"
    assert render(make_tokenizer, "dsp", TURNS) == whole


def test_chatml(make_tokenizer):
    want = "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    assert render(make_tokenizer, "chatml", TURNS[1:3]) == want


@pytest.mark.parametrize("template", TEMPLATES)
def test_generation_prompt_opens_the_answer(make_tokenizer, template):
    opened = render(make_tokenizer, template, TURNS[:2], add_generation_prompt=True)
    assert render(make_tokenizer, template, TURNS[:3]).startswith(opened + "Hello")


def test_the_tokenizer_s_own_is_kept(make_tokenizer):
    tokenizer = make_tokenizer()
    before = tokenizer.chat_template
    set_template(tokenizer, "tokenizer")
    assert tokenizer.chat_template == before


def test_missing_template_is_refused_with_the_remedy(make_tokenizer):
    with pytest.raises(ModelError, match=r"has no chat template; name one with backbone\.template: dsp \| chatml"):
        set_template(make_tokenizer(template=None), "tokenizer")


def test_unknown_template_is_refused_with_the_nearest(make_tokenizer):
    with pytest.raises(ModelError, match=r"unknown template 'chatlm' \(did you mean 'chatml'\?\)"):
        set_template(make_tokenizer(), "chatlm")
