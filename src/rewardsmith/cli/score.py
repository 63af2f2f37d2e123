"""`rewardsmith score`: rewards as JSON lines."""

from __future__ import annotations

from rewardsmith.cli.options import Format, Model, ModelDomain, OnError, OnErrorOption, Quiet, Source, stderr


def score(
    source: Source,
    model: Model,
    domain: ModelDomain = None,
    format: Format = None,
    on_error: OnErrorOption = OnError.stop,
    quiet: Quiet = False,
) -> None:
    """Writes {"id", "rewards"} for every line read, rewards in the order of the responses.

    Reads preferences in any format, or lines with "prompt" and "responses" (or one "response") and no scores.

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
    )
