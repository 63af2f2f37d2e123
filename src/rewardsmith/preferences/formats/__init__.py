"""The public formats of preference data: one small module a family, a registry and detection.

A format says whether rows look like it and turns a row into drafts of our record. It knows nothing of files.
"""

from rewardsmith.preferences.formats.base import BadRow, Draft, Format
from rewardsmith.preferences.formats.detection import Detected, detect
from rewardsmith.preferences.formats.registry import FORMATS, format_named

__all__ = ["FORMATS", "BadRow", "Detected", "Draft", "Format", "detect", "format_named"]
