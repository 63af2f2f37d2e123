"""A head trained on kept features, in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rewardsmith.customization.candidates import GatedOption, HeadOption, Option
from rewardsmith.customization.gating import fit_gate, mean_columns
from rewardsmith.customization.methods.base import Method, Workshop
from rewardsmith.customization.parts import TRAIN
from rewardsmith.customization.residual import Known, PairFeatures, fit_residual
from rewardsmith.modeling.reward_model import RewardModel

RIDGES = (0.1, 0.5, 2.0)
GATED_RIDGES = (0.5, 2.0)
"""0.1 was worse for a head that stands alone: on DSP by a point."""
HEAD_STRENGTHS = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15)


class _OnFeatures(Method):
    """Trained on what the last layer reads of the general model."""

    refits = True

    def seconds(self, shop: Workshop) -> float:
        """Next to nothing."""
        return 0.0

    def frozen_layers(self, general: RewardModel) -> int:
        """None: what the last layer reads is kept instead."""
        return 0


@dataclass(frozen=True)
class Residual(_OnFeatures):
    """A linear head added to the general reward, trained on kept features (see `residual`)."""

    name: str
    retentions: tuple[float, ...]
    """Weights of the pull towards the general model's verdicts on general prompts."""
    ridges: tuple[float, ...] = RIDGES
    strengths: tuple[float, ...] = HEAD_STRENGTHS

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """A path for every pull and ridge."""
        train, general = shop.parts.custom[TRAIN], shop.anchors()
        custom_pairs = PairFeatures.of(train, shop.bank.of(train))
        general_pairs = PairFeatures.of(general, shop.bank.of(general))
        for retention in self.retentions:
            for ridge in self.ridges:
                residual = fit_residual(custom_pairs, general_pairs, ridge=ridge, retention=retention)
                settings = {"ridge": ridge} | ({"retention": retention} if retention else {})
                for strength in self.strengths:
                    yield HeadOption(self.name, dict(settings), strength, residual, shop.bank)


@dataclass(frozen=True)
class GatedHead(_OnFeatures):
    """A head of the custom preferences' own, behind a gate that opens where a dialogue looks like theirs (`gating`)."""

    name: str
    ridges: tuple[float, ...] = GATED_RIDGES
    strengths: tuple[float, ...] = HEAD_STRENGTHS

    def refusal(self, shop: Workshop) -> str | None:
        """Its model is no standard checkpoint, and the gate needs what it reads among the features."""
        if shop.portable:
            return "a gate is nothing that other tools can load: say --no-portable"
        if mean_columns(shop.general) is None:
            return "the gate reads the mean of the last layer, and this general model is not pooled by it"
        return None

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """A path for every ridge."""
        train, general = shop.parts.custom[TRAIN], shop.anchors()
        own, others = shop.bank.of(train), shop.bank.of(general)
        means = mean_columns(shop.general)
        assert means is not None, "methods that do not fit a model are left out before"
        gate = fit_gate(*(np.concatenate([f[:, means] for f, _ in known]) for known in (own, others)))

        def behind_gate(known: Sequence[Known]) -> list[Known]:
            shares = [gate(f[:, means]) for f, _ in known]
            return [(q[:, None] * f, (1 - q) * rewards) for q, (f, rewards) in zip(shares, known, strict=True)]

        custom_pairs = PairFeatures.of(train, behind_gate(own))
        general_pairs = PairFeatures.of(general, behind_gate(others))
        held_to = PairFeatures.of(general, others).margins
        for ridge in self.ridges:
            head = fit_residual(custom_pairs, general_pairs, ridge=ridge, retention=1.0, held_to=held_to)
            for strength in self.strengths:
                yield GatedOption(self.name, {"ridge": ridge}, strength, head, shop.bank, gate, means, shop.domain)
