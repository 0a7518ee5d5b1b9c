"""One run's log: an append-only table of events in SQLite, with one writer and readers at any time.

Everything else about a run (its trials, the best, whether it is done) is derived from the events, see
``nas.runs.run``. An event is on the disk when ``append`` returns (write-ahead log, synchronous FULL), and a kill
or a full disk in the middle of one leaves the log as it was before.

A trial's history by epochs is most of its result. It lies in a column of its own, so that a log can be read without
histories: most readers need none, and with 100,000 trials they would fill the memory.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas.awake import awake
from nas.closing import Closing
from nas.errors import RunError
from nas.files import Lock, NoLocks, hold_folder, is_locked, remove_leftovers, take_lock, write_atomically
from nas.runs.events import Event, TrialEnded, TrialSubmitted, decode, encode
from nas.runs.hints import never_started, typed
from nas.runs.schema import TABLE, refuse_foreign, row_error
from nas.runs.trusted import trusted
from nas.text import shown
from nas.trials import TrialResult

LOG_NAME = "log.sqlite"
LOCK_NAME = ".lock"
BESIDE = tuple(f"{LOG_NAME}{ending}" for ending in ("-wal", "-shm", "-journal"))  # SQLite's, while it is written
INSERT = "INSERT INTO events (kind, body, elapsed, time, history) VALUES (?, ?, ?, ?, ?)"

LONGEST_WAIT = 120.0  # seconds for another program that has locked the log: a backup, say
TELL_AFTER = 3.0  # seconds of it
PATIENCE = 1.0  # seconds that SQLite itself waits at a time
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DISK = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
)  # fmt: skip


@dataclass(frozen=True)
class LogEntry:
    """An event with its place. ``elapsed``: seconds that searching had taken in all when it was recorded; ``time``:
    Unix time."""

    number: int  # from 1
    event: Event
    elapsed: float
    time: float


class EventLog(Closing):
    """The writer of one run. Owns the run's locks while open: a second writer is a RunError.

    With a ``first`` event the log is new: it appears with that event in it, or not at all. ``say`` is told what a
    writer waits for, if it waits for long.
    """

    def __init__(self, folder: Path, first: Event | None = None, *, say: Callable[[str], None] | None = None) -> None:
        self.folder = folder
        self._say = say or _say
        self._locks = _take_locks(folder)
        try:
            if first is not None:
                _bear(folder, first)
            for place in (folder, folder / "weights"):  # of writers that were killed
                remove_leftovers(place)
            self._database = sqlite3.connect(folder / LOG_NAME, isolation_level=None, timeout=PATIENCE)
            try:
                self._inode = (folder / LOG_NAME).stat().st_ino
                _refuse_foreign(folder, self._database)
                for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", TABLE):
                    self._execute(statement)
                ((longest,),) = self._execute("SELECT max(elapsed) FROM events")
            except BaseException:
                self._database.close()
                raise
        except BaseException as error:
            self._locks.close()
            if isinstance(error, sqlite3.Error):
                raise (self._unwritable(error) if _is_of_the_disk(error) else _unreadable(folder, error)) from error
            raise
        self._elapsed_before = float(longest or 0.0)
        self._opened = awake()

    @property
    def elapsed(self) -> float:
        """Seconds spent on this run, by this process and those before it; suspensions are left out."""
        return self._elapsed_before + awake() - self._opened

    def append(self, event: Event, *, elapsed: float | None = None) -> LogEntry:
        """Record one event durably. RunError if the disk refuses; the log is then as before.

        ``elapsed``: the seconds by then, of an event that another run had. A power cut, though no kill, may take
        the trials submitted since the last other event: flushing the disk for each would double its share of a trial.
        ValueError for a number that JSON does not have.
        """
        kind, body, history = encode(event)
        self._check_it_is_there()
        elapsed, now = self.elapsed if elapsed is None else elapsed, time.time()
        try:
            if not self._database.in_transaction:
                renewable = isinstance(event, TrialSubmitted)
                self._execute(f"PRAGMA synchronous={'NORMAL' if renewable else 'FULL'}")
            cursor = self._execute(INSERT, (kind, body, elapsed, now, history))
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        return LogEntry(int(cursor.lastrowid or 0), event, elapsed, now)

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Execute one statement, after waiting for another program that has locked the log."""
        began: float | None = None
        told = False
        while True:
            try:
                return self._database.execute(statement, values)
            except sqlite3.Error as error:
                if _code(error) not in _BUSY:
                    raise
                now = time.monotonic()
                began = now - PATIENCE if began is None else began
                if now - began >= LONGEST_WAIT:
                    raise
                if now - began >= TELL_AFTER and not told:
                    told = True
                    self._say(
                        f"Waiting for another program that has locked {self.folder / LOG_NAME} (a backup, or a viewer "
                        f"of SQLite files), {LONGEST_WAIT:.0f} s at most."
                    )

    def _unwritable(self, error: sqlite3.Error) -> RunError:
        if _code(error) in _BUSY:
            cure = f"another program has locked it for {LONGEST_WAIT:.0f} s: close that program"
        else:
            cure = f"make room on the disk of {self.folder}, or make it writable"
        return RunError(
            f"The log of run {self.folder.name!r} could not be written ({error}). Nothing recorded is lost: {cure}, "
            f"then: {typed('resume', self.folder)}"
        )

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
        self._locks.close()


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
    raise RunError(f"Event {number} of run {folder.name!r} is not a result.")


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / LOG_NAME
    _check_it_is_a_file(path)
    try:
        # Without a write-ahead log nobody is writing: read the file alone, and leave no files beside it.
        beside = path.with_name(BESIDE[0])
        alone = not beside.exists() or (beside.stat().st_size == 0 and not is_running(folder))
        how = "mode=ro&immutable=1" if alone else "mode=ro"
        database = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True)
        try:
            _refuse_foreign(folder, database)
            yield database
        finally:
            database.close()
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(folder, error) from error


