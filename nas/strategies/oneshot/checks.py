"""Checks of a one-shot search before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

from budgets import Budget
from budgets.usable import usable
from nas.config import SearchConfig
from nas.config.auto_recipe import images_per_epoch
from nas.config.recipe import default_batch_size
from nas.config.run import ONE_SHOT
from nas.errors import UsageError
from nas.strategies.oneshot.memory import check_memory, memory_need
from search_spaces import SearchSpace, Task
from search_spaces.errors import NotRepresentable


def check_plan(
    config: SearchConfig, space: SearchSpace, task: Task, budget: Budget, *, device: str, train_counts: Sequence[int]
) -> None:
    """UsageError if the space has no such supernet, naming the strategies it does have, or memory is too small.

    ``train_counts``: training images of each class.
    """
    batch_size = planned_batch_size(config, train_counts)
    try:
        check_memory(config, usable(space, task, budget), task, budget, device=device, batch_size=batch_size)
    except NotRepresentable as error:
        known = [name for name in ("evolution", "random", *ONE_SHOT) if _can(config, name, space, task, budget)]
        raise UsageError(
            f"--strategy {config.strategy} cannot search {space.name}: {error}. It can be searched with: "
            f"{', '.join(known)}."
        ) from error


def planned_batch_size(config: SearchConfig, train_counts: Sequence[int]) -> int:
    """The size of a training's batches, from the number of training images of each class."""
    return config.recipe.batch_size or default_batch_size(images_per_epoch(config.recipe, train_counts))


def _can(config: SearchConfig, strategy: str, space: SearchSpace, task: Task, budget: Budget) -> bool:
    if strategy not in ONE_SHOT:
        return True
    try:
        memory_need(config.model_copy(update={"strategy": strategy}), space, task, budget, device="cpu")
    except NotRepresentable:
        return False
    return True
