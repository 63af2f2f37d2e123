"""Asking a real loopback server that fails in every way: each answer is recorded once, each failure noted."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rewardsmith.collection import outputs
from rewardsmith.collection.answerers.making import make_answerer
from rewardsmith.collection.answerers.one_by_one import ServerAnswerer
from rewardsmith.collection.answerers.pricing import FREE, Price
from rewardsmith.collection.answerers.rounds import Manners
from rewardsmith.collection.answerers.server import Server
from rewardsmith.collection.collect import (
    CHANGES_ANSWERS,
    CHANGES_OUTPUTS,
    CHANGES_WHAT_IS_ASKED,
    CollectOptions,
    collect,
    prepare,
)
from rewardsmith.collection.journal import Journal
from rewardsmith.errors import OutputExistsError, RewardsmithError, UserError
from tests.collection.chat_server import KEY, ChatServer

FAULTS = ["429", "500", "503", "torn", "nonsense", "no choices", "reset"]
QUICK = Manners(concurrency=8, retries=4, first_wait=0.01)
OPTIONS = CollectOptions(domains=["academy", "business"], plain=True, filtered=False, near=True)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without plots, which take most of a small collection's time; tests/cli/test_collect.py draws them."""
    monkeypatch.setattr(outputs, "_write_plots", lambda *_, **__: None)


def queries(tmp_path: Path, n: int) -> str:
    file = tmp_path / "queries.txt"
    file.write_text("".join(f"What is the number {k} good for?\n" for k in range(n)))
    return str(file)


def answerer(server: ChatServer, manners: Manners = QUICK, price: Price = FREE, timeout: float = 30) -> ServerAnswerer:
    return ServerAnswerer(Server(server.url, "tiny-model", timeout=timeout), manners, price)


def run(
    server: ChatServer, tmp_path: Path, n: int = 5, manners: Manners = QUICK, price: Price = FREE, **options: object
):
    chosen = OPTIONS.model_copy(update=options)
    source = queries(tmp_path, n)
    return collect(prepare(source, chosen, "tiny-model"), chosen, answerer(server, manners, price), tmp_path / "out")


def test_every_query_is_asked_once_for_each_domain_and_a_finished_folder_asks_nothing(
    server: ChatServer, tmp_path: Path
) -> None:
    result, outcome = run(server, tmp_path)
    assert outcome.whole and result.complete and result.records == 10
    assert len(server.asked) == 15 and set(server.asked.values()) == {1}
    body = server.bodies[0]
    assert body["model"] == "tiny-model" and body["max_tokens"] > 0 and "seed" in body
    again, _ = run(server, tmp_path)
    assert sum(server.asked.values()) == 15
    assert again == result


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_retried_and_noted(server: ChatServer, tmp_path: Path, fault: str) -> None:
    server.fault = lambda query, before: fault if before == 0 and "3" in query else None
    result, outcome = run(server, tmp_path)
    assert outcome.whole and result.complete
    assert result.requests.attempts == 15 + 3 and sum(result.requests.failures.values()) == 3
    assert KEY not in (tmp_path / "out/result.json").read_text()


def test_a_server_that_hangs_is_asked_again(server: ChatServer, tmp_path: Path) -> None:
    server.fault = lambda query, before: "hang" if before == 0 and "3" in query else None
    prepared = prepare(queries(tmp_path, 5), OPTIONS, "tiny-model")
    result, outcome = collect(prepared, OPTIONS, answerer(server, timeout=0.7), tmp_path / "out")
    assert outcome.whole and result.complete and result.requests.failures["time-out"] >= 3


def test_what_keeps_failing_is_owed_and_asked_at_the_next_start(server: ChatServer, tmp_path: Path) -> None:
    server.fault = lambda query, before: "500" if "number 2 " in query else None
    result, outcome = run(server, tmp_path)
    assert result.requests.owed == 3 and len(outcome.failed) == 3 and result.records == 8
    server.fault = lambda query, before: None
    before = sum(server.asked.values())
    result, outcome = run(server, tmp_path)
    assert result.complete and sum(server.asked.values()) == before + 3


def test_a_refused_request_is_not_tried_again(server: ChatServer, tmp_path: Path) -> None:
    server.fault = lambda query, before: "400" if "number 2 " in query else None
    result, _ = run(server, tmp_path)
    assert result.requests.failures == {"400": 3} and result.requests.owed == 3


@pytest.mark.parametrize(("fault", "kind"), [("401", "key"), ("404", "model")])
def test_a_wrong_key_or_model_stops_at_once(server: ChatServer, tmp_path: Path, fault: str, kind: str) -> None:
    server.fault = lambda query, before: fault
    result, outcome = run(server, tmp_path, n=50)
    assert outcome.stop_kind == kind and sum(server.asked.values()) <= QUICK.concurrency
    assert result.requests.owed == 150


def test_retry_after_holds_everyone_back(server: ChatServer, tmp_path: Path) -> None:
    server.fault = lambda query, before: "429" if sum(server.asked.values()) == 1 else None
    begun = time.monotonic()
    result, _ = run(server, tmp_path, manners=Manners(concurrency=1, first_wait=5))
    assert result.complete and 0.05 <= time.monotonic() - begun < 4  # not the wait of five seconds


