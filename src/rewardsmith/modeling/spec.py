"""What a user may ask of a network, as data: light to import, so that recipes can be checked without loading one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rewardsmith.batching.templates import TOKENIZER
from rewardsmith.modeling.embedded import EMBEDDED

Precision = Literal["float32", "bfloat16"]
Pooling = Literal["native", "last", "mean", "max"]
HeadKind = Literal["linear", "mlp", "mixture"]


class LoraSpec(BaseModel):
    """Low-rank adapters through peft."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    rank: int = Field(default=16, ge=1, description="Rank r of the update.")
    alpha: float = Field(default=32.0, gt=0, description="Scale: the update is multiplied by alpha / r.")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: list[str] | Literal["all-linear"] = Field(default="all-linear", description="Names of the layers adapted.")
    dora: bool = Field(default=False, description="Weight-decomposed adapters (DoRA, arXiv 2402.09353).")


class BackboneSpec(BaseModel):
    """Which network the reward model is built on, and in which shape."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str = Field(default=EMBEDDED, description="`embedded`, a folder, or a hub name.")
    depth: int | None = Field(default=None, ge=1, description="Keep the first k layers only; null keeps all.")
    pooling: Pooling = Field(default="native", description="Only native (or last, on a decoder) is portable.")
    head: HeadKind = Field(
        default="linear", description="Only linear is portable; mixture weighs one linear head for each of `experts`."
    )
    experts: list[str] | None = Field(
        default=None, description="With head mixture: the data sets whose tastes are mixed, by what the text is like."
    )
    layers: list[int] | None = Field(default=None, description="Layers pooled and joined, 1 = first; not portable.")
    template: str = Field(default=TOKENIZER, description="Chat template: tokenizer (its own), dsp or chatml.")
    max_length: int = Field(default=512, ge=8, description="Tokens of prompt and response; the prompt's left is cut.")
    precision: Precision = Field(default="float32", description="Of the weights; rewards are float32 always.")
    lora: LoraSpec | None = Field(default=None, description="Train low-rank adapters instead of all weights.")

    @model_validator(mode="after")
    def _mixed(self) -> BackboneSpec:
        if (self.head == "mixture") != (self.experts is not None):
            raise ValueError("head mixture and experts go together: name the data sets to mix, or take another head")
        if self.experts is not None and len(set(self.experts)) < 2:
            raise ValueError("experts must name at least two data sets")
        return self
