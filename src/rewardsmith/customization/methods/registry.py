"""The methods by name."""

from __future__ import annotations

from rewardsmith.customization.methods.base import Method
from rewardsmith.customization.methods.heads import Residual
from rewardsmith.customization.methods.merging import Merged
from rewardsmith.customization.methods.training import Trained
from rewardsmith.errors import UserError, nearest

AUTO = "auto"

_FINE_TUNING = Trained("fine-tuning", "the upper layers, on the custom preferences alone")

_ALL: list[Residual | Trained | Merged] = [
    Residual(
        "anchored", "a residual head, held to the general model's verdicts on general prompts", (0.3, 3.0, 30.0, 300.0)
    ),
    Residual("head", "a residual head on the custom preferences alone", (0.0,)),
    _FINE_TUNING,
    Merged("ties", "fine-tuning, its largest changes alone", _FINE_TUNING, "ties", (0.5, 0.2)),
    Merged("dare", "fine-tuning, a random part of its changes, scaled up", _FINE_TUNING, "dare", (0.5, 0.2)),
    Trained("lora", "low-rank adapters in the upper layers", {"learning_rate": 2e-4}, ranks=(4, 32)),
    Trained("l2-sp", "the upper layers; pulled back to the general model's", {"losses": {"l2_sp": 10.0}}),
    Trained(
        "imitation",
        "the upper layers; the language-modelling loss on preferred responses",
        {"losses": {"imitation": 0.1}},
    ),
    Trained(
        "early-stopping",
        "the upper layers; the checkpoint with the best custom accuracy less the general accuracy lost",
        {"epochs": 4, "evaluations": 8, "keep_best": "both", "patience": 3},
        watched=True,
    ),
    Trained(
        "distillation",
        "the upper layers; general prompts keep the general model's verdicts (no labels needed)",
        {"losses": {"distillation": 1.0}},
        enriched=True,
    ),
    Trained("enrichment", "the upper layers; as many general preferences mixed in as custom ones", enriched=True),
    Trained(
        "resampled-enrichment",
        "the upper layers; as many general preferences mixed in, others in every epoch",
        enriched=True,
        resampled=True,
    ),
    Trained(
        "a-gem",
        "the upper layers; steps that do not raise the loss on general preferences (gradient projection)",
        {"losses": {"projection": True}},
        enriched=True,
    ),
    Merged("warm", "the mean of three fine-tunings with other seeds", _FINE_TUNING, "mean", members=3),
    Trained("full-fine-tuning", "all weights, on the custom preferences alone", trained_share=1.0),
]

METHODS: dict[str, Method] = {method.name: method for method in _ALL}
"""From cheap to dear: the order in which `auto` tries them."""


def methods_named(name: str) -> list[str]:
    """The methods behind `--method`: one, or all. Raises UserError for an unknown name."""
    if name == AUTO:
        return list(METHODS)
    if name not in METHODS:
        choices = [AUTO, *METHODS]
        raise UserError(
            f"--method {name}: there is no such method{nearest(name, choices)}; there are {', '.join(choices)}"
        )
    return [name]
