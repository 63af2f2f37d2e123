"""Puts the commands together, and turns errors into one line and an exit code.

Exit codes: 0 done, 1 something failed, 2 the user's mistake, 3 a verdict asked for and not reached, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from rewardsmith.cli import (
    audit,
    benchmark,
    best_of_n,
    calibrate,
    collect,
    convert,
    customize,
    demo,
    evaluate,
    inspect,
    rank,
    recipe,
    score,
    train,
)
from rewardsmith.errors import RewardsmithError

app = typer.Typer(
    name="rewardsmith",
    help="Reward models customised to a domain, a group or a person; general ability kept, and measured.",
    epilog="Start with: rewardsmith demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command("demo")(demo.demo)
app.add_typer(collect.app, name="collect")
app.command("inspect")(inspect.inspect)
app.command("audit")(audit.audit)
app.command("convert")(convert.convert)
app.command("train")(train.train)
app.command("customize", help=customize.customize_help())(customize.customize)
app.command("report")(customize.report)
app.command("evaluate")(evaluate.evaluate)
app.command("benchmark")(benchmark.benchmark)
app.command("best-of-n")(best_of_n.best_of_n)
app.command("calibrate")(calibrate.calibrate)
app.command("score")(score.score)
app.command("rank")(rank.rank)
app.add_typer(recipe.app, name="recipe")


def _version(wanted: bool) -> None:
    if wanted:
        print(version("rewardsmith"))
        raise typer.Exit()


@app.callback()
def root(
    show: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Reward models customised to a domain, a group or a person; general ability kept, and measured."""


def main() -> None:
    """Entry point of the `rewardsmith` command."""
    # Quiet third parties before they are imported; what matters is said by our own messages.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()  # here a full disk can still be said; at the interpreter's end it cannot
        sys.exit(code)
    except RewardsmithError as error:
        _leave(str(error), error.exit_code)
    except typer.Abort:
        _leave("aborted", 1)
    except BrokenPipeError:
        # The reader of our output has gone: nothing is left to say, and nobody to say it to.
        _discard_stdout()
        sys.exit(1)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        _leave(f"{error.strerror or error}{place}", 1)
    except Exception as error:
        # Typer's own errors carry a context: a wrong option, a missing argument.
        if not hasattr(error, "format_message"):
            raise
        context: Any = getattr(error, "ctx", None)
        message = str(error.format_message())
        if context is not None and context.command.no_args_is_help and not message.strip():
            sys.exit(2)  # the help was shown
        command = context.command_path if context is not None else "rewardsmith"
        _leave(f"{message.rstrip('.')}; see: {command} --help", 2)


def _discard_stdout() -> None:
    """Sends what is still buffered nowhere, so that the interpreter does not fail on it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(message: str, code: int) -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
