"""`rewardsmith collect`: a preference set of one's own from queries; domains, reviews and exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rewardsmith.cli import collect_domains, collect_review
from rewardsmith.cli.options import print_notes, stderr, stdout


class _AsksByDefault(TyperGroup):
    """`collect QUERIES ...` is `collect run QUERIES ...`: what names no other command names queries."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_AsksByDefault,
    no_args_is_help=True,
    help="Asks a language model as each domain would answer: preferences from a list of queries.\n\n"
    "`collect QUERIES` is short for `collect run QUERIES`; see: rewardsmith collect run --help",
)


@app.command()
def run(
    queries: Annotated[str, typer.Argument(metavar="QUERIES", help="Text lines, JSONL, CSV, or any preference file.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The collection's folder; an interrupted one goes on there.")
    ],
    domains: Annotated[str, typer.Option("--domains", help="Shipped names or .yaml files, with commas between.")] = "",
    plain: Annotated[
        bool, typer.Option("--plain", help="Ask without any domain too; the answer's key is normal.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A server's model, or local:embedded, local:PATH.")
    ] = "local:embedded",
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="An OpenAI-compatible server, .../v1; key: OPENAI_API_KEY.")
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Through the provider's batch API: cheaper, within a day.")
    ] = False,
    n: Annotated[int, typer.Option("--n", min=1, help="Answers for each query and domain.")] = 1,
    judge: Annotated[
        bool, typer.Option("--judge", help="Scores by the model's own comparisons, in both orders.")
    ] = False,
    words: Annotated[
        str | None, typer.Option("--words", help="One length for all domains, as 60-120: asked for, and kept to.")
    ] = None,
    askings: Annotated[int, typer.Option(min=1, help="Ask up to so often where a filter leaves an answer out.")] = 1,
    no_filter: Annotated[
        bool, typer.Option("--no-filter", help="Keep refusals, cut-off answers and the like.")
    ] = False,
    choose: Annotated[int | None, typer.Option(min=1, help="Ask only so many queries: the most diverse.")] = None,
    pilot: Annotated[
        int | None, typer.Option(min=1, help="Ask so many queries first, and say what all would take.")
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates", help="Ask queries that are nearly the same as another too.")
    ] = False,
    filter_file: Annotated[
        Path | None, typer.Option("--filter", help="Leave out queries that match: a regular expression a line.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="Requests at once.")] = 8,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Requests a minute, at most.")] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Dollars over all starts; stops before it is passed.")
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="Prices by model, YAML; default: a shipped list.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for a reply.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts at a request that fails.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of sampling.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Calls, tokens, price, time; asks nothing.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Where the collection in DIR stands, also while it runs.")
    ] = False,
) -> None:
    """Asks each query as each domain would answer it, and makes preferences of the answers.

    A domain prefers its own answer to all others (the paper's rule), or as a judge says. Every answer is durable before
    it counts: interrupted or killed, the same command asks only what is owed. DIR then holds preferences.jsonl,
    dsp.json, dataset/, data_card.md, result.json and plots/.

    \b
    rewardsmith collect queries.txt --domains academy,business --plain --out runs/mine
    rewardsmith collect queries.txt --domains academy,mine.yaml --out runs/mine --dry-run
    rewardsmith collect queries.txt --domains academy,business --out runs/mine \\
        --base-url http://localhost:8000/v1 --model my-model --concurrency 32
    """
    from rewardsmith.collection import collect as room
    from rewardsmith.collection.answerers.making import make_answerer
    from rewardsmith.collection.answerers.rounds import Manners
    from rewardsmith.collection.answerers.server import address_warning
    from rewardsmith.collection.asking import refuse_unfinished
    from rewardsmith.collection.outlook import look_ahead, status_lines
    from rewardsmith.collection.outlook import status as status_of
    from rewardsmith.errors import UserError

    if status:
        for line in status_lines(status_of(out)):
            print(line)
        return
    if not domains:
        raise UserError("name the domains: --domains academy,business; see: rewardsmith collect domains list")
    options = room.CollectOptions(
        domains=[name.strip() for name in domains.split(",") if name.strip()],
        plain=plain,
        samples=n,
        seed=seed,
        words=room.parse_words(words),
        near=near_duplicates,
        filter_file=filter_file,
        choose=choose,
        pilot=pilot,
        askings=askings,
        judge=judge,
        filtered=not no_filter,
    )
    manners = Manners(concurrency, rate, max_cost, retries)
    prepared = room.prepare(queries, options, model)
    answerer = make_answerer(model, base_url, manners, prices, batch=batch, timeout=timeout, check=not dry_run)
    console = stderr()
    print_notes(prepared.remarks(), console)
    if base_url and (warning := address_warning(base_url)):
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    if dry_run:
        print(look_ahead(prepared, options, answerer, out).to_text())
        return
    result, outcome = _with_progress(room.collect, prepared, options, answerer, out)
    _report(result, out)
    if pilot is not None:
        whole = room.prepare(queries, options.model_copy(update={"pilot": None}), model)
        print("\nall queries would take:\n" + look_ahead(whole, options, answerer, out).to_text())
    refuse_unfinished(outcome, result.requests.owed, out)


def _with_progress(collect: Any, *args: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("answers"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as progress:
        bar = progress.add_task("answers", total=None)
        return collect(*args, lambda done, total: progress.update(bar, completed=done, total=total))


def _report(result: Any, out: Path) -> None:
    """The audit first, its fails on top; then what was collected."""
    from rewardsmith.collection.tables import domains_table, judge_lines
    from rewardsmith.reporting.audit import audit_text
    from rewardsmith.reporting.tables import to_rich

    console = stdout()
    if result.audit is not None:
        console.print(audit_text(result.audit), highlight=False)
    console.print(to_rich(domains_table(result)))
    for line in judge_lines(result):
        console.print(line, highlight=False, markup=False)
    stderr().print(f"{result.records} preferences, their card and plots are in {out}", highlight=False, markup=False)


app.add_typer(collect_domains.app, name="domains")
app.command("review")(collect_review.review)
app.command("export")(collect_review.export)
app.command("import")(collect_review.import_)
