"""``nasctl lr-find``: a range test as it was asked for, planned and carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.config import Recipe, checked, raise_all
from nas.config.objectives import resolve_objective
from nas.config.recipe_rules import check_together, unknown_names
from nas.config.training_request import RateRequest
from nas.data import open_data
from nas.engine.learning_rate import tested, tested_as
from nas.engine.plan import mirrored_or_not
from nas.engine.single_images import single_image_errors
from nas.engine.study_plan import asked_data, counted
from nas.engine.training_plan import asked_network, own_recipe
from nas.errors import attempt
from nas.executors import plan_slots
from nas.plugins.installed import load_installed
from nas.runs.hints import RUNS
from search_spaces import Task

if TYPE_CHECKING:
    from nas.training.range_test import RangeTest

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FoundRate:
    """A range test's curve and suggestions, and what it was made with."""

    network: str  # in words
    params: int
    data: str
    images: int  # to train on
    recipe: Recipe
    test: RangeTest


def find_rate(
    request: RateRequest, *, runs: Path = RUNS, progress: Progress | None = None, on_step: Progress | None = None
) -> FoundRate:
    """Train the network that was asked for a step at each of growing rates; nothing is kept but the curve.

    UsageError with every error of the request, the data and the machine; TrialError if the network cannot be trained
    by the recipe.
    """
    errors: list[str] = []
    load_installed()
    asked = attempt(lambda: asked_network(request, runs, "lr-find"), errors)
    slots = attempt(lambda: plan_slots(request.device, 1, None, request.threads), errors)
    objective = attempt(lambda: resolve_objective(request.objective), errors)
    found = asked.arch.data if asked and asked.arch else None
    config = asked_data(request.data, found, {}, errors, hold_out=True)
    data = attempt(lambda: open_data(config, progress=progress), errors) if config else None
    raise_all(errors)
    assert asked and slots and objective and config and data
    base, told = own_recipe(request, asked, list(map(int, data.counts["train"])), objective)
    recipe = checked(Recipe, base | told, errors)
    errors += unknown_names(recipe) + check_together(recipe, told) if recipe else []
    raise_all(errors)
    assert recipe
    (recipe,), _ = mirrored_or_not([recipe], data, config)
    task = Task(data.input_shape, len(data.classes))
    member = asked.as_member("tested", recipe)
    raise_all(single_image_errors(member, task))
    facts = counted(member, task)
    test = tested(tested_as(member, task, config, request.seed), slots[0], on_step=on_step)
    return FoundRate(facts.text, facts.cost.params, data.name, sum(data.counts["train"]), recipe, test)
