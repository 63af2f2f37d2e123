"""Real preference files, where they lie beside the project: each is known for what it is, and read to the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.sample import located

DATA = Path(__file__).parents[3] / "shared" / "data"
"""They are read there, never copied."""
FILES = {
    "creative_writing": ("personal-pairs", 1242),
    "domain_specific_preference": ("dsp", 4 * 479),
    "harmless": ("dsp-text-score", 1727),
    "helpful": ("dsp-text-score", 1737),
    "mtbench_votes": ("arena", 1895),
    "prism": ("personal-pairs", 2063),
    "qa_feedback": ("trl", 2008),
    "webgpt": ("dsp-text-score", 672),
    "xstest": ("pairs", 697),
}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real files are not at hand")


@pytest.mark.parametrize("name", FILES)
def test_each_is_known_for_what_it_is(name: str) -> None:
    loaded = load_preferences(DATA / f"{name}.json")
    assert (loaded.format, len(loaded), loaded.counts.dropped) == (*FILES[name], 0)


def test_the_sample_is_none_of_it() -> None:
    def texts(source: str | Path) -> set[str]:
        loaded = load_preferences(source).preferences
        spoken = [str(r) for p in loaded for r in p.responses] + [m.content for p in loaded for m in p.prompt]
        return {" ".join(text.lower().split()) for text in spoken if text.strip()}

    ours = texts(located("sample:domains")) | texts(located("sample:general"))
    for name in FILES:
        assert not ours & texts(DATA / f"{name}.json"), name
