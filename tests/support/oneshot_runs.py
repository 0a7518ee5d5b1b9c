"""Runs of one-shot searches in a small space that no registry holds: only their first stage, in this process.

As a program: ``python oneshot_runs.py FOLDER`` starts the run in FOLDER and kills itself within the third epoch.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small_spaces import trimmed

from budgets import Budget
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig, SupernetConfig
from nas.data import DataConfig, open_data
from nas.engine.plan import Plan, start
from nas.runs import EventLog, Journal, Listener, Run, SearchRun, as_search
from nas.runs import run as runs_module
from nas.runs.events import Event, SupernetProgress
from nas.runs.fold import fold
from nas.strategies.oneshot import stage
from search_spaces import Task

SPACE = trimmed("vgg", 2)
TASK = Task((1, 8, 8), 10)
BUDGET = Budget(max_params=3_000, min_params=1_500)

EPOCHS = 4
RECIPE = Recipe(epochs=2, batch_size=128)
FEW = DataConfig(imbalance=20)  # 341 training images instead of 1,079


def begin(folder: Path, **changes: Any) -> EventLog:
    """A new run that searches ``SPACE`` under ``BUDGET`` on the digits."""
    data = open_data(FEW)
    supernet = SupernetConfig(**{"epochs": EPOCHS, "candidates": 4, **changes.pop("supernet", {})})
    values = {
        "space": "vgg", "budget": Budget(max_params=3_000), "data": FEW, "strategy": "gumbel-darts",
        "recipe": RECIPE, "supernet": supernet, "trials": 2, "confirm": 0,
    }  # fmt: skip
    config = SearchConfig(**(values | changes))
    return start(Plan(config, SPACE, TASK, BUDGET, "", data.classes, [], data.counts, data.name, data.key), folder)


def find(store: EventLog, listeners: Sequence[Listener] = ()) -> SearchRun:
    """Train the supernet of the run, or continue; the run afterwards."""
    run = as_search(fold(store.folder, store.entries()))
    stage.find_candidates(Journal(run, store, listeners), "cpu")
    return run


def use_small_space() -> None:
    """Let runs find ``SPACE`` under the name of the whole one."""
    runs_module.get_space = lambda name: SPACE  # type: ignore[assignment]


def killed_in_third_epoch(event: Event, run: Run) -> None:
    """A listener that kills this process between two steps."""
    if isinstance(event, SupernetProgress) and (event.epoch, event.steps) == (3, 1):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    use_small_space()
    stage.TELL_EVERY = 0.0  # each step
    with begin(Path(sys.argv[1])) as opened:
        find(opened, [killed_in_third_epoch])
