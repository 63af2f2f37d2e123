"""The real preferences that the experiments stand on."""

from __future__ import annotations

from pathlib import Path

from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference

FOLDER = Path(__file__).parent.parent / "../shared/data"
DOMAINS = ("academy", "business", "entertainment", "literature")
"""Of the DSP data."""
GENERAL_SETS = ("helpful", "harmless", "webgpt")


def ranking(file: str | Path) -> list[Preference]:
    """A file's preferences that rank something."""
    return [p for p in load_preferences(str(file)).preferences if p.pairs()]
