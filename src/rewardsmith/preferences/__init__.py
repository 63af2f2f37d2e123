"""What people prefer: the record, readers and writers of public formats, splits, mixing, shortcuts and the audit.

Names are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewardsmith.preferences.audit import AuditReport, Finding, Thresholds, audit_preferences
    from rewardsmith.preferences.formats.registry import FORMATS
    from rewardsmith.preferences.mixing import mix_preferences, take_preferences
    from rewardsmith.preferences.reading import (
        LoadedPreferences,
        PreferenceReader,
        load_preferences,
        read_preferences,
        with_annotator_domains,
    )
    from rewardsmith.preferences.record import (
        GENERAL,
        PLAIN,
        Message,
        Preference,
        Response,
        content_hash,
        response_messages,
        response_text,
    )
    from rewardsmith.preferences.shortcuts import ShortcutReport, shortcut_baselines
    from rewardsmith.preferences.splitting import split_preferences
    from rewardsmith.preferences.targets import TARGETS
    from rewardsmith.preferences.writing import WriteReport, write_preferences

__all__ = [
    "FORMATS",
    "GENERAL",
    "PLAIN",
    "TARGETS",
    "AuditReport",
    "Finding",
    "LoadedPreferences",
    "Message",
    "Preference",
    "PreferenceReader",
    "Response",
    "ShortcutReport",
    "Thresholds",
    "WriteReport",
    "audit_preferences",
    "content_hash",
    "load_preferences",
    "mix_preferences",
    "read_preferences",
    "response_messages",
    "response_text",
    "shortcut_baselines",
    "split_preferences",
    "take_preferences",
    "with_annotator_domains",
    "write_preferences",
]

_HOME = {
    "audit": ("AuditReport", "Finding", "Thresholds", "audit_preferences"),
    "formats.registry": ("FORMATS",),
    "mixing": ("mix_preferences", "take_preferences"),
    "reading": (
        *("LoadedPreferences", "PreferenceReader", "load_preferences"),
        *("read_preferences", "with_annotator_domains"),
    ),
    "record": (
        *("GENERAL", "PLAIN", "Message", "Preference", "Response"),
        *("content_hash", "response_messages", "response_text"),
    ),
    "shortcuts": ("ShortcutReport", "shortcut_baselines"),
    "splitting": ("split_preferences",),
    "targets": ("TARGETS",),
    "writing": ("WriteReport", "write_preferences"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
