"""A search that is checked and not yet begun: data opened, budget resolved, devices found, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from budgets import Budget
from budgets.sampling import resolve_budget
from nas.autotune import Placement
from nas.config import DataConfig, Recipe, SearchConfig, raise_all
from nas.config.auto_recipe import LEAST_EPOCHS, resolve_recipe
from nas.config.objectives import resolve_objective
from nas.config.recipe_rules import unknown_names
from nas.config.run import MemberConfig
from nas.data import Dataset, open_data
from nas.data.dataset import counts_by_split
from nas.data.mirrors import mirroring
from nas.engine.known import Learned, first_errors, learned_from
from nas.engine.learning_rate import found_rate, tested_as
from nas.engine.single_images import single_image_errors
from nas.engine.verification import verification_errors
from nas.errors import RunError, UsageError, attempt
from nas.executors import WorkerSlot, plan_slots
from nas.executors.devices import recorded_threads
from nas.plugins.installed import load_installed
from nas.plugins.loading import with_loaded
from nas.runs import EventLog, Run
from nas.runs.events import SearchFacts
from nas.runs.folders import start_search
from nas.runs.hints import loaded
from nas.strategies import get_strategy
from search_spaces import SearchSpace, Task, get_space
from search_spaces.restriction import restricted


@dataclass(frozen=True)
class Plan:
    """Plan of a search before the first trial: everything here is checked, and nothing is written yet."""

    config: SearchConfig
    space: SearchSpace
    task: Task
    budget: Budget
    note: str  # what was resolved about the budget
    classes: tuple[str, ...]
    slots: list[WorkerSlot]
    counts: dict[str, list[int]]
    data_name: str
    data_key: str  # of the images and their splits
    data_remarks: tuple[str, ...] = ()  # what should be known of how they were read
    placement: Placement | None = None  # how trials run, where that was measured (see ``nas.engine.placement``)
    recipe_note: str = ""  # what was chosen from the data, or does not suit them
    levels: tuple[float, float] | None = None  # of images deeper than 8 bits
    mirroring: str = ""  # why images are mirrored in training or not, if the data decided
    trial_seconds: float | None = None  # that a trial takes on average, if that was measured
    learned: Learned = ()  # what another search found


def plan_search(config: SearchConfig, *, progress: Callable[[int, int], None] | None = None) -> Plan:
    """Open the data, resolve the budget, find the devices. UsageError with every error found."""
    load_installed()
    config = config.model_copy(update={"plugins": with_loaded(config.plugins)})
    errors = unknown_names(config.recipe)
    space = attempt(lambda: restricted(get_space(config.space), config.restrict), errors)
    attempt(lambda: get_strategy(config.strategy), errors)
    objective = attempt(lambda: resolve_objective(config.objective), errors)
    slots = attempt(lambda: plan_slots(config.device, config.workers, config.trials_per_gpu, config.threads), errors)
    data = attempt(lambda: open_data(config.data, progress=progress), errors)
    has_head = not config.budget.without_head
    task = attempt(lambda: Task(data.input_shape, len(data.classes), has_head), errors) if data else None
    fitted = attempt(lambda: resolve_budget(space, task, config.budget), errors) if space and task else None
    if errors:
        raise UsageError(*errors)
    assert space and task and fitted and slots and data and objective
    budget, note = fitted
    errors += verification_errors(objective, data, supernet=config.strategy if config.one_shot else None)
    errors += first_errors(config.first, space, task, budget)
    learned = attempt(lambda: learned_from(config, space), errors)
    if errors:
        raise UsageError(*errors)
    recipe, recipe_note = resolve_recipe(config.recipe, list(map(int, data.counts["train"])), objective)
    (recipe,), why_mirrored = mirrored_or_not([recipe], data, config.data)
    canonical = dict((space.whole or space).canonical)
    member = MemberConfig(name="canonical", label="", recipe=recipe, space=space.name, sample=canonical)
    raise_all(single_image_errors(member, task))
    if recipe.rate_to_find:
        recipe, words = found_rate(tested_as(member, task, config.data), slots[0])
        recipe_note = "; ".join(filter(None, [recipe_note, f"{words}, with the space's canonical network"]))
    told = "epochs" in config.recipe.model_fields_set
    is_open = not told and config.confirm_epochs is None and config.time_limit is None
    lengthen = is_open and config.confirm > 0 and recipe.epochs > LEAST_EPOCHS
    config = config.model_copy(update={"recipe": recipe, "lengthen": lengthen, "objective": objective})
    if not told:
        config = config.with_length(config.confirm_epochs or recipe.epochs)
    if config.one_shot:
        from nas.strategies.oneshot.checks import check_plan

        check_plan(config, space, task, budget, device=slots[0].device, train_counts=data.counts["train"])
    return Plan(
        config, space, task, budget, note, data.classes, slots, counts_by_split(data), data.name, data.key,
        data.remarks, recipe_note=recipe_note, levels=data.levels, mirroring=why_mirrored, learned=learned or (),
    )  # fmt: skip


def start(plan: Plan, folder: Path) -> EventLog:
    """Create the run's folder and log. RunError if the run exists or its folder cannot be made."""
    return start_search(folder, plan.config, facts_of(plan))


def facts_of(plan: Plan) -> SearchFacts:
    """Facts that a run which follows ``plan`` records of it."""
    return SearchFacts(
        input_shape=plan.task.input_shape,
        classes=plan.classes,
        budget=plan.budget,
        note=plan.note,
        counts=plan.counts,
        data_name=plan.data_name,
        data_key=plan.data_key,
        data_remarks=plan.data_remarks,
        threads=recorded_threads(plan.slots),
        population=plan.config.population,
        placement=plan.placement,
        recipe_note=plan.recipe_note,
        levels=plan.levels,
        mirroring=plan.mirroring,
        trial_seconds=plan.trial_seconds,
        learned=plan.learned,
    )


def mirrored_or_not(recipes: Sequence[Recipe], data: Dataset, config: DataConfig) -> tuple[list[Recipe], str]:
    """Recipes that say whether images are mirrored, and why, if one of them left that to the data."""
    if all(recipe.flip is not None for recipe in recipes):
        return list(recipes), ""
    flip, why = mirroring(data, config.source)
    return [recipe.model_copy(update={"flip": flip}) if recipe.flip is None else recipe for recipe in recipes], why


def check_data(run: Run, *, progress: Callable[[int, int], None] | None = None) -> None:
    """RunError if the data of a recorded run are not what they were, DataError if they cannot be read."""
    if run.is_foreign:
        raise RunError(
            f"A Python program (nas.Searcher) trains the trials of run {run.name!r}. To resume it there: "
            f"{loaded(run.folder)}"
        )
    run.use_plugins()
    data = open_data(run.config.data, progress=progress)
    if data.key != run.facts.data_key or tuple(data.classes) != run.facts.classes:
        raise RunError(
            f"The data {run.config.data.source} changed since run {run.name!r} began: its trials would be ranked on "
            "other images. Put the data back as they were, or start a new run."
        )
    if counts_by_split(data) != run.facts.counts:
        raise RunError(
            f"The data {run.config.data.source} are what they were when run {run.name!r} began, but this version of "
            "nasctl splits them differently from the version that began it: its trials would be ranked on "
            "other images. Use "
            f"that version ({run.versions.get('nasctl', 'unknown')}), or start a new run."
        )
