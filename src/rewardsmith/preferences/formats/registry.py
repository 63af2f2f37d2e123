"""All formats by name, in the order in which they are listed to people."""

from __future__ import annotations

from rewardsmith.errors import DataError, nearest
from rewardsmith.preferences.formats.base import Format
from rewardsmith.preferences.formats.comparisons import Arena, HelpSteer2, HelpSteer3, PkuSafeRlhf, PkuSafeRlhfSafer
from rewardsmith.preferences.formats.dsp import Dsp, DspTextScore
from rewardsmith.preferences.formats.llamafactory import LlamaFactory, LlamaFactoryAlpaca
from rewardsmith.preferences.formats.own import Own
from rewardsmith.preferences.formats.pairs import HhRlhf, Pairs, PersonalPairs, RewardBench, Trl, UltraFeedbackBinarized
from rewardsmith.preferences.formats.ratings import Gpt4Llm, UltraFeedback, WebGpt

_ALL: list[Format] = [
    *(Own(), Dsp(), DspTextScore(), Trl(), HhRlhf(), WebGpt(), Gpt4Llm(), UltraFeedback(), UltraFeedbackBinarized()),
    *(HelpSteer3(), HelpSteer2(), PkuSafeRlhf(), PkuSafeRlhfSafer(), Arena(), RewardBench()),
    *(LlamaFactory(), LlamaFactoryAlpaca(), PersonalPairs(), Pairs()),
]

FORMATS: dict[str, Format] = {each.name: each for each in _ALL}


def format_named(name: str) -> Format:
    """The format of this name. Raises DataError with the nearest name and all of them."""
    if name not in FORMATS:
        raise DataError(f"there is no format '{name}'{nearest(name, FORMATS)}; known are {', '.join(FORMATS)}")
    return FORMATS[name]
