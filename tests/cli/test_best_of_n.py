"""`best-of-n` on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    file = tmp_path / "queries.txt"
    file.write_text("".join(f"What is {k}?\n" for k in range(6)), encoding="utf-8")
    return file


def test_best_of_n_and_once_more(
    cli: Cli, model: Path, make_backbone: Callable[..., Path], queries: Path, tmp_path: Path
) -> None:
    policy = f"local:{make_backbone('llama', settings={'max_position_embeddings': 512})}"
    arguments = ("best-of-n", queries, "-m", model, "-m", f"twin={model}", "--gold", f"judge={model}")
    options = ("--policy", policy, "--n", 4, "--max-tokens", 5, "--choose", 5, "--out", tmp_path / "run")
    done = cli(*arguments, *options)
    assert done.code == 0, done.err
    for word in ("judge", "twin", "longer wins", "the gold itself", "5 queries, 4 responses each", "highest at n"):
        assert word in done.out, word
    again = cli(*arguments, *options, "--quiet")
    assert again.code == 0 and again.out == done.out
    refused = cli(*arguments, *options, "--seed", 1)
    assert refused.code == 2 and "--seed" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "local:./nowhere"), "there is no folder"),
        (("-m", "same=other"), "two sets are called 'same'"),
        (("--n", "1"), "--n"),
        (("--gold", "nowhere/at/all"), "nowhere/at/all"),
    ],
)
def test_mistakes_are_said_in_a_line(
    cli: Cli, model: Path, queries: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "run"
    done = cli("best-of-n", queries, "-m", f"same={model}", "--gold", f"gold={model}", "--out", out, *arguments)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err
    assert not out.exists()
