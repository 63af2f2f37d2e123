"""`rewardsmith benchmark`: a model on a public benchmark, scored as its authors do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import Overwrite, Quiet, refuse_existing, stderr, stdout


def benchmark(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's or a run's folder, or a hub name.")],
    suite: Annotated[
        str, typer.Option("--suite", "-s", help="rewardbench, rewardbench2, rm-bench, judgebench or llmbar.")
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Folder with the suite's published files; default: the hub, but for llmbar."),
    ] = None,
    domain: Annotated[str | None, typer.Option("--domain", help="Which of a run's models.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the result there.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """The score on a public benchmark of reward models, made as its authors do, with intervals and rank.

    The suite's published files are read whole or refused: a mean over part of them is not its score.
    Prompts that the model was trained on are counted. With --out the rewards are kept beside the result
    as they are made, and an interrupted run goes on.

    \b
    rewardsmith benchmark runs/demo/models/general --suite rewardbench
    rewardsmith benchmark MODEL --suite rm-bench --data RM-Bench/data --out rm-bench.json
    """
    from rewardsmith.evaluation.benchmarks import suite_named
    from rewardsmith.evaluation.benchmarks.reading import read_suite
    from rewardsmith.evaluation.benchmarks.run import run_suite
    from rewardsmith.evaluation.result import save_result
    from rewardsmith.modeling.scoring import ModelScorer, progress
    from rewardsmith.reporting.benchmark import print_benchmark

    console = stderr()
    chosen = suite_named(suite)
    refuse_existing(out, overwrite)
    items = read_suite(chosen, data)
    scorer = ModelScorer(model, domain, None)
    total = sum(len(item.preference.responses) for item in items)
    with progress(None if quiet else console, chosen.title, total) as advance:
        result = run_suite(
            chosen,
            items,
            scorer,
            model=model,
            model_key=scorer.key() if out is not None else "",
            trained_on=scorer.model.info.trained_on or None,
            journal=out.with_name(f"{out.stem}.rewards.jsonl") if out is not None else None,
            on_progress=advance,
        )
    result = result.model_copy(update={"notes": [*result.notes, *scorer.notes]})
    if as_json:
        print(result.model_dump_json(indent=2))
    else:
        print_benchmark(result, stdout())
    if out is not None:
        save_result(out, result, overwrite=overwrite)
