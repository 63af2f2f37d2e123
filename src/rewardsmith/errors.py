"""The errors a user can meet, one family.

Every message says what was wrong, where (file, line, record) and what to do. The command line prints
it in one line without a traceback and exits with `exit_code`. This module knows nothing of where errors come from.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RewardsmithError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class UserError(RewardsmithError, ValueError):
    """Something the user can mend: an option, a file, a recipe."""

    exit_code = 2


class DataError(UserError):
    """A preference file that cannot be read as asked. Says the file, the line or record, the field and the reason."""


class RecipeError(UserError):
    """A recipe that does not hold together; the message lists all its faults at once."""


class ModelError(UserError):
    """A model folder that is none, or that cannot do what was asked of it."""


class OutputExistsError(UserError, FileExistsError):
    """An output that is there already; refused so that nothing is overwritten unasked."""


class TrainingError(RewardsmithError, RuntimeError):
    """A run that cannot go on, for example because the loss is not finite."""


class VerdictNotReached(RewardsmithError):
    """A verdict was asked for and the data do not give one."""

    exit_code = 3


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint ` (did you mean 'x'?)`, or an empty string when nothing is close."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" (did you mean '{found[0]}'?)" if found else ""
