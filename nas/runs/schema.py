"""The table of a log, and the refusal of databases that hold anything else.

A run's folder may have come from anywhere. A view in the place of the table can compute without an end, and a trigger
changes what is written; so a log has the one table that we make, word for word, and nothing beside it.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any

from nas.errors import RunError

TABLE = (
    "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
    "body TEXT NOT NULL, elapsed REAL NOT NULL, time REAL NOT NULL, history TEXT)"
)
_AS_STORED = TABLE.replace("IF NOT EXISTS ", "")
_LONGEST = 1 << 28  # bytes of one value: a history of a million epochs
_LATEST = 1e11  # seconds, of which the year is still one of four digits


def refuse_foreign(database: sqlite3.Connection) -> None:
    """RunError if a database holds anything but the table of events. Nothing that it defines is computed from here on.

    One that holds nothing at all passes; sqlite3.Error if it is no database, or damaged.
    """
    database.execute("PRAGMA trusted_schema=OFF")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    for kind, name, text in database.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind == "table" and str(name).startswith("sqlite_"):
            continue  # statistics of SQLite's own
        if (kind, name) != ("table", "events"):
            raise RunError(
                f"it holds the {kind} {str(name)!r:.80}, which no log of nasctl has. It was made by another "
                "program, or "
                "with malicious intent; do not use this run"
            )
        if text != _AS_STORED:
            raise RunError("its table of events has other columns than this version writes; do not use this run")


def row_error(kind: Any, body: Any, elapsed: Any, when: Any, history: Any) -> str | None:
    """Error in the values of a row: SQLite keeps values of any type in any column."""
    texts = {"kind": kind, "body": body, "history": "" if history is None else history}
    for name, value in texts.items():
        if not isinstance(value, str):
            return f"{name} is {type(value).__name__}, and should be a string"
    for name, value, most in (("elapsed", elapsed, math.inf), ("time", when, _LATEST)):
        if not isinstance(value, float) or not 0 <= value < most:
            return f"{name} is {value!r:.40}, which is not a number of seconds"
    return None
