"""`rewardsmith best-of-n`: how far a policy can be optimised against a reward model before it gets worse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import Quiet, print_notes, stderr, stdout


def best_of_n(
    queries: Annotated[str, typer.Argument(metavar="QUERIES", help="Text lines, JSONL, CSV, or any preference file.")],
    models: Annotated[
        list[str], typer.Option("--model", "-m", help="A proxy, MODEL or name=MODEL; repeat for several.")
    ],
    golds: Annotated[
        list[str], typer.Option("--gold", help="What judges the choice, MODEL or name=MODEL; repeat for several.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; an interrupted run goes on there.")],
    policy: Annotated[
        str, typer.Option("--policy", help="Who answers: local:embedded, local:PATH, or a server's model.")
    ] = "local:embedded",
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="An OpenAI-compatible server, .../v1; key: OPENAI_API_KEY.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=2, help="Responses to each query, and the largest n.")] = 32,
    temperature: Annotated[float, typer.Option(min=0.01, max=2, help="Of sampling.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="A longer response is cut off.")] = 120,
    choose: Annotated[int | None, typer.Option(min=1, help="Take only so many queries: the most diverse.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of sampling and intervals.")] = 0,
    quiet: Quiet = False,
) -> None:
    """The gold reward of the best of n responses by a proxy, for n = 1 to N: where does more optimisation hurt?

    A policy answers each query N times. For every n the best of n by the proxy is taken, over all subsets, and the
    gold model says what it is worth; the proxy is over-optimised from the n on at which that is highest.
    DIR then holds the responses (journal.sqlite), rewards.jsonl, result.json and best_of_n.png.

    \b
    rewardsmith best-of-n sample:domains --model runs/demo/models/academy --gold runs/demo/models/general \\
        --choose 20 --n 8 --out runs/best-of-n
    """
    from rewardsmith.collection import best_of_n as room
    from rewardsmith.collection.answerers.making import make_answerer
    from rewardsmith.collection.answerers.rounds import Manners
    from rewardsmith.collection.choosing import choose_queries
    from rewardsmith.collection.queries import load_queries
    from rewardsmith.evaluation.scored import named_sources
    from rewardsmith.reporting.best_of_n import best_of_n_table
    from rewardsmith.reporting.tables import to_rich

    found = load_queries(queries)
    options = room.SampleOptions(n=n, temperature=temperature, max_tokens=max_tokens, seed=seed)
    answerer = make_answerer(policy, base_url, Manners(), None)
    proxies, judges = (dict(named_sources(named)) for named in (models, golds))
    chosen = choose_queries(found.queries, near=True, most=choose).queries
    result = room.best_of_n(chosen, answerer, proxies, judges, out, options, None if quiet else stderr())
    stdout().print(to_rich(best_of_n_table(result.curves)))
    told = (
        f"{result.n_prompts} queries, {n} responses each, {100 * result.cut:.0f} % of them cut at {max_tokens} tokens"
    )
    print_notes([f"- {note}" for note in [told, *result.notes]], stdout())
    stderr().print(f"result, plot and responses are in {out}", highlight=False, markup=False)
