"""`rewardsmith.json`: what a saved model knows of itself beyond the standard checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rewardsmith.errors import ModelError
from rewardsmith.modeling.calibration import Calibration
from rewardsmith.modeling.spec import HeadKind, Pooling

FILE_NAME = "rewardsmith.json"


class RewardScale(BaseModel):
    """Mean and standard deviation of the rewards on general responses: puts several models on one scale."""

    mean: float
    std: float = Field(gt=0)
    n: int = Field(description="Responses it was measured on.")
    source: str


class ModelInfo(BaseModel):
    """What is ours alone about a reward model. Unknown keys of later versions are kept."""

    model_config = ConfigDict(extra="allow")

    version: Literal[1] = 1
    portable: bool = True
    pooling: Pooling = "native"
    head: HeadKind = "linear"
    experts: list[str] | None = Field(default=None, description="What a mixture head mixes, one linear head each.")
    layers: list[int] | None = Field(default=None, description="Layers pooled and joined; null is the last alone.")
    depth: int | None = Field(default=None, description="Layers kept of the original backbone; null is all.")
    domains: list[str] = Field(default_factory=lambda: ["general"], description="One reward output for each.")
    precision: Literal["float32", "bfloat16"] | None = Field(default=None, description="Of the weights.")
    max_length: int | None = Field(default=None, description="Tokens; longer prompts are cut from the left.")
    reward_scale: RewardScale | None = None
    calibration: Calibration | None = Field(default=None, description="Of `calibrate`; holds for the head it names.")
    trained_on: list[str] = Field(default_factory=list, description="Hashes of the prompts seen in training.")
    provenance: dict[str, Any] = Field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes `rewardsmith.json` into `folder`."""
        (folder / FILE_NAME).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_info(folder: Path) -> ModelInfo | None:
    """The folder's `rewardsmith.json`, or None where there is none (a model trained elsewhere).

    Raises:
        ModelError: the file cannot be read, or was written by a later version.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        return ModelInfo.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be read ({reason}); was it written by a later version?") from error
