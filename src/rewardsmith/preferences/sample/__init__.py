"""The embedded sample: 120 queries answered for four domains and plainly, and 220 general pairs (Apache-2.0).

Written for this project, one by one; small enough to train on two cores in minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

from rewardsmith.errors import UserError, nearest

SAMPLE_PREFIX = "sample:"
"""Paths of recipes and commands that begin so name a part of the sample."""

_FILES = {"domains": "domains.json", "general": "general.jsonl"}


def sample_path(name: str) -> Path:
    """File of `sample:domains` (raw DSP form) or `sample:general` (prompt, chosen, rejected).

    Raises:
        UserError: there is no such sample.
    """
    key = name.removeprefix(SAMPLE_PREFIX)
    if key not in _FILES:
        raise UserError(f"there is no sample {name!r}{nearest(key, _FILES)}; there are {', '.join(_FILES)}")
    return Path(__file__).parent / _FILES[key]


def located(source: str) -> str:
    """A file's path for `sample:NAME`; any other source as it is."""
    return str(sample_path(source)) if source.startswith(SAMPLE_PREFIX) else source


def real_place(source: str) -> str:
    """One spelling of a source: `a.jsonl`, `./a.jsonl` and a link give the same; what is no file stays as it is."""
    place = located(source)
    return os.path.realpath(place) if os.path.exists(place) else place
