"""Files that are whole or not there, lines that are whole or cut off again, and what is said of damaged ones."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from rewardsmith.errors import DataError, OutputExistsError


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that an interruption leaves the old one or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Appends lines durably; a last line that an interruption tore is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.is_file() else b""
    with path.open("ab") as file:
        file.truncate(before.rfind(b"\n") + 1)
        file.write("".join(f"{line}\n" for line in lines).encode())
        file.flush()
        os.fsync(file.fileno())


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises DataError with the line where it is none."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{path}{line}: is not valid YAML ({error.problem}); mend it there") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def held_run(file: Path, keys: Iterable[str], *, overwrite: bool, kind: str = "run") -> dict[str, Any] | None:
    """What a run keeps of itself in `file`, an object with at least these keys; None where its folder is new, empty or
    emptied by `overwrite`.

    Raises:
        OutputExistsError: the folder holds something else, or the file is damaged.
    """
    folder = file.parent
    if not folder.exists() or all(p.suffix == ".partial" for p in folder.iterdir()):
        return None
    if not file.is_file():
        # Not even --overwrite removes what this program did not make.
        raise OutputExistsError(f"{folder} exists and holds no {kind}; name another folder with --out")
    if overwrite:
        shutil.rmtree(folder)
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(kept, dict) and all(isinstance(kept.get(key), dict) for key in keys):
            return kept
    except ValueError:  # also what is not UTF-8
        pass
    raise OutputExistsError(
        f"{file} is damaged, so that nothing can go on from it; start the run anew with --overwrite, or name another "
        "folder with --out"
    )