def test_a_rate_is_kept(server: ChatServer, tmp_path: Path) -> None:
    begun = time.monotonic()
    run(server, tmp_path, n=4, manners=Manners(rate=1200))
    assert time.monotonic() - begun >= 11 * 0.05


def test_cost_never_passes_its_limit(server: ChatServer, tmp_path: Path) -> None:
    price = Price(input=1.0, output=10.0)
    server.fault = lambda query, before: random.Random(query + str(before)).choice([None, "torn", "500"])
    result, outcome = run(server, tmp_path, n=40, manners=Manners(8, None, 0.05, 3, 0.01), price=price)
    assert outcome.stop_kind == "cost" and 0 < result.requests.cost <= 0.05
    more, _ = run(server, tmp_path, n=40, manners=Manners(8, None, 0.06, 3, 0.01), price=price)
    assert more.requests.cost <= 0.06  # over all starts
    # What the server may have billed (torn bodies were answered) is booked: the true cost is never more.
    true = sum(n * price.of(10, 30) for n in server.answered.values())
    assert true <= more.requests.cost + 1e-9


def test_a_limit_without_a_price_is_refused(server: ChatServer) -> None:
    with pytest.raises(UserError, match="price"):
        ServerAnswerer(Server(server.url, "unknown"), Manners(max_cost=1.0), None)


def test_changed_answers_are_refused_and_named(server: ChatServer, tmp_path: Path) -> None:
    run(server, tmp_path)
    with pytest.raises(OutputExistsError, match="seed"):
        run(server, tmp_path, seed=1)
    with pytest.raises(OutputExistsError, match="domain academy, domain business, domain normal"):
        run(server, tmp_path, words=(5, 50))
    more, _ = run(server, tmp_path, n=6, samples=2, domains=["academy", "business", "law"])  # these only add
    assert more.complete and more.requests.answered == 6 * 4 * 2


def test_two_processes_on_one_folder(server: ChatServer, tmp_path: Path) -> None:
    run(server, tmp_path)
    held = Journal.open(tmp_path / "out")
    with pytest.raises(OutputExistsError, match="another process"):
        run(server, tmp_path)
    assert Journal.look(tmp_path / "out").counts().answered == 15  # but it can be looked at
    held.close()


