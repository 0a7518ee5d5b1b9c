"""Draw a finished search: what each trial scored at its size, and which the seeds confirmed.

    .venv/bin/python docs/pictures/search.py RUN PICTURE.png

Reads what ``nasctl status --json`` and ``nasctl trials --json`` say of the run, in the folder where the search ran.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

NASCTL = Path(sys.executable).with_name("nasctl")
SEARCH, CONFIRM, OUTSIDE = "#4c72b0", "#c44e52", "#999999"
SIDE = 900  # parameters by which a mean stands beside its trial


def asked(*arguments: str) -> Any:
    """The JSON that a command of nasctl prints."""
    done = subprocess.run([NASCTL, *arguments, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def draw(run: dict[str, Any], trials: Sequence[dict[str, Any]], path: Path) -> None:
    """Parameters against the score on the rank split, as a PNG."""
    figure = Figure(figsize=(8.0, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    searched = [trial for trial in trials if trial["stage"] == "search" and trial["score"] is not None]
    _budget(axes, run["budget"], searched)
    for trial in searched:
        pruned = trial["status"] == "pruned"
        axes.plot(
            trial["params"], trial["score"], "o", color=SEARCH, markersize=8,
            markerfacecolor="white" if pruned else SEARCH,
        )  # fmt: skip
        place = (trial["params"], trial["score"])
        side = _free_side(trial, searched)
        axes.annotate(trial["id"], place, (0, 7), textcoords="offset points", fontsize=8, ha=side)
    _legend_of(axes, [trial["status"] for trial in searched])
    _confirmed(axes, run["winner"], trials)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("parameters")
    axes.set_ylabel(f"{run['config']['objective'].replace('_', ' ')} on the rank split")
    config = run["config"]
    strategy = f"guided {config['strategy']}" if config.get("guide") == "on" else config["strategy"]
    axes.set_title(f"{run['run']}: {strategy} over {config['space']}, {len(searched)} trials")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=8)
    axes.margins(y=0.1)
    figure.savefig(path)


def _free_side(trial: dict[str, Any], others: Sequence[dict[str, Any]]) -> str:
    """How the number of a trial is aligned so that it keeps clear of a neighbour's."""
    for other in others:
        apart = other["params"] - trial["params"]
        if 0 < abs(apart) < 3 * SIDE and abs(other["score"] - trial["score"]) < 0.005:
            return "right" if apart > 0 else "left"
    return "center"


def _budget(axes: Axes, budget: dict[str, int | None], trials: Sequence[dict[str, Any]]) -> None:
    """Grey where the budget allows no trial."""
    sizes = [trial["params"] for trial in trials]
    least, most = budget["min_params"] or min(sizes), budget["max_params"] or max(sizes)
    edge = 0.12 * (most - least)
    axes.set_xlim(least - edge, most + edge)
    for start, end in ((least - edge, least), (most, most + edge)):
        axes.axvspan(start, end, color=OUTSIDE, alpha=0.3, lw=0)
    axes.plot([], [], "s", color=OUTSIDE, alpha=0.4, markersize=10, label="outside the budget: never trained")


def _legend_of(axes: Axes, statuses: Sequence[str]) -> None:
    """A line in the legend for each kind of trial that is there."""
    if "finished" in statuses:
        axes.plot([], [], "o", color=SEARCH, markersize=8, label="trial, by its number")
    if "pruned" in statuses:
        axes.plot([], [], "o", color=SEARCH, markersize=8, markerfacecolor="white", label="stopped early")


def _confirmed(axes: Axes, winner: dict[str, Any] | None, trials: Sequence[dict[str, Any]]) -> None:
    """Mean and spread over seeds of the trials that were trained again; the winner is a star."""
    again = [trial for trial in trials if trial["stage"] == "confirm" and trial["score"] is not None]
    for number in dict.fromkeys(trial["of"] for trial in again):
        scores = [trial["score"] for trial in again if trial["of"] == number]
        size = next(trial["params"] for trial in again if trial["of"] == number)
        won = winner is not None and number == winner["trial"]
        axes.errorbar(
            size + SIDE, statistics.fmean(scores), yerr=statistics.stdev(scores) if len(scores) > 1 else None,
            fmt="*" if won else "D", color=CONFIRM, markersize=15 if won else 5, capsize=3,
            label=f"winner, trial {number}: mean and spread over {len(scores)} seeds" if won else None,
        )  # fmt: skip
    if len({trial["of"] for trial in again}) > 1:
        axes.plot([], [], "D", color=CONFIRM, markersize=5, label="trained again with other seeds")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python docs/pictures/search.py RUN PICTURE.png")
    name, picture = sys.argv[1:]
    draw(asked("status", "--run", name), asked("trials", "--run", name), Path(picture))
