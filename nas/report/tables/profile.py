"""Time of a run by part, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from nas.report.screen import Screen
from nas.report.tables.format import make_table
from nas.runs import Run
from nas.runs.profile import SEARCH_PARTS
from nas.stopwatch import TRIAL_PARTS


def print_profile(console: Screen, run: Run) -> None:
    """The seconds of the search process and of its trials by what they were for; nothing of a run without --profile."""
    profile = run.profile
    if profile.document() is None:
        return
    console.print("\nWhere the time went", style="bold")
    if profile.num_sessions:
        sessions = "" if profile.num_sessions == 1 else f" in {profile.num_sessions} sessions"
        console.print(_parts(f"the search itself{sessions}", SEARCH_PARTS, profile.search), "")
    if profile.num_trials:
        trials = "one trial" if profile.num_trials == 1 else f"all {profile.num_trials} trials"
        console.print(_parts(trials, TRIAL_PARTS, profile.trials, profile.num_trials), "")
    if profile.worker_seconds:
        console.print(
            f"Workers busy {100 * profile.busy_seconds / profile.worker_seconds:.0f} %: {profile.busy_seconds:.1f} s "
            f"in trials of the {profile.worker_seconds:.1f} s that workers had",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def _parts(what: str, parts: tuple[str, ...], seconds: Mapping[str, float], count: int = 0) -> Table:
    """A row a part, in their order, and their sum; with ``count`` also the mean of so many."""
    table = make_table("", (what,), ("seconds", "share", "per trial") if count else ("seconds", "share"))
    total = sum(seconds.values())

    def row(name: str, value: float) -> None:
        mean = [f"{value / count:.3f}"] if count else []
        table.add_row(name, f"{value:.1f}", f"{100 * value / total:.1f} %" if total else "-", *mean)

    for name in dict.fromkeys((*parts, *seconds)):  # another version may have recorded others
        if name in seconds:
            row(name, seconds[name])
    table.add_section()
    row("total", total)
    return table