def _check_it_is_a_file(path: Path) -> None:
    """RunError if there is no log, or something else in its place, such as a folder or a pipe."""
    try:
        if path.is_file():
            return
        is_there = path.is_symlink() or path.exists()
    except OSError as error:
        raise RunError(
            f"The log {path} cannot be read: {error.strerror}. Make it readable, or remove the folder."
        ) from error
    if is_there:
        raise RunError(f"The log {path} cannot be read: it is not a file. Copy the run again, or remove its folder.")
    raise RunError(f"{path.parent} is not a run: it holds no {LOG_NAME}. 'nasctl status' lists the runs.")


def _refuse_foreign(folder: Path, database: sqlite3.Connection) -> None:
    try:
        refuse_foreign(database)
    except RunError as error:
        raise RunError(f"The log of run {folder.name!r} cannot be read: {error}.") from error


def is_running(folder: Path) -> bool:
    """True if some process holds one of the run's locks. Writes nothing."""
    return is_locked(folder / LOCK_NAME) or is_locked(folder)


def has_begun(folder: Path) -> bool:
    """True if the log in ``folder`` holds an event, or what it holds cannot be told. Writes nothing."""
    path = folder / LOG_NAME
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return False
        with _reading(folder) as database:
            return database.execute("SELECT 1 FROM events LIMIT 1").fetchone() is not None
    except (RunError, OSError) as error:
        return not _has_no_table(error.__cause__)


def _bear(folder: Path, first: Event) -> None:
    """Write a log that holds the ``first`` event, whole or not at all: a kill leaves no log that holds nothing."""
    if has_begun(folder):
        raise RunError(f"Run {folder.name!r} exists already: choose another --run.")
    kind, body, history = encode(first)
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute(TABLE)
        database.execute(INSERT, (kind, body, 0.0, time.time(), history))
        content = bytearray(database.serialize())
    content[18:20] = b"\x02\x02"  # by the format of these files: one that is written with a write-ahead log
    for name in BESIDE:  # of an empty log
        (folder / name).unlink(missing_ok=True)
    write_atomically(folder / LOG_NAME, bytes(content), durable=True)


def _select(
    database: sqlite3.Connection, folder: Path, *, after: int = 0, most: int = -1, histories: bool = True
) -> Iterator[LogEntry]:
    """At most ``most`` entries (-1: all) with a number above ``after``."""
    last = after
    try:
        for number, kind, body, elapsed, when, history in database.execute(
            f"SELECT number, kind, body, elapsed, time, {'history' if histories else 'NULL'} FROM events "
            "WHERE number > ? ORDER BY number LIMIT ?",
            (after, most),
        ):
            if message := row_error(kind, body, elapsed, when, history):
                raise RunError(f"event {number}: {message}")
            yield LogEntry(number, trusted(decode(number, kind, body, history), number), elapsed, when)
            last = number
    except RunError as error:
        raise RunError(f"The log of run {folder.name!r} cannot be read: {error}.") from error
    except sqlite3.Error as error:
        if _has_no_table(error):
            raise RunError(never_started(folder)) from error
        raise _unreadable(folder, error, after=last) from error


def _code(error: BaseException | None) -> int | None:
    """Error of SQLite, without the details."""
    found = getattr(error, "sqlite_errorcode", None)
    return None if found is None else found & 0xFF


def _is_of_the_disk(error: sqlite3.Error) -> bool:
    return _code(error) in (*_BUSY, *_DISK)


def _has_no_table(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "no such table" in str(error)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it: the search continues
        print(shown(text), file=sys.stderr, flush=True)


def _unreadable(folder: Path, error: Exception, after: int = 0) -> RunError:
    if _code(error) in _DISK:  # to read what was not folded into the file yet, SQLite writes beside it
        return RunError(
            f"The log {folder / LOG_NAME} cannot be read ({error}): make room on the disk of {folder}, or make it "
            "writable, and run the same command again."
        )
    return RunError(
        f"The log {folder / LOG_NAME} cannot be read {f'after event {after} ' * (after > 0)}({error}). If it is a "
        "copy, copy the whole folder again "
        "while no search runs in it."
    )


def _take_locks(folder: Path) -> contextlib.ExitStack:
    """A file's, and the folder's own, since a file can be removed; both, since not every file system has the second."""
    locks = contextlib.ExitStack()
    try:
        for take in (_take_file, hold_folder):
            lock = take(folder, wait=1)  # seconds: who only looks at it has it for an instant
            if lock is not None:
                locks.callback(lock.release)
        return locks
    except TimeoutError as error:
        locks.close()
        raise RunError(
            f"Run {folder.name!r} is being worked on by another process: wait for it, or stop it first. "
            f"'{typed('status --run', folder)}' shows how far it is."
        ) from error
    except NoLocks as error:
        locks.close()
        raise RunError(
            f"The file system of {folder} has no locks ({error.strerror}), without which two processes could write one "
            "run: choose --runs on another."
        ) from error
    except OSError as error:
        locks.close()
        raise RunError(
            f"The run's folder {folder} cannot be written: {error.strerror}. Make room there, or make it writable, "
            "then run the same command again."
        ) from error


def _take_file(folder: Path, *, wait: float) -> Lock:
    return take_lock(folder / LOCK_NAME, wait=wait)
