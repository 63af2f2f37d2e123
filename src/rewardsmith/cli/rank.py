"""`rewardsmith rank`: rewards with the order of the responses."""

from __future__ import annotations

from rewardsmith.cli.options import Format, Model, ModelDomain, OnError, OnErrorOption, Quiet, Source, stderr


def rank(
    source: Source,
    model: Model,
    domain: ModelDomain = None,
    format: Format = None,
    on_error: OnErrorOption = OnError.stop,
    quiet: Quiet = False,
) -> None:
    """Writes {"id", "rewards", "order"} for every line read; order holds response numbers, best first.

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
    )
