"""A supernet small enough to train in a test."""

from __future__ import annotations

from typing import Any

from small_spaces import trimmed

from budgets import Budget
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig, SupernetConfig
from nas.data import DataConfig
from nas.strategies.oneshot.batches import Images
from nas.strategies.oneshot.training import SupernetTraining
from search_spaces import Task

TASK = Task((1, 8, 8), 10)
BUDGET = Budget(max_params=4_000, min_params=2_000)


def config(**changes: Any) -> SearchConfig:
    supernet = SupernetConfig(**{"epochs": 2, "warm_up": 0.5, "candidates": 4, **changes.pop("supernet", {})})
    values = {
        "space": "vgg", "budget": Budget(max_params=4_000), "data": DataConfig(), "strategy": "darts",
        "recipe": Recipe(epochs=2, batch_size=64), "supernet": supernet,
    }  # fmt: skip
    return SearchConfig(**(values | changes))


def made(space: str = "vgg", **changes: Any) -> SupernetTraining:
    chosen = config(**changes)
    return SupernetTraining(chosen, trimmed(space, 4), TASK, BUDGET, Images.of(chosen, 10, "cpu"))
