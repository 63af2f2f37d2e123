"""What a figure is (a name, what is asked of it, the function that measures it), and what measuring it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, cast

from benchmarks.timing import Ratio, Rounds, ratio

if TYPE_CHECKING:
    from benchmarks.workload import Setting

OURS = "ours"


@dataclass(frozen=True)
class Measured:
    """A figure as measured: how many times better we are than `against`, on `work`.

    `also` holds ratios to other sides, `seconds` those of every side and round, `loss` each side's mean training loss
    (equal where both computed the same), `notes` what a reader must know.
    """

    ratio: Ratio
    against: str
    work: str
    also: Mapping[str, Ratio] = field(default_factory=dict)
    seconds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    loss: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """A question with its floor (below it we have failed) and its aim; its function in `module` measures it.

    The module is loaded when it is needed, so that names can be checked and help be shown at once.
    """

    name: str
    module: str
    floor: float
    aim: float
    what: str

    def measure(self, setting: Setting) -> Measured:
        """Measures it; this takes minutes."""
        module = import_module(f"benchmarks.figures.{self.module}")
        return cast(Measured, getattr(module, self.name)(setting))


def compared(rounds: Rounds, peer: str, *, work: str, notes: Sequence[str] = ()) -> Measured:
    """`peer` over ours; the other sides stand beside it."""
    others = [name for name in rounds if name not in (OURS, peer)]
    return Measured(
        ratio=ratio(rounds, peer, OURS),
        against=peer,
        work=work,
        also={name: ratio(rounds, name, OURS) for name in others},
        seconds={name: [run.seconds for run in runs] for name, runs in rounds.items()},
        loss={name: runs[0].loss for name, runs in rounds.items() if runs[0].loss is not None},
        notes=notes,
    )
