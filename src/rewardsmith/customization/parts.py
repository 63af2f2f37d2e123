"""Who sees what: general preferences are split by prompt into train, choose, certify and test, custom ones into train,
choose and test.

The certify part holds no prompt that the general model was trained on or that the custom set has, and is opened once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rewardsmith.errors import DataError
from rewardsmith.preferences.record import Preference, content_hash
from rewardsmith.preferences.splitting import split_preferences

TRAIN, CHOOSE, CERTIFY, TEST = "train", "choose", "certify", "test"

CUSTOM = "custom"
"""Name of the custom set beside the general ones."""

_CUSTOM = {TRAIN: 0.6, CHOOSE: 0.15, TEST: 0.25}
_UNSEEN = {CHOOSE: 0.2, CERTIFY: 0.6, TEST: 0.2}
"""Of general prompts that the model was not trained on, where it was trained on others of these sets."""
_ALL = {TRAIN: 0.25, CHOOSE: 0.2, CERTIFY: 0.35, TEST: 0.2}
"""Of all general prompts, where it was trained on none of them."""

_OWN_DRAW = 7919
"""Added to the seed: the general model's own training part may have been drawn by the same hash, and the prompts that
it left out all lie at one end of it."""

Split = dict[str, list[Preference]]


@dataclass(frozen=True)
class Parts:
    """The custom preferences by part, the general ones by set and part, and what is to be said of them."""

    custom: Split
    general: dict[str, Split]
    notes: list[str]

    def of(self, part: str) -> dict[str, list[Preference]]:
        """One part of every general set."""
        return {name: split.get(part, []) for name, split in self.general.items()}

    def pooled(self, part: str) -> list[Preference]:
        """One part of all general sets together."""
        return [p for preferences in self.of(part).values() for p in preferences]

    def with_choice_learnt(self) -> Parts:
        """The same, but that the custom choosing part is trained on too."""
        return replace(self, custom={**self.custom, TRAIN: [*self.custom[TRAIN], *self.custom[CHOOSE]]})

    def prompts(self) -> dict[str, dict[str, int]]:
        """Numbers of prompts by set and part."""
        sets = {CUSTOM: self.custom, **self.general}
        return {
            name: {part: len({p.prompt_key() for p in preferences}) for part, preferences in split.items()}
            for name, split in sets.items()
        }


def split_parts(
    custom: Sequence[Preference],
    general: Mapping[str, Sequence[Preference]],
    trained_on: Sequence[str] | None,
    *,
    seed: int = 0,
) -> Parts:
    """Splits what ranks something.

    Args:
        trained_on: hashes of the prompts that the general model was trained on; None where that is not known.

    Raises:
        DataError: a set, or a part that is needed, holds nothing that ranks anything.
    """
    if CUSTOM in general:
        raise DataError(f"a general set is called {CUSTOM!r}, which means the custom preferences; name it: other=FILE")
    notes: list[str] = []
    ranking = _ranking("the custom preferences", custom, notes)
    taken = {p.prompt_key() for p in ranking}
    seen = set(trained_on or [])
    sets: dict[str, Split] = {}
    for name, preferences in general.items():
        kept = _ranking(name, preferences, notes)
        own = [p for p in kept if p.prompt_key() not in taken]
        if len(own) < len(kept):
            notes.append(f"{name}: {len(kept) - len(own)} preferences left out, the custom set has their prompts")
        if not own:
            raise DataError(
                f"{name}: each of its {len(kept)} preferences has a prompt of the custom preferences; give general "
                "preferences on other prompts"
            )
        old = [p for p in own if content_hash(p.prompt_key()) in seen]
        new = [p for p in own if content_hash(p.prompt_key()) not in seen]
        split = split_preferences(new, _UNSEEN if old else _ALL, seed=seed + _OWN_DRAW)
        sets[name] = {TRAIN: [*old, *split.get(TRAIN, [])], **{part: split[part] for part in (CHOOSE, CERTIFY, TEST)}}
        for part in (TRAIN, CHOOSE, CERTIFY, TEST):
            if not sets[name][part]:
                raise DataError(
                    f"{name}: its {len(own)} preferences leave none to {part} with ({len(old)} stand on prompts that "
                    "the general model was trained on); give more general preferences that it has not seen"
                )
    if trained_on is None:
        notes.append(
            "the general model does not say what it was trained on: if it was on these general preferences, the "
            "certificate says too little; give preferences that it has not seen"
        )
    split = split_preferences(ranking, _CUSTOM, seed=seed)
    for part, preferences in split.items():
        if not preferences:
            raise DataError(f"the custom set is too small: of {len(ranking)} preferences none is left to {part} with")
    return Parts(split, sets, notes)


def _ranking(name: str, preferences: Sequence[Preference], notes: list[str]) -> list[Preference]:
    kept = [p for p in preferences if p.pairs()]
    if not kept:
        raise DataError(f"{name}: none of {len(preferences)} preferences ranks anything (all are ties or identical)")
    if len(kept) < len(preferences):
        notes.append(f"{name}: {len(preferences) - len(kept)} preferences rank nothing and are left out")
    return kept
