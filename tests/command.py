"""The `rewardsmith` command in this process: a process of its own would spend most of its time importing torch."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def run_command(*arguments: object, stdin: str | None = None) -> Outcome:
    """Runs `rewardsmith ARGUMENTS` through its entry point: `run_command("score", "-m", model, "-", stdin="...")`."""
    from rewardsmith.cli.app import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["rewardsmith", *map(str, arguments)])
        if stdin is not None:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        with pytest.raises(SystemExit) as left:
            main()
    code = left.value.code
    printed, said = (stream.buffer.getvalue().decode() for stream in (out, err))
    return Outcome(
        int(code) if code else 0, printed, "\n".join(x for x in said.splitlines() if "model shards" not in x)
    )


@contextmanager
def within(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """In a folder, with an environment's variables beside those of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def run_line(line: str, folder: Path, environment: Mapping[str, str]) -> Outcome:
    """Runs a documented shell line in a folder: our commands and `echo`, one or several in a pipe."""
    outcome = Outcome(0, "", "")
    with within(folder, environment):
        for command in line.split(" | "):
            program, *arguments = shlex.split(command)
            if program == "echo":
                outcome = Outcome(0, " ".join(arguments) + "\n", "")
            else:
                assert program == "rewardsmith", line
                outcome = run_command(*arguments, stdin=outcome.out or None)
            if outcome.code:
                break
    return outcome
