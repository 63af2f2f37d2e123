"""What is published: `speed.json` (the figures), `speed.md` (made from it alone) and their pictures, below one folder.

A run of some figures replaces those and keeps the others, each with the command, versions and machine that gave it.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.curves import Point
from benchmarks.figures import FIGURES
from benchmarks.measured import Figure, Measured
from benchmarks.page import ALLOWED_GAP, Entry, page_of
from benchmarks.plots import plot_curves, plot_ratios
from benchmarks.timing import Ratio
from benchmarks.workload import SEED, Setting
from rewardsmith.errors import UserError
from rewardsmith.evaluation.result import Comparison

_PACKAGES = ("rewardsmith", "torch", "transformers", "trl", "accelerate")
_WITH_ACCURACY = "four_domains"
_ACCURACY_NOTE = f"counts if the mean accuracy is at most {ALLOWED_GAP:g} point below TRL's: see --with-accuracy"


@dataclass(frozen=True)
class Report:
    """The files below `folder`."""

    folder: Path

    @property
    def figures(self) -> Path:
        return self.folder / "results" / "speed.json"

    @property
    def curves(self) -> Path:
        return self.folder / "results" / "speed_curves.json"

    @property
    def page(self) -> Path:
        return self.folder / "results" / "speed.md"

    def picture(self, name: str) -> Path:
        """Where the picture of that name lies."""
        return self.folder / "images" / f"{name}.png"

    def add(self, figure: Figure, measured: Measured, setting: Setting) -> None:
        """Puts a figure in, or in the place of what was measured before."""
        entries = {entry["figure"]: entry for entry in self._entries()}
        before = entries.get(figure.name, {})
        entries[figure.name] = _entry(figure, measured, setting)
        if figure.name == _WITH_ACCURACY:
            entries[figure.name]["accuracy_gap"] = before.get("accuracy_gap")
            entries[figure.name]["accuracy_note"] = before.get("accuracy_note", _ACCURACY_NOTE)
        self._write([entries[name] for name in FIGURES if name in entries])

    def require_speed(self) -> None:
        """Raises UserError where the speed that the accuracy belongs to has not been measured."""
        if all(entry["figure"] != _WITH_ACCURACY for entry in self._entries()):
            raise UserError(f"{self.figures} has no {_WITH_ACCURACY}; measure it first: --figure {_WITH_ACCURACY}")

    def add_accuracy(self, gap: Comparison, setting: Setting) -> None:
        """Puts the accuracy that `four_domains` hangs on beside its speed."""
        entries = self._entries()
        entry = next(e for e in entries if e["figure"] == _WITH_ACCURACY)
        points = None if gap.difference is None else 100 * gap.difference
        interval = "no interval" if gap.ci95 is None else "95 % [{:+.1f}, {:+.1f}]".format(*(100 * x for x in gap.ci95))
        entry["accuracy_gap"] = points
        entry["accuracy_note"] = (
            f"points, ours minus TRL's, {interval}, over {gap.n_pairs} pairs of {gap.n_prompts} validation prompts; "
            f"{_command(setting)} --with-accuracy, commit {_commit(setting)}"
        )
        self._write(entries)

    def add_curves(self, points: Sequence[Point], setting: Setting) -> None:
        """Writes the curves, and the page that shows them."""
        self.curves.parent.mkdir(parents=True, exist_ok=True)
        content = {"points": [asdict(p) for p in points], "measured": _circumstances(setting, "curves")}
        self.curves.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        plot_curves(points, self.picture("speed_curves"))
        self._write(self._entries())

    def _entries(self) -> list[Entry]:
        return json.loads(self.figures.read_text(encoding="utf-8")) if self.figures.is_file() else []

    def _write(self, entries: list[Entry]) -> None:
        self.figures.parent.mkdir(parents=True, exist_ok=True)
        if entries:
            self.figures.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
            plot_ratios(entries, self.picture("speed"))
        self.page.write_text(page_of(entries, curves=self.curves.is_file()), encoding="utf-8")


def _entry(figure: Figure, measured: Measured, setting: Setting) -> Entry:
    return {
        "figure": figure.name,
        **_ratio(measured.ratio),
        "floor": figure.floor,
        "aim": figure.aim,
        "what": figure.what,
        "against": measured.against,
        "work": measured.work,
        "also": {name: _ratio(value) for name, value in measured.also.items()},
        "seconds": {name: [round(s, 3) for s in seconds] for name, seconds in measured.seconds.items()},
        "loss": {name: round(loss, 5) for name, loss in measured.loss.items()},
        "notes": list(measured.notes),
        "measured": _circumstances(setting, figure.name),
    }


def _ratio(value: Ratio) -> dict[str, float]:
    return {"ratio": round(value.median, 3), "low": round(value.low, 3), "high": round(value.high, 3)}


def _circumstances(setting: Setting, figure: str) -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "command": f"{_command(setting)} --figure {figure}",
        "commit": _commit(setting),
        "seed": SEED,
        "repeats": setting.repeats,
        "model": "tiny" if setting.tiny else "SmolLM2-135M-Instruct",
        "precision": "bfloat16 autocast" if setting.bf16 else "float32",
        "machine": _machine(setting),
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _command(setting: Setting) -> str:
    options = [f"--repeats {setting.repeats}", f"--threads {setting.threads}", f"--device {setting.device}"]
    flags = [*(["--tiny"] if setting.tiny else []), *(["--bf16"] if setting.autocast else [])]
    return " ".join(["python -m benchmarks", *options, *flags])


def _commit(setting: Setting) -> str | None:
    """The code that was measured; a try of the code needs none."""
    if setting.tiny:
        return None
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _machine(setting: Setting) -> str:
    if setting.device == "cuda":
        import torch

        return torch.cuda.get_device_name(0)
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        name = found[1] if found else name
    return f"{setting.threads} of {os.cpu_count()} cores of {name}, {sys.platform}"
