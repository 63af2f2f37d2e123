"""The journal of a collection: which requests are owed, in flight or answered, in SQLite.

    owed ----begin----> in flight ----answer----> answered
      ^                     |
      +------release--------+        (also at the next start: then nobody knows what became of it)

An answer counts once it is committed; the file is in WAL mode with full synchronisation, so that neither `kill -9` nor
a power cut takes one back, and another process may read while one writes. One process at a time may write: the lock is
the operating system's and dies with its holder. It knows nothing of servers, prices or what an answer is good for.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from filelock import FileLock, Timeout

from rewardsmith.collection.requests import Answer
from rewardsmith.errors import OutputExistsError, RewardsmithError

FILE = "journal.sqlite"
_MIGRATIONS = files("rewardsmith.collection") / "migrations"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Planned:
    """A request as the journal knows it: `content` is a hash of all that its answer depends on."""

    key: str
    group: str
    content: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of asking once. `outcome` is `answered` or the kind of failure; `cost` is in the price file's unit."""

    outcome: str
    seconds: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests by state, and how often one was in flight when a process ended without a word."""

    owed: int
    in_flight: int
    answered: int
    unknown_fate: int

    @property
    def total(self) -> int:
        """All that are planned."""
        return self.owed + self.in_flight + self.answered


@dataclass(frozen=True, slots=True)
class Spent:
    """What all attempts so far took."""

    attempts: int
    failures: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    cost: float
    seconds: float


class Journal:
    """The journal in a collection's folder. `Journal.open` writes and holds the lock, `Journal.look` only reads."""

    def __init__(self, connection: sqlite3.Connection, lock: FileLock | None) -> None:
        self._db, self._lock = connection, lock

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Opens it to write, made or migrated where needed. What is in flight then, nobody waits for: see `recover`.

        Raises:
            OutputExistsError: another process works in this folder.
            RewardsmithError: it was written by a newer version, is damaged, or cannot be written.
        """
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputExistsError(
                f"{folder}: another process is collecting there; wait for it, or look with --status"
            ) from error
        try:
            journal = cls(_connect(folder / FILE), lock)
            journal._prepare(folder / FILE)
        except BaseException:
            lock.release()
            raise
        return journal

    @classmethod
    def look(cls, folder: Path) -> Journal:
        """Opens it to read, whoever is writing.

        Raises:
            RewardsmithError: there is none, it is damaged, or of a newer version.
        """
        path = folder / FILE
        if not path.is_file():
            raise RewardsmithError(f"{folder} holds no collection: there is no {FILE}")
        journal = cls(_connect(path), None)
        _refuse_newer(journal._db, path)
        return journal

    def close(self) -> None:
        """Closes the file and lets go of the lock."""
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    def settings(self) -> dict[str, str]:
        """What the collection was begun with: the fingerprint's parts by name."""
        return dict(self._db.execute("SELECT name, value FROM settings"))

    def set_settings(self, settings: dict[str, str]) -> None:
        """Writes the fingerprint's parts; parts that are there already keep their value."""
        with _said(self._db):
            self._db.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", settings.items())

    def recover(self) -> int:
        """Owes again what was in flight when a process ended without a word, and says how many these were.

        Nobody knows whether they were answered, so each is booked at the most that it can have cost. What a provider's
        batch holds stays in flight.
        """
        rows = self._db.execute(
            "SELECT key, most_cost FROM requests WHERE state = 'in flight' "
            "AND key NOT IN (SELECT key FROM batched JOIN batches ON batch = batches.id WHERE NOT done)"
        ).fetchall()
        with _said(self._db):
            self._attempts([(key, Attempt("unknown fate", 0.0, cost=most)) for key, most in rows], time.time())
            self._db.executemany("UPDATE requests SET state = 'owed' WHERE key = ?", [(key,) for key, _ in rows])
        return len(rows)

    def plan(self, requests: Iterable[Planned]) -> None:
        """Adds requests that are not there yet, as owed."""
        with _said(self._db):
            self._db.executemany(
                "INSERT OR IGNORE INTO requests (key, grp, content, state) VALUES (?, ?, ?, 'owed')",
                ((r.key, r.group, r.content) for r in requests),
            )

    def contents(self) -> Iterator[tuple[str, str]]:
        """Key and content of every planned request."""
        yield from self._db.execute("SELECT key, content FROM requests")

    def owed(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that have no answer yet, in their order."""
        answered = {key for (key,) in self._db.execute("SELECT key FROM requests WHERE state = 'answered'")}
        return [key for key in keys if key not in answered]

    def begin(self, requests: Sequence[tuple[str, float]]) -> None:
        """Marks requests as in flight, durably, before they are sent; each with the most that it can cost."""
        with _said(self._db):
            self._db.executemany(
                "UPDATE requests SET state = 'in flight', most_cost = ? WHERE key = ?", [(m, k) for k, m in requests]
            )

    def answer(self, answers: Sequence[tuple[str, Answer, Attempt]]) -> None:
        """Makes answers durable. An answer that is there is never replaced."""
        now = time.time()
        with _said(self._db):
            self._attempts([(key, attempt) for key, _, attempt in answers], now)
            self._db.executemany(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (key, _storable(a.text), a.finish_reason, a.prompt_tokens, a.completion_tokens, now)
                    for key, a, _ in answers
                ],
            )
            self._db.executemany(
                "UPDATE requests SET state = 'answered' WHERE key = ?", [(key,) for key, _, _ in answers]
            )

    def fail(self, key: str, attempt: Attempt, *, again: bool) -> None:
        """Notes an attempt that failed; the request stays in flight where it is tried `again` at once, else is owed."""
        with _said(self._db):
            self._attempts([(key, attempt)], time.time())
            if not again:
                self._db.execute("UPDATE requests SET state = 'owed' WHERE key = ?", (key,))

    def release(self, keys: Sequence[str]) -> None:
        """Gives back requests that were never sent."""
        with _said(self._db):
            self._db.executemany(
                "UPDATE requests SET state = 'owed' WHERE key = ? AND state = 'in flight'", [(k,) for k in keys]
            )

    def answers(self, keys: Sequence[str]) -> Iterator[tuple[str, Answer]]:
        """The answers to those of `keys` that have one, in their order."""
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            marks = ", ".join("?" * len(batch))
            rows = self._db.execute(
                "SELECT key, text, finish_reason, prompt_tokens, completion_tokens FROM answers "
                f"WHERE key IN ({marks})",
                batch,
            )
            found = {key: Answer(_restored(text), *rest) for key, text, *rest in rows}
            yield from ((key, found[key]) for key in batch if key in found)

    def counts(self) -> Counts:
        """Requests by state."""
        by_state = dict(self._db.execute("SELECT state, count(*) FROM requests GROUP BY state"))
        (unknown,) = self._db.execute("SELECT count(*) FROM attempts WHERE outcome = 'unknown fate'").fetchone()
        return Counts(by_state.get("owed", 0), by_state.get("in flight", 0), by_state.get("answered", 0), unknown)

    def spent(self) -> Spent:
        """What all attempts took together."""
        n, prompt, completion, cost, seconds = self._db.execute(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), "
            "coalesce(sum(cost), 0), coalesce(sum(seconds), 0) FROM attempts"
        ).fetchone()
        failures = dict(
            self._db.execute("SELECT outcome, count(*) FROM attempts WHERE outcome != 'answered' GROUP BY outcome")
        )
        return Spent(n, failures, prompt, completion, cost, seconds)

    def course(self) -> list[tuple[float, float, int]]:
        """For a plot over time: when an attempt ended (Unix seconds), what it cost, how many tokens it gave."""
        return list(self._db.execute("SELECT ended, cost, completion_tokens FROM attempts ORDER BY ended"))

    def submit(self, batch: str, keys: dict[str, str]) -> None:
        """Notes a batch that the provider has taken, with its requests by their id in it: they stay in flight over
        restarts."""
        with _said(self._db):
            self._db.execute("INSERT INTO batches VALUES (?, ?, 0)", (batch, time.time()))
            self._db.executemany("INSERT INTO batched VALUES (?, ?, ?)", [(batch, i, key) for i, key in keys.items()])

    def open_batches(self) -> dict[str, dict[str, str]]:
        """Batches whose answers have not been fetched: their requests' keys by their id in the batch."""
        found: dict[str, dict[str, str]] = {}
        rows = self._db.execute(
            "SELECT batch, custom_id, key FROM batched JOIN batches ON batch = batches.id WHERE NOT done"
        )
        for batch, name, key in rows:
            found.setdefault(batch, {})[name] = key
        return found

    def end_batch(self, batch: str) -> None:
        """All that the batch gave is noted; what it did not answer is owed again."""
        with _said(self._db):
            self._db.execute("UPDATE batches SET done = 1 WHERE id = ?", (batch,))
            self._db.execute(
                "UPDATE requests SET state = 'owed' WHERE state = 'in flight' "
                "AND key IN (SELECT key FROM batched WHERE batch = ?)",
                (batch,),
            )

    def _attempts(self, attempts: Sequence[tuple[str, Attempt]], now: float) -> None:
        self._db.executemany(
            "INSERT INTO attempts (key, ended, outcome, seconds, prompt_tokens, completion_tokens, cost, detail) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (key, now, a.outcome, a.seconds, a.prompt_tokens, a.completion_tokens, a.cost, _storable(a.detail))
                for key, a in attempts
            ],
        )

    def _prepare(self, path: Path) -> None:
        _refuse_newer(self._db, path)
        for number, script in enumerate(_scripts(), 1):
            if number > _version(self._db):
                self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")


@contextmanager
def _said(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction; what SQLite says about the file is said in words that help."""
    try:
        with db:
            yield db
    except sqlite3.DatabaseError as error:
        raise RewardsmithError(f"the journal cannot be used: {error}; {_remedy(str(error))}") from error


def _remedy(message: str) -> str:
    if "full" in message or "I/O" in message:
        return "make room on the disk and give the same command again: no answer is lost"
    return "if the file is damaged, restore it from a copy; else give the same command again"


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        raise RewardsmithError(f"{path}: cannot be opened ({error}); {_remedy(str(error))}") from error
    return connection


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(db: sqlite3.Connection, path: Path) -> None:
    found, known = _version(db), len(_scripts())
    if found > known:
        raise RewardsmithError(
            f"{path}: written by a newer Rewardsmith (journal version {found}, known here {known}); upgrade to go on"
        )


def _scripts() -> list[str]:
    """The migrations in their order; their files are numbered from 1."""
    found = sorted((f for f in _MIGRATIONS.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [file.read_text(encoding="utf-8") for file in found]


def _storable(text: str) -> str | bytes:
    """Text as SQLite takes it: half a surrogate pair, which UTF-8 cannot hold, goes in as bytes."""
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _restored(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")
