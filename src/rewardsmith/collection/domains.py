"""Domain profiles: whose taste is collected, as YAML files that people read and write.

A profile says what the model is told (`system`), what counts as good there (`rewards`, `avoids`: a judge reads them),
and how long and how freely to answer. The shipped ones lie in `profiles/`. It knows nothing of queries or servers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rewardsmith.collection.requests import Sampling
from rewardsmith.errors import DataError, OutputExistsError, nearest
from rewardsmith.files import read_yaml
from rewardsmith.preferences.record import PLAIN, Message, content_hash

PROFILES = Path(__file__).parent / "profiles"
TOKENS_PER_WORD = 2
"""Room for an answer of a wanted length: more than any ordinary prose needs."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")

Text = Annotated[str, Field(min_length=1)]


class Example(BaseModel):
    """A query and how the domain would answer it; read by people and by the judge, never sent as an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: Text
    answer: Text


class DomainProfile(BaseModel):
    """One domain: a field, a group, a manner, a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", description="Name of the domain in every output; the file's name.")
    title: Text
    system: Annotated[str, Field(min_length=1)] = Field(description="What the model is told before the query.")
    rewards: list[Text] = Field(default_factory=list, description="What counts as good in this domain.")
    avoids: list[Text] = Field(default_factory=list, description="What counts as bad in it.")
    example: Example | None = None
    words: tuple[int, int] | None = Field(default=None, description="Shortest and longest answer, in words; asked for.")
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _range(self) -> DomainProfile:
        if self.words is not None and not 0 < self.words[0] <= self.words[1]:
            raise ValueError(f"words {list(self.words)}: write the shortest and then the longest, as [60, 150]")
        return self

    def messages(self, prompt: tuple[Message, ...]) -> tuple[Message, ...]:
        """What is sent: the system prompt with the length asked for, then the query as it is."""
        parts = [self.system.strip()] if self.system.strip() else []
        if self.words is not None:
            parts.append(f"Answer in {self.words[0]} to {self.words[1]} words.")
        system = (Message(role="system", content="\n\n".join(parts)),) if parts else ()
        return (*system, *(m for m in prompt if m.role != "system"))

    def asked(self) -> str:
        """A hash of what an answer depends on: a changed title or example changes no answer."""
        return content_hash(self.system, self.words, self.sampling)


def plain_profile(words: tuple[int, int] | None = None) -> DomainProfile:
    """Asking without any domain's system prompt; the answer's key is `normal`, as in the DSP data."""
    plain = DomainProfile.model_construct(name=PLAIN, title="No domain", system="", words=None, sampling=Sampling())
    return plain if words is None else _of_length(plain, words)


def shipped_domains() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_domains(names: list[str], words: tuple[int, int] | None = None) -> list[DomainProfile]:
    """Profiles by shipped name or by file; `words` takes the place of every profile's own length range.

    Raises:
        DataError: an unknown name (the nearest is told), a broken file, a name used twice or kept for plain answers.
    """
    profiles = [load_domain(name) for name in names]
    for position, profile in enumerate(profiles):
        if profile.name == PLAIN:
            raise DataError(f"{names[position]}: '{PLAIN}' is the name of plain answers; name the domain otherwise")
        if profile.name in [other.name for other in profiles[:position]]:
            raise DataError(f"domain '{profile.name}' is named twice; name each once")
    return [p if words is None else _of_length(p, words) for p in profiles]


def _of_length(profile: DomainProfile, words: tuple[int, int]) -> DomainProfile:
    """The profile with another length range; what runs far beyond it is not written to its end, for it is left out."""
    most = min(profile.sampling.max_tokens, TOKENS_PER_WORD * words[1])
    return profile.model_copy(
        update={"words": words, "sampling": profile.sampling.model_copy(update={"max_tokens": most})}
    )


def load_domain(name: str) -> DomainProfile:
    """One profile, by its shipped name or its file.

    Raises:
        DataError: there is no such profile, or the file is no valid profile; all its faults are listed.
    """
    path = domain_path(name)
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise DataError(f"{path}: holds no profile; see: rewardsmith collect domains show academy")
    try:
        profile = DomainProfile.model_validate({"name": path.stem, **raw})
    except ValidationError as error:
        raise DataError(f"{path}: {'; '.join(_faults(error))}") from error
    if not _NAME.fullmatch(profile.name):
        raise DataError(f"{path}: a domain's name holds letters, digits, '-', '_' and '.' only, not {profile.name!r}")
    return profile


def domain_path(name: str) -> Path:
    """File of a profile. Raises DataError where there is none."""
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise DataError(f"{name}: there is no such file; make it with: rewardsmith collect domains new {name}")
        return Path(name)
    shipped = shipped_domains()
    if name not in shipped:
        raise DataError(
            f"there is no domain '{name}'{nearest(name, shipped)}; there are {', '.join(shipped)}, or name a .yaml file"
        )
    return PROFILES / f"{name}.yaml"


def new_domain(path: Path) -> None:
    """Writes a profile to start from. Raises OutputExistsError for a file that is there."""
    if path.exists():
        raise OutputExistsError(f"{path} exists; name another")
    if path.suffix not in (".yaml", ".yml"):
        raise DataError(f"{path}: a profile's file ends in .yaml, and is named like the domain")
    path.write_text(_STARTER, encoding="utf-8")


def _faults(error: ValidationError) -> list[str]:
    known = list(DomainProfile.model_fields)
    faults = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            faults.append(f"unknown key '{where}'{nearest(str(item['loc'][-1]), known)}")
        else:
            reason = item["msg"].removeprefix("Value error, ")
            faults.append(f"{where}: {reason}" if where else reason)
    return faults


_STARTER = """\
# A domain: whose taste is collected. The file's name is the domain's name.
title: In one line, for people
system: |
  You are ... Answer as they would: what comes first, what matters, which tone.
rewards:            # what counts as good here; a judge reads this
  - one thing
avoids:
  - another
example:
  query: A question they hear often?
  answer: How they would answer it.
words: [40, 140]    # shortest and longest answer; the model is asked for it
sampling: {temperature: 0.8, top_p: 0.95, max_tokens: 240}
"""
