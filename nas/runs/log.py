"""One run's log: an append-only table of events in SQLite, with one writer and readers at any time.

Everything else about a run (its trials, the best, whether it is done) is derived from the events, see
``nas.runs.run``. An event is on the disk when ``append`` returns (write-ahead log, synchronous FULL), and a kill
or a full disk in the middle of one leaves the log as it was before.

A trial's history by epochs is most of its result. It lies in a column of its own, so that a log can be read without
histories: most readers need none, and with 100,000 trials they would fill the memory.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from nas.awake import awake
from nas.errors import RunError
from nas.files import Lock, is_locked, take_lock
from nas.runs.events import Event, TrialEnded, TrialSubmitted, decode, encode
from nas.runs.hints import typed
from nas.trials import TrialResult

LOG_NAME = "log.sqlite"
LOCK_NAME = ".lock"


@dataclass(frozen=True)
class LogEntry:
    """An event with its place. ``elapsed``: seconds that searching had taken in all when it was recorded; ``time``:
    Unix time."""

    number: int  # from 1
    event: Event
    elapsed: float
    time: float


class EventLog:
    """The writer of one run. Owns the run's lock while open: a second writer is a RunError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = _take_lock(folder)
        try:
            self._database = sqlite3.connect(folder / LOG_NAME, isolation_level=None)
            self._inode = (folder / LOG_NAME).stat().st_ino
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
                "body TEXT NOT NULL, elapsed REAL NOT NULL, time REAL NOT NULL, history TEXT)"
            )
            ((longest,),) = self._database.execute("SELECT max(elapsed) FROM events")
        except sqlite3.Error as error:
            self._lock.release()
            raise _unreadable(folder, error) from error
        self._elapsed_before = float(longest or 0.0)
        self._opened = awake()

    @property
    def elapsed(self) -> float:
        """Seconds spent on this run, by this process and those before it; suspensions are left out."""
        return self._elapsed_before + awake() - self._opened

    def append(self, event: Event) -> LogEntry:
        """Record one event durably. RunError if the disk refuses; the log is then as before.

        A power cut, though no kill, may take the trials submitted since the last other event: flushing the disk for
        each would double its share of a trial. ValueError for a number that JSON does not have.
        """
        kind, body, history = encode(event)
        self._check_it_is_there()
        elapsed, now = self.elapsed, time.time()
        try:
            if not self._database.in_transaction:
                renewable = isinstance(event, TrialSubmitted)
                self._database.execute(f"PRAGMA synchronous={'NORMAL' if renewable else 'FULL'}")
            cursor = self._database.execute(
                "INSERT INTO events (kind, body, elapsed, time, history) VALUES (?, ?, ?, ?, ?)",
                (kind, body, elapsed, now, history),
            )
        except sqlite3.Error as error:
            raise RunError(
                f"The log of run {self.folder.name!r} could not be written ({error}). Nothing recorded is lost: "
                f"make room on the disk of {self.folder}, then: {typed('resume', self.folder)}"
            ) from error
        return LogEntry(int(cursor.lastrowid or 0), event, elapsed, now)

    def _check_it_is_there(self) -> None:
        """RunError if the log was removed: what is written to a removed file is lost without a word."""
        path = self.folder / LOG_NAME
        try:
            there = path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise RunError(f"The log {path} was removed while the search ran. What it held is lost; start a new run.")

    def entries(self, *, after: int = 0, histories: bool = False) -> Iterator[LogEntry]:
        """Those with a number above ``after``, oldest first, one at a time."""
        return _select(self._database, self.folder, after=after, histories=histories)

    def close(self) -> None:
        """Fold the write-ahead log into the file and let the next writer in."""
        self._database.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_log(folder: Path, *, histories: bool = False) -> Iterator[LogEntry]:
    """The entries of the run in ``folder``, also while a search is writing them, one at a time: without histories as
    much memory for any number of trials. RunError if unreadable."""
    with _reading(folder) as database:
        yield from _select(database, folder, histories=histories)


def read_result(folder: Path, number: int) -> TrialResult:
    """The whole result that event ``number`` recorded. RunError if it recorded none."""
    with _reading(folder) as database:
        for entry in _select(database, folder, after=number - 1, most=1, histories=True):
            if isinstance(entry.event, TrialEnded):
                return entry.event.result
    raise RunError(f"Event {number} of run {folder.name!r} is no result.")


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / LOG_NAME
    if not path.is_file():
        raise RunError(f"{folder} is not a run: it holds no {LOG_NAME}. 'nasctl status' lists the runs.")
    try:
        # Without a write-ahead log nobody is writing: read the file alone, and leave no files beside it.
        how = "mode=ro" if path.with_name(f"{LOG_NAME}-wal").exists() else "mode=ro&immutable=1"
        database = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True)
        try:
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        raise _unreadable(folder, error) from error


def is_running(folder: Path) -> bool:
    """Whether some process holds the run's lock. Writes nothing."""
    return is_locked(folder / LOCK_NAME)


def _select(
    database: sqlite3.Connection, folder: Path, *, after: int = 0, most: int = -1, histories: bool = True
) -> Iterator[LogEntry]:
    """At most ``most`` entries (-1: all) with a number above ``after``."""
    try:
        for number, kind, body, elapsed, when, history in database.execute(
            f"SELECT number, kind, body, elapsed, time, {'history' if histories else 'NULL'} FROM events "
            "WHERE number > ? ORDER BY number LIMIT ?",
            (after, most),
        ):
            yield LogEntry(number, decode(number, kind, body, history), elapsed, when)
    except RunError as error:
        raise RunError(f"The log of run {folder.name!r} cannot be read: {error}.") from error
    except (sqlite3.Error, ValueError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> RunError:
    return RunError(
        f"The log {folder / LOG_NAME} cannot be read ({error}). If it is a copy, copy the whole folder again "
        "while no search runs in it."
    )


def _take_lock(folder: Path) -> Lock:
    try:
        return take_lock(folder / LOCK_NAME, wait=1)  # seconds: who only looks at it has it for an instant
    except TimeoutError as error:
        raise RunError(
            f"Run {folder.name!r} is being worked on by another process: wait for it, or stop it first. "
            f"'{typed('status --run', folder)}' shows how far it is."
        ) from error
    except OSError as error:
        raise RunError(f"The run's folder {folder} cannot be written: {error.strerror}.") from error
