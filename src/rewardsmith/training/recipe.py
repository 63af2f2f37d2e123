"""The recipe: a YAML file that says everything a run does.

Closed types: an unknown key is refused with the nearest right one, and all faults are shown at once. Command line,
Python and YAML build the same object. It knows nothing of how a stage is run.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rewardsmith.errors import nearest
from rewardsmith.modeling.spec import BackboneSpec

BACKBONE = "backbone"
"""Start of a stage that has no model before it."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class DataSpec(_Closed):
    """One preference set."""

    path: str = Field(
        description="File, folder or hub data set; relative to the recipe's folder. `sample:NAME` is ours."
    )
    format: str | None = Field(default=None, description="Null: detected from the file.")
    domain: str | None = Field(default=None, description="Only this domain's preferences; null: all there are.")
    by: Literal["domain", "annotator"] = Field(default="domain", description="annotator: each person is a domain.")
    limit: int | None = Field(default=None, ge=1, description="Take so many preferences, chosen by hash.")
    on_error: Literal["stop", "skip"] = "stop"


class SplitSpec(_Closed):
    """Shares of prompts (or annotators) for training, choosing and the final figure."""

    train: Share = 0.6
    validation: Share = 0.15
    test: Share = 0.25
    by: Literal["prompt", "annotator"] = "prompt"

    @model_validator(mode="after")
    def _whole(self) -> SplitSpec:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test must add up to 1")
        if self.train == 0:
            raise ValueError("train must be above 0")
        return self

    def shares(self) -> dict[str, float]:
        """The parts that are not empty."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: share for name, share in parts.items() if share > 0}


class LossSpec(_Closed):
    """Weights of the losses; 0 leaves one out, and what it needs is then not computed."""

    ranking: float = Field(default=1.0, ge=0, description="Bradley-Terry over all pairs of a preference.")
    reduction: Literal["preference", "pair"] = Field(
        default="preference", description="Mean over preferences of the mean over their pairs, or mean over all pairs."
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    ties: Literal["ignore", "half"] = Field(default="ignore", description="half: a tie asks for probability 0.5.")
    centring: float = Field(default=0.0, ge=0, description="Pulls r_i + r_j to 0 (arXiv 2312.09244 takes 0.01).")
    imitation: float = Field(default=0.0, ge=0, description="Language-modelling loss on preferred responses.")
    imitation_scaling: Literal["response", "sequence", "grm"] = Field(
        default="response",
        description="Mean over response tokens, over prompt and response (the paper's code), or GRM.",
    )
    distillation: float = Field(default=0.0, ge=0, description="Keep the starting model's probabilities on enrichment.")
    distillation_temperature: float = Field(default=1.0, gt=0)
    l2_sp: float = Field(default=0.0, ge=0, description="Pulls the weights back to where the stage began.")
    projection: bool = Field(
        default=False,
        description="Enrichment is no loss but a constraint: from each step's gradient is taken what would raise the "
        "ranking loss on its general preferences (A-GEM, arXiv 1812.00420).",
    )
    gate: float = Field(default=1.0, ge=0, description="Teaches a mixture head's gate which set a text is from.")

    @model_validator(mode="after")
    def _convex(self) -> LossSpec:
        if self.imitation_scaling == "grm" and self.imitation > 1:
            raise ValueError("with imitation_scaling grm, imitation is a share of the whole loss: at most 1")
        return self


class EnrichmentSpec(_Closed):
    """General preferences mixed into a stage so that general ability stays."""

    sets: list[str] = Field(min_length=1)
    share: Share | None = Field(default=None, description="Share of the stage's preferences that are general.")
    count: int | None = Field(default=None, ge=1, description="A fixed number of general preferences instead.")
    resampled: bool = Field(
        default=False, description="Other general preferences in every epoch, until all have come; false: the same."
    )

    @model_validator(mode="after")
    def _one(self) -> EnrichmentSpec:
        if (self.share is None) == (self.count is None):
            raise ValueError("give either share or count")
        if self.share is not None and not 0 < self.share < 1:
            raise ValueError("share must be between 0 and 1, both excluded")
        return self


class StageSpec(_Closed):
    """One stage of training."""

    stage: Literal["base", "general", "custom"]
    name: str = Field(default="", description="Folder of its model; default: the stage, and for custom each domain.")
    start: str = Field(default="previous", description="`previous`, `backbone`, a stage's name, or a model's folder.")
    sets: list[str] | dict[str, float] = Field(description="Names of data sets, or names with weights.")
    domains: list[str] | None = Field(default=None, description="custom: these domains; null: all in the sets.")
    joint: bool = Field(default=False, description="custom: all domains at once on one shared trunk, a head each.")
    enrichment: EnrichmentSpec | None = None
    losses: LossSpec = Field(default_factory=LossSpec)
    freeze_layers: int = Field(default=0, ge=0, description="Freeze the embeddings and the first k layers.")
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1, description="Stop after so many steps, whatever the epochs say.")
    batch_size: int = Field(default=32, ge=1, description="Preferences in a step, over all processes.")
    micro_batch_size: int = Field(default=8, ge=1, description="Preferences in one forward and backward pass.")
    token_budget: int = Field(default=4096, ge=16, description="Padded tokens in one rectangle of a pass.")
    learning_rate: float = Field(default=2e-5, gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0, description="For the reward head; null: the same.")
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup: float = Field(default=0.0, ge=0, description="Steps, or below 1 a share of all steps.")
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, ge=0, description="0: no clipping.")
    bf16: bool = Field(default=False, description="bfloat16 autocast; rewards and losses stay float32.")
    gradient_checkpointing: bool = False
    compile: bool = Field(default=False, description="torch.compile of norms and MLPs: pays after some minutes.")
    evaluations: int = Field(default=4, ge=0, description="How often to measure validation accuracy during the stage.")
    save_every: int | None = Field(default=None, ge=1, description="Steps between checkpoints; null: with evaluations.")
    watch: list[str] = Field(default=[], description="More sets to measure on the way; they count as general.")
    keep_best: str | None = Field(
        default=None,
        description="Keep the checkpoint best on `general`, `custom`, a set, or `both`: custom accuracy less what "
        "general accuracy has lost since the stage began.",
    )
    patience: int | None = Field(default=None, ge=1, description="Stop after so many evaluations without a gain.")

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if name.startswith(".") or not all(c.isalnum() or c in "-_." for c in name):
            raise ValueError("a stage's name may hold letters, digits, '-', '_' and '.' only, and begins with no '.'")
        return name

    @model_validator(mode="after")
    def _coherent(self) -> StageSpec:
        if self.stage != "custom" and (self.domains or self.joint):
            raise ValueError("domains and joint belong to a custom stage")
        if self.patience is not None and self.keep_best is None:
            raise ValueError("patience needs keep_best: the figure to watch")
        if (self.keep_best or self.patience) and self.evaluations == 0:
            raise ValueError("keep_best needs evaluations above 0")
        if self.losses.distillation and self.enrichment is None:
            raise ValueError("distillation works on the general preferences of enrichment; give enrichment.sets")
        if self.losses.projection and self.enrichment is None:
            raise ValueError("projection holds the gradient to the general preferences of enrichment; give that")
        if self.losses.projection and self.losses.distillation:
            raise ValueError("projection and distillation are two uses of enrichment; choose one")
        if self.stage == "base" and self.losses.imitation == 0:
            raise ValueError("a base stage trains on the imitation loss alone; set losses.imitation to 1")
        if self.stage == "base" and self.keep_best is not None:
            raise ValueError("a base stage has no accuracies to keep the best by; leave keep_best out")
        return self

    @property
    def label(self) -> str:
        """The stage's name, or its kind."""
        return self.name or self.stage

    @property
    def measures(self) -> bool:
        """Whether accuracies are measured on the way: a base stage has no reward to measure."""
        return self.stage != "base" and self.evaluations > 0

    def weights(self) -> dict[str, float]:
        """Set names with their weights (1 where none is given)."""
        return dict(self.sets) if isinstance(self.sets, dict) else dict.fromkeys(self.sets, 1.0)


