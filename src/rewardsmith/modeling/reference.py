"""The general preferences that a model's certificate stands on, as the model itself reads them: kept in its folder, so
that whether later preferences are like them can be asked without them, and without another model.

It is made in the customization room. Knows nothing of certificates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rewardsmith.errors import ModelError
from rewardsmith.modeling.calibration import FloatArray
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.splitting import hash_share

REFERENCE = Path("certificate") / "reference.safetensors"
"""In a folder of its own: serving tools take every safetensors file beside config.json for weights."""

MOST_PROMPTS = 200
"""Of a set: enough to tell a shift of half a standard deviation, and less than a megabyte a set on a small model."""


@dataclass(frozen=True, eq=False)
class Reference:
    """rows: by set [n, 2 width], see `prompt_rows`."""

    rows: Mapping[str, FloatArray]

    def write(self, folder: Path) -> None:
        """Writes it into a model's folder, in float32."""
        (folder / REFERENCE).parent.mkdir(exist_ok=True)
        save_file(
            {name: torch.from_numpy(rows.astype(np.float32)) for name, rows in self.rows.items()}, folder / REFERENCE
        )


def read_reference(folder: Path) -> Reference | None:
    """The reference of a model's folder, or None where there is none. Raises ModelError for a damaged one."""
    path = folder / REFERENCE
    if not path.is_file():
        return None
    try:
        return Reference({name: tensor.double().numpy() for name, tensor in load_file(path).items()})
    except SafetensorError as error:
        raise ModelError(f"{path} cannot be read ({error}); customize the model again, or remove the file") from error


def prompt_sample(preferences: Sequence[Preference]) -> list[Preference]:
    """All ranking preferences on `MOST_PROMPTS` prompts drawn by their hash, or on all where there are no more."""
    ranking = [p for p in preferences if p.pairs()]
    keys = sorted({p.prompt_key() for p in ranking}, key=lambda key: hash_share(f"reference\0{key}"))
    kept = set(keys[:MOST_PROMPTS])
    return [p for p in ranking if p.prompt_key() in kept]


def prompt_rows(preferences: Sequence[Preference], features: Sequence[FloatArray]) -> FloatArray:
    """[n, 2 width], one row for each prompt: the mean features of its responses, which say what is talked about, and
    their mean difference, preferred less other, which says what is preferred.

    Args:
        features: for each preference, which ranks something, those of its responses [r, width].
    """
    rows: dict[str, list[FloatArray]] = {}
    for p, x in zip(preferences, features, strict=True):
        difference = np.mean([x[i] - x[j] for i, j in p.pairs()], axis=0)
        rows.setdefault(p.prompt_key(), []).append(np.concatenate([x.mean(axis=0), difference]))
    return np.array([np.mean(members, axis=0) for members in rows.values()])
