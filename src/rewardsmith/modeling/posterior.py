"""The uncertainty of a model's last layer, kept in its folder beside the weights.

It is made in the calibration room. Knows nothing of how.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rewardsmith.errors import ModelError
from rewardsmith.modeling.calibration import FloatArray

POSTERIOR = Path("calibration") / "posterior.safetensors"
"""In a folder of its own: serving tools take every safetensors file beside config.json for weights."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Laplace approximation of the last layer's weights, N(w, F'F).

    factor: F [k, width]; the variance of a margin whose features differ by d is |F d|².
    mean: [width] mean features of the responses it was fitted on, against which the error of one reward is taken.
    """

    factor: FloatArray
    mean: FloatArray

    def variance(self, differences: FloatArray) -> FloatArray:
        """(n,) variance of the margins of pairs whose features differ by `differences` [n, width]."""
        variance: FloatArray = ((differences @ self.factor.T) ** 2).sum(axis=1)
        return variance

    def write(self, folder: Path) -> None:
        """Writes it into a model's folder, in float32."""
        (folder / POSTERIOR).parent.mkdir(exist_ok=True)
        arrays = {"factor": self.factor, "mean": self.mean}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(a, np.float32)) for name, a in arrays.items()}
        save_file(tensors, folder / POSTERIOR)


def read_posterior(folder: Path) -> Posterior | None:
    """The posterior of a model's folder, or None where there is none. Raises ModelError for a damaged one."""
    path = folder / POSTERIOR
    if not path.is_file():
        return None
    try:
        arrays = {name: tensor.double().numpy() for name, tensor in load_file(path).items()}
        return Posterior(factor=arrays["factor"], mean=arrays["mean"])
    except (SafetensorError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}); calibrate the model again") from error
