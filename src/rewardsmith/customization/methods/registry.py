"""The methods by name."""

from __future__ import annotations

from rewardsmith.customization.methods.base import Method
from rewardsmith.customization.methods.heads import GatedHead, Residual
from rewardsmith.customization.methods.merging import Merged
from rewardsmith.customization.methods.summaries import SUMMARIES
from rewardsmith.customization.methods.training import Trained
from rewardsmith.errors import UserError, nearest

AUTO = "auto"

_FINE_TUNING = Trained("fine-tuning")

_ALL: list[Method] = [
    Residual("anchored", retentions=(0.3, 3.0, 30.0, 300.0)),
    Residual("head", retentions=(0.0,)),
    GatedHead("gated"),
    _FINE_TUNING,
    Merged("ties", _FINE_TUNING, "ties", densities=(0.5, 0.2)),
    Merged("dare", _FINE_TUNING, "dare", densities=(0.5, 0.2)),
    Trained("lora", {"learning_rate": 2e-4}, ranks=(4, 32)),
    Trained("l2-sp", {"losses": {"l2_sp": 10.0}}),
    Trained("imitation", {"losses": {"imitation": 0.1}}),
    Trained("early-stopping", {"epochs": 4, "evaluations": 8, "keep_best": "both", "patience": 3}, watched=True),
    Trained("distillation", {"losses": {"distillation": 1.0}}, enriched=True),
    Trained("enrichment", enriched=True),
    Trained("resampled-enrichment", enriched=True, resampled=True),
    Trained("a-gem", {"losses": {"projection": True}}, enriched=True),
    Merged("warm", _FINE_TUNING, "mean", members=3),
    Trained("full-fine-tuning", trained_share=1.0),
]

_BY_NAME = {method.name: method for method in _ALL}
METHODS = {name: _BY_NAME[name] for name in SUMMARIES}


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
