"""One function tokenises for training, scoring and evaluation: its ids are those of the plain chat template."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.batching.items import build_items
from rewardsmith.batching.templates import TEMPLATES, set_template
from rewardsmith.batching.tokenizing import ConversationTokenizer, context_limit
from rewardsmith.errors import DataError, ModelError
from rewardsmith.preferences.record import Message, Preference

QUESTION = [Message(role="user", content="Why is the sky blue?")]
DIALOGUE = [
    Message(role="system", content="Be kind."),
    Message(role="user", content="Hello!"),
    Message(role="assistant", content="Hello, how can I help?"),
    Message(role="user", content="Why is the sky blue?"),
]
ANSWER = "Because the air scatters blue light."


def plain_ids(tokenizer, prompt, response):
    turns = [m.model_dump() for m in prompt]
    answer = [Message(role="assistant", content=response)] if isinstance(response, str) else response
    turns += [m.model_dump() for m in answer]
    return tuple(tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"])


@pytest.fixture(scope="module")
def tokenizer(make_tokenizer):
    return make_tokenizer()


@pytest.fixture(scope="module")
def encoder_tokenizer(make_tokenizer):
    tokenizer = make_tokenizer(style="encoder")
    set_template(tokenizer, "dsp")
    return tokenizer


@pytest.mark.parametrize("template", ["tokenizer", *TEMPLATES])
@pytest.mark.parametrize("style", ["decoder", "encoder"])
@pytest.mark.parametrize("prompt", [QUESTION, DIALOGUE], ids=["question", "dialogue"])
def test_ids_are_those_of_the_plain_chat_template(make_tokenizer, template, style, prompt):
    tokenizer = make_tokenizer(style=style)
    set_template(tokenizer, template)
    text = ConversationTokenizer(tokenizer, 512)
    forked = [Message(role="assistant", content="So?"), Message(role="user", content="q"), QUESTION[0]]
    for response in (ANSWER, "  padded with space \n", "", forked):
        found = text.batch([(prompt, response)])[0]
        assert found.ids == plain_ids(tokenizer, prompt, response)
        assert found.prompt_cut == found.response_cut == 0


@settings(max_examples=60)
@given(prompt=st.text(max_size=60), response=st.text(max_size=60))
def test_any_text_is_tokenised_as_plainly(tokenizer, prompt, response):
    turns = [Message(role="user", content=prompt)]
    found = ConversationTokenizer(tokenizer, 4096).batch([(turns, response)])[0]
    assert found.ids == plain_ids(tokenizer, turns, response)
    assert tokenizer.decode(found.ids[found.response_start :]).startswith(response[:1])


def test_batch_and_single_agree(tokenizer, tiny_preferences):
    text = ConversationTokenizer(tokenizer, 40)
    pairs = [(p.prompt, r) for p in tiny_preferences for r in p.responses]
    assert text.batch(pairs) == [text.batch([pair])[0] for pair in pairs]
    assert [r for p in tiny_preferences for r in text.preference(p)] == text.batch(pairs)
    assert text.batch([]) == []


@pytest.mark.parametrize("template", ["tokenizer", *TEMPLATES])
def test_beginning_of_text_stands_once(make_tokenizer, template):
    """The tokenizer adds it by default and the template writes it: both together were the double-BOS fault."""
    tokenizer = make_tokenizer()
    set_template(tokenizer, template)
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    ids = ConversationTokenizer(tokenizer, 512).batch([(DIALOGUE, ANSWER)])[0].ids
    assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1


def test_a_mark_that_is_also_the_beginning_stands_once(make_tokenizer):
    """SmolLM2 names `<|im_start|>` as its beginning of text, and chatml opens with it."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<|im_start|>"})
    set_template(tokenizer, "chatml")
    ids = ConversationTokenizer(tokenizer, 512).batch([(QUESTION, ANSWER)])[0].ids
    assert ids[0] == tokenizer.bos_token_id and ids[1] != tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 2


@pytest.mark.parametrize("template", ["tokenizer", "dsp"])
@pytest.mark.parametrize("max_length", [12, 30, 512])
def test_end_of_turn_is_always_there(make_tokenizer, template, max_length):
    tokenizer = make_tokenizer()
    set_template(tokenizer, template)
    text = ConversationTokenizer(tokenizer, max_length)
    assert text.end_of_turn > 0
    for response in (ANSWER, ANSWER * 5):
        found = text.batch([(DIALOGUE, response)])[0]
        assert tokenizer.eos_token_id in found.ids[-text.end_of_turn :]
        assert len(found.ids) <= max_length


def test_encoder_text_opens_and_ends_with_its_own_marks(encoder_tokenizer):
    ids = ConversationTokenizer(encoder_tokenizer, 30).batch([(DIALOGUE, ANSWER * 4)])[0].ids
    assert ids[0] == encoder_tokenizer.cls_token_id and ids[-1] == encoder_tokenizer.sep_token_id
    assert ids.count(encoder_tokenizer.cls_token_id) == ids.count(encoder_tokenizer.sep_token_id) == 1


def test_response_start_is_where_the_response_begins(tokenizer):
    found = ConversationTokenizer(tokenizer, 512).batch([(DIALOGUE, ANSWER)])[0]
    head, tail = found.ids[: found.response_start], found.ids[found.response_start :]
    assert tokenizer.decode(tail) == ANSWER + "<|end|>\n"
    assert tokenizer.decode(head).endswith("<|assistant|>\n")


