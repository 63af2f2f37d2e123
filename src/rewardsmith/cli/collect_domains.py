"""`rewardsmith collect domains`: the shipped domain profiles, and making one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import stderr

app = typer.Typer(help="Lists, shows, makes and checks domain profiles.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Names the shipped domains."""
    from rewardsmith.collection.domains import load_domain, shipped_domains

    for name in shipped_domains():
        print(f"{name}\n    {load_domain(name).title}")


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped domain, or a file.")]) -> None:
    """Prints a profile."""
    from rewardsmith.collection.domains import domain_path

    print(domain_path(name).read_text(encoding="utf-8"), end="")


@app.command()
def new(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to: a .yaml file named like the domain.")],
) -> None:
    """Writes a profile to start from."""
    from rewardsmith.collection.domains import new_domain

    new_domain(path)
    stderr().print(f"written to {path}; edit it, then: rewardsmith collect domains check {path}", highlight=False)


@app.command()
def check(name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped domain, or a file.")]) -> None:
    """Reads a profile and prints what the model would be told."""
    from rewardsmith.collection.domains import load_domain

    profile = load_domain(name)
    print(f"{profile.name}: {profile.title}\n\n{profile.messages(())[0].content}")
