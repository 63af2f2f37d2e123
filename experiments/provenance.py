"""Which code a page was made by."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def commit() -> str:
    """The short hash of the commit that is checked out; empty outside of a repository."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def versions() -> str:
    """Of what a figure may depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("rewardsmith", "torch", "transformers", "scikit-learn"))
    return f"{packages}, python {platform.python_version()}"