def test_template_that_opens_a_turn_differently_when_it_generates(make_tokenizer):
    """Some write an empty train of thought into the generation prompt only."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace("<|assistant|>\n{%", "<|assistant|>\n<think>{%")
    found = ConversationTokenizer(tokenizer, 512).batch([(QUESTION, ANSWER)])[0]
    assert tokenizer.decode(found.ids[found.response_start :]) == ANSWER + "<|end|>\n"


def test_prompt_is_cut_from_the_left(tokenizer):
    whole = ConversationTokenizer(tokenizer, 512).batch([(DIALOGUE, ANSWER)])[0]
    cut = ConversationTokenizer(tokenizer, len(whole) - 7).batch([(DIALOGUE, ANSWER)])[0]
    assert cut.prompt_cut == 7 and cut.response_cut == 0
    assert cut.ids == (whole.ids[0], *whole.ids[8:]), "the beginning-of-text token stays, seven after it go"
    assert cut.ids[cut.response_start :] == whole.ids[whole.response_start :]


def test_long_response_is_cut_at_its_end_and_counted(tokenizer):
    whole = ConversationTokenizer(tokenizer, 512).batch([(QUESTION, ANSWER)])[0]
    text = ConversationTokenizer(tokenizer, 12)
    cut = text.batch([(QUESTION, ANSWER)])[0]
    response = whole.ids[whole.response_start :]
    assert len(cut) == 12 and cut.response_start == 1
    assert cut.ids[0] == tokenizer.bos_token_id
    assert cut.ids[1 : -text.end_of_turn] == response[: 11 - text.end_of_turn]
    assert cut.ids[-text.end_of_turn :] == response[-text.end_of_turn :]
    assert cut.prompt_cut == whole.response_start - 1
    assert cut.response_cut == len(response) - 11


@settings(max_examples=60)
@given(length=st.integers(8, 80), bos=st.booleans(), response=st.text("ab c", max_size=80))
def test_truncation_adds_up(make_tokenizer, length, bos, response):
    tokenizer = make_tokenizer(bos=bos)
    whole = ConversationTokenizer(tokenizer, 4096).batch([(DIALOGUE, response)])[0]
    cut = ConversationTokenizer(tokenizer, length).batch([(DIALOGUE, response)])[0]
    assert len(cut) == min(length, len(whole))
    assert len(cut) + cut.prompt_cut + cut.response_cut == len(whole)
    assert cut.response_cut == 0 or cut.response_start <= 1, "a response is cut only where no prompt is left"
    assert 0 <= cut.response_start <= len(cut)


def test_pairs_that_truncation_makes_identical_are_left_out(tokenizer):
    """OpenRLHF #1311: two responses that differ only beyond the cut would be ranked at random."""
    same = "very " * 40
    preferences = [
        Preference(id="lost", prompt=QUESTION, responses=[same + "good", same + "bad"], scores=[1, 0]),
        Preference(id="half", prompt=QUESTION, responses=[same + "good", same + "bad", "short"], scores=[1, 0, 0]),
    ]
    items, counts = build_items(preferences, ConversationTokenizer(tokenizer, 32), ["general"])
    assert counts.ranking_nothing == 1 and counts.responses_cut == 2
    assert [item.pairs(item.judgements[0]) for item in items] == [[(0, 2)]]
    assert build_items(preferences, ConversationTokenizer(tokenizer, 512), ["general"])[1].ranking_nothing == 0


def test_tokens_that_the_class_never_reads_are_left_out(make_tokenizer):
    """A checkpoint whose pad is its eos is read before its trailing eos tokens: see the tests of pad tokens."""
    tokenizer = make_tokenizer(pad="eos", template=None)
    set_template(tokenizer, "dsp")
    pad = tokenizer.pad_token_id
    whole = ConversationTokenizer(tokenizer, 512).batch([(QUESTION, ANSWER)])[0]
    found = ConversationTokenizer(tokenizer, 512, unread=pad).batch([(QUESTION, ANSWER)])[0]
    assert whole.ids[-1] == pad and found.ids == whole.ids[:-1]
    assert ConversationTokenizer(tokenizer, 512, unread=None).batch([(QUESTION, ANSWER)])[0].ids == whole.ids


def test_count_is_of_the_bare_text(tokenizer):
    text = ConversationTokenizer(tokenizer, 512)
    assert text.count("") == 0
    assert text.count("sky") == len(tokenizer("sky", add_special_tokens=False)["input_ids"])


def test_dialogue_that_the_template_refuses(make_tokenizer):
    tokenizer = make_tokenizer()
    refuse = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    tokenizer.chat_template = refuse + tokenizer.chat_template
    text = ConversationTokenizer(tokenizer, 512)
    assert text.batch([(QUESTION, ANSWER)])
    with pytest.raises(DataError, match=r"refuses this dialogue: .*no system role"):
        text.batch([(DIALOGUE, ANSWER)])


def test_template_without_the_response_is_refused(make_tokenizer):
    tokenizer = make_tokenizer(template="{{ messages[0]['content'] }}")
    with pytest.raises(ModelError, match="leaves out what the assistant says"):
        ConversationTokenizer(tokenizer, 512)


def test_slow_tokenizer_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="fast tokenizer"):
        ConversationTokenizer(Slow(), 512)


@pytest.mark.parametrize(
    ("tokenizer_limit", "config_limit", "limit"),
    [(512, 1024, 512), (10**30, 1024, 1024), (10**30, None, None), (2048, None, 2048), (2048, 512, 512)],
)
def test_context_limit(tokenizer_limit, config_limit, limit):
    class Limited:
        model_max_length = tokenizer_limit

    assert context_limit(Limited(), config_limit) == limit
