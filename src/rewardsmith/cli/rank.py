"""`rewardsmith rank`: rewards with the order of the responses."""

from __future__ import annotations

from rewardsmith.cli.options import (
    Calibrated,
    Format,
    LengthControlled,
    Model,
    ModelDomain,
    OnError,
    OnErrorOption,
    Quiet,
    Source,
    Uncertainty,
    stderr,
)


def rank(
    source: Source,
    model: Model,
    domain: ModelDomain = None,
    format: Format = None,
    on_error: OnErrorOption = OnError.stop,
    calibrated: Calibrated = False,
    length_controlled: LengthControlled = False,
    uncertainty: Uncertainty = False,
    quiet: Quiet = False,
) -> None:
    """Writes {"id", "rewards", "order"} for every line read; order holds response numbers, best first.

    With --uncertainty also "margins", "margin_errors" and "probabilities": of each response, in that order, above the
    next one; the probability is that it is truly the preferred one.

    \b
    rewardsmith rank --model runs/demo --domain academy answers.jsonl > ranked.jsonl
    """
    from rewardsmith.modeling.scoring import score_lines

    score_lines(
        source,
        model,
        domain=domain,
        format=format,
        on_error=on_error.value,
        console=None if quiet else stderr(),
        ranked=True,
        calibrated=calibrated,
        length_controlled=length_controlled,
        uncertainty=uncertainty,
    )
