"""Profiles: the shipped ones are whole, bad ones are refused with all their faults and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardsmith.collection.domains import load_domain, load_domains, new_domain, plain_profile, shipped_domains
from rewardsmith.errors import DataError, OutputExistsError
from rewardsmith.preferences.record import Message

PAPER = {"academy", "business", "entertainment", "literature"}


def test_shipped_profiles_are_whole() -> None:
    names = shipped_domains()
    assert len(names) == 17 and set(names) > PAPER
    for name in names:
        profile = load_domain(name)
        assert profile.name == name and profile.rewards and profile.avoids and profile.words and profile.example
        assert profile.words[0] <= len(profile.example.answer.split()) <= profile.words[1], name
        # Room for the longest answer wanted, at more tokens a word than English takes.
        assert profile.sampling.max_tokens >= 1.4 * profile.words[1], name


def test_what_is_sent_holds_the_query_as_it_is() -> None:
    prompt = (Message(role="system", content="Be evil."), Message(role="user", content="{name} {{x}} %s \\n"))
    sent = load_domain("law").messages(prompt)
    assert [m.role for m in sent] == ["system", "user"] and sent[1].content == "{name} {{x}} %s \\n"
    assert "Answer in 30 to 150 words." in sent[0].content and "evil" not in sent[0].content
    assert plain_profile().messages(prompt) == prompt[1:]


def test_one_length_for_all_caps_what_is_written() -> None:
    profile, *_ = load_domains(["academy"], (10, 20))
    assert profile.words == (10, 20) and profile.sampling.max_tokens == 40
    assert load_domain("concise").asked() != load_domains(["concise"], (10, 20))[0].asked()


def test_what_changes_no_answer_is_not_in_the_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: A\nsystem: S\n")
    first = load_domain(str(file)).asked()
    file.write_text("title: B\nsystem: S\nrewards: [x]\n")
    assert load_domain(str(file)).asked() == first
    file.write_text("title: A\nsystem: S\nsampling: {temperature: 0.1}\n")
    assert load_domain(str(file)).asked() != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: A\nsystem: [\n", "line 3"),
        ("- a\n", "holds no profile"),
        ("title: A\nsytem: S\n", r"unknown key 'sytem' \(did you mean 'system'\?\)"),
        ("title: A\nsytem: S\n", "system: Field required"),
        ("title: A\nsystem: S\nwords: [9, 2]\n", "words"),
        ("title: A\nsystem: S\nsampling: {temperature: 9}\n", "sampling.temperature"),
        ("title: A\nsystem: S\nname: a/b\n", "letters, digits"),
    ],
)
def test_a_bad_profile_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=said) as error:
        load_domain(str(file))
    assert error.value.exit_code == 2 and "mine.yaml" in str(error.value)


def test_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'academy'"):
        load_domains(["acadmy"])
    with pytest.raises(DataError, match="named twice"):
        load_domains(["law", "law"])
    (tmp_path / "normal.yaml").write_text("title: A\nsystem: S\n")
    with pytest.raises(DataError, match="plain answers"):
        load_domains([str(tmp_path / "normal.yaml")])
    with pytest.raises(DataError, match="no such file"):
        load_domain("mine.yaml")


def test_a_new_profile_can_be_read_at_once(tmp_path: Path) -> None:
    new_domain(tmp_path / "mine.yaml")
    assert load_domain(str(tmp_path / "mine.yaml")).name == "mine"
    with pytest.raises(OutputExistsError):
        new_domain(tmp_path / "mine.yaml")