class EvaluationSpec(_Closed):
    """What the run's models are evaluated on at its end, all of them on all sets."""

    sets: list[str] | None = Field(default=None, description="Null: every set that a stage names.")
    part: Literal["validation", "test"] = Field(default="test", description="validation while you are still choosing.")
    baselines: bool = True


class Recipe(_Closed):
    """A whole run."""

    name: str = Field(description="Names the run's folder.")
    description: str = ""
    seed: int = Field(default=0, ge=0)
    backbone: BackboneSpec = Field(default_factory=BackboneSpec)
    data: dict[str, DataSpec] = Field(min_length=1)
    split: SplitSpec = Field(default_factory=SplitSpec)
    stages: list[StageSpec] = Field(min_length=1)
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)

    @model_validator(mode="after")
    def _references(self) -> Recipe:
        if faults := reference_faults(self.model_dump()):
            raise ValueError("; ".join(faults))
        return self

    def general_sets(self) -> list[str]:
        """Names of the sets of base and general stages and of enrichment, in order."""
        named = [n for s in self.stages if s.stage != "custom" for n in s.weights()]
        named += [n for s in self.stages if s.enrichment for n in s.enrichment.sets]
        return list(dict.fromkeys(named))


def reference_faults(raw: dict[str, Any]) -> list[str]:
    """Names of sets and stages that lead nowhere, in a recipe as plain data.

    What is of a wrong type is passed over: it is refused elsewhere, and these faults are to be shown beside it.
    """
    data = _mapping(raw.get("data"))
    faults: list[str] = []

    def refer(where: str, names: Any) -> None:
        for name in names if isinstance(names, list | dict) else []:
            if str(name) not in data:
                faults.append(f"{where}: no data set {name!r}{nearest(str(name), data)}")

    refer("backbone.experts", _mapping(raw.get("backbone")).get("experts"))
    seen: list[str] = []
    stages = raw.get("stages")
    for k, stage in enumerate(stages if isinstance(stages, list) else []):
        stage, where = _mapping(stage), f"stages.{k}"
        refer(f"{where}.sets", stage.get("sets"))
        refer(f"{where}.enrichment.sets", _mapping(stage.get("enrichment")).get("sets"))
        refer(f"{where}.watch", stage.get("watch"))
        label, start = str(stage.get("name") or stage.get("stage")), str(stage.get("start", "previous"))
        if label in seen:
            faults.append(f"{where}: two stages are called {label!r}; give one a name")
        choices = ["previous", BACKBONE, *seen]
        if start not in choices and "/" not in start:
            faults.append(f"{where}.start: {start!r} is no earlier stage{nearest(start, choices)}")
        seen.append(label)
    refer("evaluation.sets", _mapping(raw.get("evaluation")).get("sets"))
    return faults


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
