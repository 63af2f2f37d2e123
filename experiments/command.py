"""How an experiment is started: a user's mistake is a sentence, not a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from rewardsmith.errors import RewardsmithError


def run_experiment(experiment: Callable[..., Any]) -> None:
    """Runs it with the options of the command line."""
    try:
        typer.run(experiment)
    except RewardsmithError as error:
        print(f"experiments: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
