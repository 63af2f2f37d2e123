"""What is left out and what is not: each filter on texts that have its fault and on texts that only look so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rewardsmith.collection.assembling import by_rule, dsp_rows, sift
from rewardsmith.collection.domains import DomainProfile
from rewardsmith.collection.filters import FAULTS, SHARED, Given, fault_of
from rewardsmith.collection.plan import Slot
from rewardsmith.collection.queries import Query
from rewardsmith.collection.requests import Answer
from rewardsmith.preferences.formats.dsp import Dsp
from rewardsmith.preferences.record import Message

LONG = "Rain falls when drops in a cloud grow too heavy for the air below to carry them any longer."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (LONG, None),
        ("  \n", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I cannot assist with this request.", "refusal"),
        ("I am unable to provide that.", "refusal"),
        ("I can't say that I like rain, but fields need it every spring.", None),
        ("I'm sorry to hear that; rest, drink, and call a doctor.", None),
        ("As an AI language model, I have no umbrella.", "boilerplate"),
        ("As an aide, she carried the umbrella.", None),
        ("Why does the rain fall in April, and who made it so?", "copy of the prompt"),
        ("why does the rain fall in april and who made it so", "copy of the prompt"),
        (
            "Дождь идёт, когда капли в облаке становятся слишком тяжёлыми для воздуха под ними и падают вниз.",
            "other language",
        ),
        (
            "Es regnet, weil die Tropfen in der Wolke zu schwer werden und die Luft sie nicht mehr tragen kann.",
            "other language",
        ),
    ],
)
def test_faults_of_one_answer(given: Callable[..., Given], text: str, fault: str | None) -> None:
    assert fault_of(given("Why does the rain fall in April, and who made it so for all of us here?", text)) == fault


def test_length_and_cut(given: Callable[..., Given]) -> None:
    assert fault_of(given("Why?", LONG, finish="length")) == "cut off"
    assert fault_of(given("Why?", LONG, finish="content_filter")) == "refusal"
    assert fault_of(given("Why?", LONG, words=(5, 10))) == "outside the length range"
    assert fault_of(given("Why?", LONG, words=(5, 30))) is None
    assert {"empty", "refusal", "cut off", "boilerplate", SHARED} < set(FAULTS)


QUERY = Query("q", (Message(role="user", content="Why does it rain?"),))
ACADEMY, BUSINESS, PLAIN = (
    DomainProfile(name=name, title=name, system="s", words=(2, 6)) for name in ("academy", "business", "normal")
)


def sifted(texts: dict[str, list[str]], askings: int = 1, filtered: bool = True):
    """Answers by domain: the first, and those asked for again."""
    profiles = {p.name: p for p in (ACADEMY, BUSINESS, PLAIN)}
    answers = {
        Slot(QUERY, profiles[name], 1, k).key: Answer(text, "stop", 1, 1)
        for name, found in texts.items()
        for k, text in enumerate(found, 1)
    }
    return sift(QUERY, [Slot(QUERY, p, 1) for p in profiles.values()], answers, filtered=filtered, askings=askings)


def test_the_rule_puts_a_domain_above_all_others() -> None:
    found = sifted({"academy": ["drops grow heavy"], "business": ["buy an umbrella"], "normal": ["it just does"]})
    academy, business = by_rule(found)
    assert academy.scores == [1.0, 0.0, 0.0] and business.scores == [0.0, 1.0, 0.0]
    assert academy.response_names == ["academy", "business", "normal"] and academy.domain == "academy"
    # Our own reader makes the same preferences of the raw form.
    drafts = Dsp().parse(dsp_rows([found])[0])
    assert [(d.domain, d.responses, d.scores) for d in drafts] == [
        (p.domain, p.responses, p.scores) for p in (academy, business)
    ]


def test_a_text_given_for_two_domains_is_left_out_of_both() -> None:
    found = sifted({"academy": ["Drops  grow"], "business": ["drops grow"], "normal": ["it just does"]})
    assert by_rule(found) == [] and found.faults == {"academy": {SHARED: 1}, "business": {SHARED: 1}}


def test_an_answer_is_asked_for_again_until_one_is_good() -> None:
    too_long = "one two three four five six seven"
    first = sifted({"academy": [too_long], "business": ["fine text"], "normal": ["it rains"]}, askings=3)
    assert [slot.key for slot in first.again] == ["q/academy/1.2"] and len(first.given) == 2
    second = sifted({"academy": [too_long, too_long], "business": ["fine text"], "normal": ["it rains"]}, askings=3)
    assert [slot.key for slot in second.again] == ["q/academy/1.3"]
    third = sifted({"academy": [too_long, too_long, "good now"], "business": ["fine text"], "normal": ["it rains"]}, 3)
    assert not third.again and third.given[0].answer.text == "good now"
    assert third.faults == {"academy": {"outside the length range": 2}}
    spent = sifted({"academy": [too_long] * 3, "business": ["fine text"], "normal": ["it rains"]}, 3)
    assert not spent.again and len(spent.given) == 2


def test_without_filters_every_first_answer_counts() -> None:
    found = sifted({"academy": [""], "business": ["I cannot help with that."], "normal": ["x"]}, filtered=False)
    assert [g.answer.text for g in found.given] == ["", "I cannot help with that.", "x"] and not found.faults