def test_a_server_that_is_down_or_has_no_such_model_makes_nothing(server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not answer"):
        make_answerer("tiny-model", "http://127.0.0.1:9/v1", QUICK, None)
    with pytest.raises(RewardsmithError, match=r"has no model 'tiny-modle'.*did you mean 'tiny-model'") as error:
        make_answerer("tiny-modle", server.url, QUICK, None)
    assert error.value.exit_code == 1


def test_a_wrong_key_is_told_without_the_key(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    with pytest.raises(UserError, match="refuses the key") as error:
        make_answerer("tiny-model", server.url, QUICK, None)
    assert "wrong" not in str(error.value) and error.value.exit_code == 2


def test_the_key_is_in_no_file(server: ChatServer, tmp_path: Path) -> None:
    server.fault = lambda query, before: "500" if before == 0 else None  # its message repeats the key
    run(server, tmp_path)
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_batches_are_waited_for_over_restarts(server: ChatServer, tmp_path: Path) -> None:
    source = queries(tmp_path, 4)
    prepared = prepare(source, OPTIONS, "tiny-model")

    def batch_answerer():
        made = make_answerer("tiny-model", server.url, QUICK, None, batch=True)
        made.poll_seconds = 0.01
        return made

    server.polls_until_done = 10**9
    script = (
        "from rewardsmith.collection.collect import *\nfrom rewardsmith.collection.answerers.making import *\n"
        f"o = CollectOptions.model_validate_json({OPTIONS.model_dump_json()!r})\n"
        f"a = make_answerer('tiny-model', {server.url!r}, Manners(), None, batch=True)\na.poll_seconds = 0.01\n"
        f"collect(prepare({source!r}, o, 'tiny-model'), o, a, Path({str(tmp_path / 'out')!r}))\n"
    )
    waiting = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not (server.batches and server.batches["batch0"]["polls"] > 3):
        assert time.monotonic() < deadline and waiting.poll() is None
        time.sleep(0.02)
    waiting.send_signal(signal.SIGKILL)
    waiting.wait()
    server.polls_until_done = 0
    result, outcome = collect(prepared, OPTIONS, batch_answerer(), tmp_path / "out")
    assert outcome.whole and result.complete and len(server.batches) == 1 and result.requests.unknown_fate == 0


def test_what_a_batch_did_not_answer_is_owed(server: ChatServer, tmp_path: Path) -> None:
    server.fault = lambda query, before: "500" if "number 1 " in query and before == 0 else None
    server.polls_until_done = 0
    prepared = prepare(queries(tmp_path, 4), OPTIONS, "tiny-model")
    made = make_answerer("tiny-model", server.url, QUICK, None, batch=True)
    result, outcome = collect(prepared, OPTIONS, made, tmp_path / "out")
    assert result.requests.owed == 3 and len(outcome.failed) == 3
    result, _ = collect(prepared, OPTIONS, made, tmp_path / "out")
    assert result.complete and result.records == 8


_SCRIPT = """
import sys
from pathlib import Path
from rewardsmith.collection.answerers.one_by_one import ServerAnswerer
from rewardsmith.collection.answerers.rounds import Manners
from rewardsmith.collection.collect import (
    CHANGES_ANSWERS,
    CHANGES_OUTPUTS,
    CHANGES_WHAT_IS_ASKED,
    CollectOptions,
    collect,
    prepare,
)
from rewardsmith.collection.answerers.pricing import FREE
from rewardsmith.collection.answerers.server import Server

source, url, out = sys.argv[1:]
options = CollectOptions(domains=["academy"], plain=True, filtered=False, near=True)
answerer = ServerAnswerer(Server(url, "tiny-model", timeout=5), Manners(16, retries=20, first_wait=0.01), FREE)
collect(prepare(source, options, "tiny-model"), options, answerer, Path(out))
status = Path("/proc/self/status").read_text()  # getrusage counts the parent's memory before the exec too
print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.parametrize("n", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_killed_again_and_again_nothing_is_lost_or_asked_twice(server: ChatServer, tmp_path: Path, n: int) -> None:
    """Two requests a query against a server with every fault; `kill -9` at random moments."""
    rng = random.Random(0)
    kinds = [*FAULTS, *[None] * len(FAULTS)]
    server.fault = lambda query, before: random.Random(f"{query}{before}").choice(kinds)
    source, out, kills = queries(tmp_path, n), tmp_path / "out", 0
    durable: set[str] = set()
    memory = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, source, server.url, str(out)], stdout=subprocess.PIPE, text=True
        )
        before = dict(server.asked)
        first = len(durable)
        while kills < 4 and process.poll() is None:
            time.sleep(0.02)
            if out.joinpath("journal.sqlite").exists() and len(_answered(out)) > first + rng.randint(1, n // 3):
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
        said, _ = process.communicate()
        asked_again = {k for k, times in server.asked.items() if times > before.get(k, 0)}
        assert not {_key(source, k) for k in asked_again} & durable, "asked again after its answer was durable"
        durable = _answered(out)
        if process.returncode == 0:
            memory = int(said)
            break
    assert kills == 4 and len(durable) == 2 * n
    result = json.loads((out / "result.json").read_text())
    assert result["records"] == n and result["requests"]["owed"] == 0
    repaid = sum(times - 1 for times in server.answered.values() if times > 1)
    assert repaid <= kills * 16, "more than the calls in flight were paid twice"
    assert result["requests"]["unknown_fate"] <= kills * 16
    assert memory < 450_000  # KiB with all that is imported (280,000); 10,000 requests add some 20,000


def _answered(out: Path) -> set[str]:
    with sqlite3.connect(f"file:{out / 'journal.sqlite'}?mode=ro", uri=True, timeout=30) as db:
        try:
            return {key for (key,) in db.execute("SELECT key FROM requests WHERE state = 'answered'")}
        except sqlite3.OperationalError:  # the tables are not made yet
            return set()


def _key(source: str, asked: tuple[str, str]) -> str:
    from rewardsmith.preferences.record import Message, content_hash

    system, query = asked
    name = content_hash([Message(role="user", content=query).model_dump()])
    return f"{name}/{'academy' if system else 'normal'}/1"


def test_every_option_says_whether_it_changes_answers() -> None:
    """A new option fails here until it is put into one of the three sets."""
    kinds = (CHANGES_ANSWERS, CHANGES_WHAT_IS_ASKED, CHANGES_OUTPUTS)
    assert set().union(*kinds) == set(CollectOptions.model_fields)
    assert sum(map(len, kinds)) == len(CollectOptions.model_fields)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"domains": ["academy", "law"]}, False),
        ({"plain": False}, False),
        ({"samples": 2}, False),
        ({"seed": 3}, True),
        ({"words": (5, 90)}, True),
        ({"near": False}, False),
        ({"choose": 3}, False),
        ({"pilot": 2}, False),
        ({"askings": 2}, False),
        ({"judge": True}, False),
        ({"filtered": True}, False),
    ],
)
def test_what_a_collection_may_go_on_with(
    server: ChatServer, tmp_path: Path, options: dict[str, object], refused: bool
) -> None:
    """No answer that is there is asked again under any option; those that would change answers are refused."""
    run(server, tmp_path, n=3)
    before = {key for key, times in server.asked.items() if times}
    if refused:
        with pytest.raises(OutputExistsError):
            run(server, tmp_path, n=3, **options)
        assert sum(server.asked.values()) == 9
    else:
        run(server, tmp_path, n=3, **options)
        # Several samples of one query look the same to the server: they are told by their number.
        assert all(server.asked[key] <= (2 if "samples" in options else 1) for key in before)
