"""`rewardsmith evaluate`: several models on several preference sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import (
    Format,
    ModelDomain,
    OnError,
    OnErrorOption,
    Overwrite,
    Quiet,
    print_notes,
    refuse_existing,
    stderr,
    stdout,
)


def evaluate(
    models: Annotated[list[str], typer.Option("--model", "-m", help="A model; repeat to compare several.")],
    data: Annotated[list[str], typer.Option("--data", "-d", help="FILE or name=FILE; repeat for several sets.")],
    domain: ModelDomain = None,
    format: Format = None,
    on_error: OnErrorOption = OnError.stop,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the result there.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder for PNG plots.")] = None,
    cluster: Annotated[str, typer.Option("--by", help="Unit of the intervals: prompt or annotator.")] = "prompt",
    baselines: Annotated[bool, typer.Option(help="Longer, shorter and bag-of-words beside the models.")] = True,
    seen: Annotated[bool, typer.Option("--seen", help="Allow sets whose every prompt a model was trained on.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Accuracy with intervals, calibration and trivial baselines, for every model on every set.

    Accuracy is the mean over prompts of the share of pairs ranked right. Two or more models are also compared on the
    same pairs, with interval and p-value.

    \b
    rewardsmith evaluate --model runs/demo --domain academy --data sample:domains
    rewardsmith evaluate -m runs/demo/models/general -m runs/demo/models/academy -d test.jsonl --json out.json
    """
    from rewardsmith.errors import UserError
    from rewardsmith.evaluation.evaluate import evaluate_models
    from rewardsmith.evaluation.pairs import cluster_named
    from rewardsmith.evaluation.result import save_result
    from rewardsmith.evaluation.scored import named_sources
    from rewardsmith.modeling.scoring import ModelScorer, check_domain, check_unseen
    from rewardsmith.preferences.candidates import of_domain
    from rewardsmith.preferences.reading import load_preferences
    from rewardsmith.preferences.sample import located
    from rewardsmith.reporting.plots import plot_all
    from rewardsmith.reporting.tables import print_result

    console = stderr()
    if len(set(models)) < len(models):
        raise UserError("a model is named twice; name each once")
    for output in (json_out, plots):
        refuse_existing(output, overwrite)
    unit = cluster_named(cluster)
    sets = {}
    for name, path in named_sources(data):
        loaded = load_preferences(located(path), format=format, on_error=on_error.value)
        sets[name] = of_domain(loaded.preferences, domain, path)
        print_notes(loaded.notes, console)
    scorers = {name: ModelScorer(name, domain, None if quiet else console) for name in models}
    check_domain(domain, scorers.values(), sets)
    for remark in () if seen else check_unseen(scorers.values(), sets):
        console.print(remark, style="yellow", highlight=False, markup=False)
    result = evaluate_models(scorers, sets, baselines=baselines, cluster=unit)
    for scorer in scorers.values():
        print_notes(scorer.notes, console)
    print_result(result, stdout())
    if json_out is not None:
        save_result(json_out, result if len(result.models) > 1 else result.models[0], overwrite=overwrite)
    if plots is not None and not plot_all(result, plots):
        console.print("nothing in these sets ranks anything: there is nothing to plot", style="yellow")
