"""`calibrate`: a copy of a model whose rewards can be used, and what that is worth on preferences it never saw.

The temperature goes into the head, so that the copy is as portable as the model was; the rest lies beside it.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console

from rewardsmith.calibration.fitting import TEMPERATURE, Fitted, fit, halves, length_effect, read
from rewardsmith.calibration.parts import FIT, TEST, Part, split_unseen
from rewardsmith.evaluation.calibrated import CalibrationResult
from rewardsmith.modeling.calibration import Calibration
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.frozen import digest_of
from rewardsmith.modeling.heads import MixtureHead
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.scoring import progress
from rewardsmith.preferences.candidates import of_domain
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.sample import located
from rewardsmith.reporting.calibration import plot_reliability

RESULT = Path("calibration") / "result.json"
PLOT = Path("calibration") / "reliability.png"

WANTED_ERROR = 0.05
"""Calibration error that the test part should be able to exclude."""


def calibrate(
    name: str,
    data: str,
    out: Path,
    *,
    domain: str | None = None,
    share: float = 0.5,
    seed: int = 0,
    overwrite: bool = False,
    console: Console | None = None,
) -> CalibrationResult:
    """Calibrates the model `name` on preferences and saves the copy to `out`, with its result and a plot.

    Args:
        name: a model's or a run's folder, or a hub name.
        data: a file, folder or hub data set. Prompts that the model was trained on are left out.
        domain: which of a run's models, and which of the preferences.
        share: of the prompts, to fit on; the rest is for the figures.

    Raises:
        DataError: the preferences cannot be used.
        ModelError: `name` is no reward model.
        OutputExistsError: `out` holds something.
    """
    started = time.monotonic()
    model = RewardModel.from_pretrained(name, domain)
    parts, notes = _read(model, data, domain, share, seed, console)
    mixes = isinstance(model.own_head, MixtureHead)
    if mixes:
        notes.append("no uncertainty: in a mixture the gate is unsure too, and the last layer does not know it")
    fitted = fit(parts[FIT], uncertainty=not mixes)
    _apply(model, fitted, data, parts[FIT].table.n_prompts, seed)
    model.save_pretrained(out, overwrite=overwrite)
    result = _result(name, data, seed, parts, fitted, notes)
    (out / RESULT).parent.mkdir(exist_ok=True)
    plot_reliability(result.readings, out / PLOT)
    result = result.model_copy(update={"seconds": time.monotonic() - started})
    (out / RESULT).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return result


def _read(
    model: RewardModel, data: str, domain: str | None, share: float, seed: int, console: Console | None
) -> tuple[dict[str, Part], list[str]]:
    """The two parts with what the model gives for them, and remarks."""
    preferences = of_domain(load_preferences(located(data)).preferences, domain, data)
    parts, notes = split_unseen(data, preferences, model.info.trained_on, share=share, seed=seed)
    if not model.info.trained_on:
        notes.append("the model does not say what it was trained on: if it was on these prompts, it is too sure here")
    bank = FeatureBank(model)
    try:
        every = [*parts[FIT], *parts[TEST]]
        with progress(console, "the model reads the preferences", len(every)) as advance:
            bank.fill(every, advance)
        return {part: Part.of(kept, bank.of(kept)) for part, kept in parts.items()}, notes
    finally:
        bank.close()


def _result(
    name: str, data: str, seed: int, parts: Mapping[str, Part], fitted: Fitted, notes: list[str]
) -> CalibrationResult:
    """All figures, on the test part."""
    test = parts[TEST]
    margins = fitted.readings(test)
    readings = {way: read(values, test, seed) for way, values in margins.items()}
    interval = readings[TEMPERATURE].ece_ci95
    if interval is not None and interval[0] <= WANTED_ERROR < interval[1]:
        notes.append(
            f"{test.table.n_prompts} prompts cannot tell whether the calibration error is below {WANTED_ERROR:g}: its "
            f"interval reaches {interval[1]:.2f}"
        )
    error = fitted.standard_errors(test)
    if error is not None:
        notes.append(f"the standard error of a margin is {test.weights @ error:.2f} on average")
    return CalibrationResult(
        model=name,
        data=data,
        seed=seed,
        temperature=fitted.temperature,
        offset=fitted.offset,
        n_prompts={part: p.table.n_prompts for part, p in parts.items()},
        n_pairs={part: p.table.n_pairs for part, p in parts.items()},
        readings=readings,
        halves=halves(margins, test, seed),
        coefficient=fitted.length.coefficient,
        length=length_effect(fitted.margins(test), fitted.without_length(test), test, seed),
        standard_error=None if error is None else float(test.weights @ error),
        notes=notes,
        command=sys.argv,
        versions={p: version(p) for p in ("rewardsmith", "torch", "transformers")}
        | {"python": platform.python_version()},
    )


@torch.no_grad()
def _apply(model: RewardModel, fitted: Fitted, data: str, n_prompts: int, seed: int) -> None:
    """Puts the temperature into the last layer, and all else beside it."""
    for parameter in model.last_layer.parameters():
        parameter.div_(fitted.temperature)
    scale = model.info.reward_scale
    if scale is not None:
        change = {"mean": scale.mean / fitted.temperature, "std": scale.std / fitted.temperature}
        scale = scale.model_copy(update=change)
    calibration = Calibration(
        head=digest_of(model.last_layer.parameters()),
        temperature=fitted.temperature,
        offset=fitted.offset,
        isotonic=fitted.isotonic,
        length=fitted.length,
        moderated_temperature=fitted.moderated_temperature,
        source=data,
        n_prompts=n_prompts,
        seed=seed,
    )
    model.info = model.info.model_copy(update={"calibration": calibration, "reward_scale": scale})
    model.posterior = fitted.posterior
