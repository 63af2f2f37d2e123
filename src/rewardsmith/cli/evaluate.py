"""`rewardsmith evaluate`: several models on several preference sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import (
    Confidence,
    Format,
    Metric,
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
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the result there; - prints it, and no tables.")
    ] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder for PNG plots.")] = None,
    cluster: Annotated[str, typer.Option("--by", help="Unit of the intervals: prompt or annotator.")] = "prompt",
    baselines: Annotated[bool, typer.Option(help="Longer, shorter and bag-of-words beside the models.")] = True,
    seen: Annotated[
        bool,
        typer.Option(
            "--seen", help="Keep prompts that a model was trained on: a set of nothing else, with --budget any."
        ),
    ] = False,
    against: Annotated[
        str | None, typer.Option("--against", help="The general model that the model must not lose to.")
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", help="With --against: points that may be lost, 1.0 on all sets or set=2.0 on one."),
    ] = None,
    confidence: Confidence = 95.0,
    metric: Metric = "accuracy",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Accuracy with intervals, calibration and trivial baselines, for every model on every set.

    Accuracy is the mean over prompts of the share of pairs ranked right. Two or more models are also compared on the
    same pairs, with interval and p-value. With --against and --budget there is a verdict: within the budget (exit 0),
    exceeded or undecided (exit 3), proved in finite samples on prompts that neither model was trained on.

    \b
    rewardsmith evaluate --model runs/demo --domain academy --data sample:domains
    rewardsmith evaluate -m runs/demo/models/general -m runs/demo/models/academy -d test.jsonl --json out.json
    rewardsmith evaluate -m NEW --against OLD -d helpful.jsonl -d harmless.jsonl --budget 2 --budget harmless=5
    """
    from rewardsmith.customization.reference import ShiftCheck
    from rewardsmith.errors import UserError, VerdictNotReached
    from rewardsmith.evaluation.budget import Question, overall
    from rewardsmith.evaluation.evaluate import evaluate_models
    from rewardsmith.evaluation.pairs import cluster_named
    from rewardsmith.evaluation.result import save_result
    from rewardsmith.evaluation.scored import named_sources
    from rewardsmith.modeling.scoring import ModelScorer, check_domain, check_unseen, unseen_by_all
    from rewardsmith.preferences.candidates import of_domain
    from rewardsmith.preferences.reading import load_preferences
    from rewardsmith.preferences.sample import located
    from rewardsmith.preferences.writing import STDOUT
    from rewardsmith.reporting.plots import plot_all
    from rewardsmith.reporting.tables import print_result, verdict_line

    console = stderr()
    if (against is None) != (not budget):
        raise UserError("--against and --budget go together: a model to be held against, and what may be lost")
    question = Question.parse(budget, confidence, metric) if budget else None
    if against is not None:
        if len(models) != 1:
            raise UserError("with --against give one --model: the verdict is about two models")
        models = [against, *models]
    if len(set(models)) < len(models):
        raise UserError("a model is named twice; name each once")
    printed = json_out is not None and str(json_out) == STDOUT
    for output in (None if printed else json_out, plots):
        refuse_existing(output, overwrite)
    unit = cluster_named(cluster)
    sources = named_sources(data)
    if question is not None:
        question.budgets.for_sets([name for name, _ in sources])
    sets = {}
    for name, path in sources:
        loaded = load_preferences(located(path), format=format, on_error=on_error.value)
        sets[name] = of_domain(loaded.preferences, domain, path)
        print_notes(loaded.notes, console)
    scorers = {name: ModelScorer(name, domain, None if quiet else console) for name in models}
    check_domain(domain, scorers.values(), sets)
    doubts: list[str] = []
    if question is not None and not seen:  # a proof stands on held-out prompts alone
        sets, doubts = unseen_by_all(list(scorers.values()), sets)
    elif not seen:
        doubts = check_unseen(scorers.values(), sets)
    for remark in doubts:
        console.print(remark, style="yellow", highlight=False, markup=False)
    checks = [ShiftCheck(scorer, sets) for scorer in scorers.values()]
    asked = (against, question) if against is not None and question is not None else None
    result = evaluate_models(scorers, sets, baselines=baselines, cluster=unit, against=asked)
    for scorer in scorers.values():
        print_notes(scorer.notes, console)
    remarks = [check.remarks() for check in checks]
    for remark in (remark for found in remarks for remark in found):
        console.print(remark, style="yellow", highlight=False, markup=False)
    result = result.model_copy(
        update={"models": [m.model_copy(update={"remarks": r}) for m, r in zip(result.models, remarks, strict=True)]}
    )
    written = result if len(result.models) > 1 else result.models[0]
    if printed:
        print(written.model_dump_json(indent=2))
    else:
        print_result(result, stdout())
    if json_out is not None and not printed:
        save_result(json_out, written, overwrite=overwrite)
    if plots is not None and not plot_all(result, plots):
        console.print("nothing in these sets ranks anything: there is nothing to plot", style="yellow")
    if result.verdicts and overall(result.verdicts) != "within":
        raise VerdictNotReached("; ".join(verdict_line(v) for v in result.verdicts if v.verdict != "within"))
