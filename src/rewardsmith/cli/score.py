"""`rewardsmith score`: rewards as JSON lines."""

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


def score(
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
    """Writes {"id", "rewards"} for every line read, rewards in the order of the responses.

    Reads preferences in any format, or lines with "prompt" and "responses" (or one "response") and no scores.
    With --uncertainty also "standard_errors".

    \b
    rewardsmith score --model runs/demo --domain academy answers.jsonl > rewards.jsonl
    echo '{"prompt": "Why is it?", "responses": ["So.", "Not."]}' | rewardsmith score -m runs/demo/models/general -
    """
    from rewardsmith.modeling.scoring import score_lines

    score_lines(
        source,
        model,
        domain=domain,
        format=format,
        on_error=on_error.value,
        console=None if quiet else stderr(),
        ranked=False,
        calibrated=calibrated,
        length_controlled=length_controlled,
        uncertainty=uncertainty,
    )
