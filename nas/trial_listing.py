"""The command that lists a run's trials: a table that ends, however many there are, or JSON printed as it goes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nas.commands import console
from nas.documents import trial_document
from nas.errors import UsageError
from nas.runs import load_run

MOST_ROWS = 1000  # of a table that nobody asked to be longer


def trials_command(name: str | None, runs: str, top: str | None, *, as_json: bool) -> None:
    """The trials of a run, all in their order or the best N; of many, the newest in the table."""
    from nas.tables import trials_table

    if top is not None and not (top.isascii() and top.isdigit() and int(top) >= 1):
        raise UsageError(f"--top {top!r} cannot be used: give a whole number of at least 1.")
    run = load_run(name, Path(runs))
    chosen = run.best(int(top)) if top else list(run.trials.values())
    if as_json:
        print_json_list(trial_document(run, trial) for trial in chosen)
        return
    earlier = 0 if top else max(0, len(chosen) - MOST_ROWS)
    console.print(trials_table(run, chosen[earlier:]))
    if earlier:
        console.print(
            f"{earlier:,} earlier trials are not shown. The N best of all: --top N. All: --json.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def print_json_list(documents: Iterable[Any]) -> None:
    """One list on standard output, a line for each of its documents, each forgotten once it is printed."""
    between = "[\n"
    for document in documents:
        print(between + json.dumps(document), end="")
        between = ",\n"
    print("[]" if between == "[\n" else "\n]")
