"""The settings of a long training as TOML: the architecture itself, the recipe, and what else was told.

What is written is planned again and compared with the log before it is handed over.
"""

from __future__ import annotations

import json

from nas import __version__
from nas.api.settings import training_request
from nas.cli.declared import ORDER_OF_TRAINING
from nas.cli.flags import in_order
from nas.cli.written_settings import (
    FLAG_OF,
    Value,
    as_file,
    as_typed,
    differing,
    plugins_of,
    recipe_settings,
    remark_on_repeating,
)
from nas.config import Recipe
from nas.config.run import MemberConfig
from nas.config.settings import default_of, settings_of, value_of, written
from nas.config.training_request import AUTO_TEACHER, TrainingRequest
from nas.engine.study_plan import RUN_SETTINGS
from nas.engine.training_plan import plan_training
from nas.errors import RunError
from nas.runs import StudyRun

TRAINING = settings_of(TrainingRequest)


def training_text(run: StudyRun) -> str:
    """A file for ``nasctl train --config`` that makes ``run`` again. UsageError if its data or teachers cannot be had
    to check that, RunError if flags cannot say how it was made."""
    run.use_plugins()
    own, named = _settings(run), recipe_settings(_learner(run).recipe, lengthened=False)
    for recipe in ({}, named) if _learner(run).network else (named,):  # a fixed network has a recipe of its own
        settings, other = _completed(run, own | recipe)
        if not other:
            break
    if other:
        raise RunError(f"Run {run.name!r} was not made by flags alone: no flag sets {', '.join(other)}.")
    parts = {flag: TRAINING[flag].path[0] for flag in settings}
    ordered = {flag: settings[flag] for flag in in_order(parts, ORDER_OF_TRAINING.split())}
    head = (
        f"The settings of the training {run.name}, by nasctl {run.versions.get('nasctl', __version__)}.",
        "Settings that are not here have their defaults. To repeat the run: nasctl train --config FILE",
    )
    return as_file(head, plugins_of(run.config) | ordered, remark_on_repeating(run.config))


def _completed(run: StudyRun, settings: dict[str, Value]) -> tuple[dict[str, Value], list[str]]:
    """``settings`` with what a preset, or the data, would choose otherwise; and what still differs from the run."""
    again = _planned(run, settings)
    recipe = _learner(run).recipe
    for name in Recipe.model_fields:
        if name in FLAG_OF and (value := getattr(recipe, name)) != getattr(again.recipe, name):
            settings = settings | {FLAG_OF[name]: value}
    return settings, differing(_learner(run).model_dump(), _planned(run, settings).model_dump())


def _learner(run: StudyRun) -> MemberConfig:
    return next(member for member in run.config.members if member.name not in run.config.teachers)


def _settings(run: StudyRun) -> dict[str, Value]:
    """By the names of flags."""
    config, member = run.config, _learner(run)
    found: dict[str, Value] = {"seeds": config.seeds}
    for flag, given in TRAINING.items():
        if given.path[0] in (*RUN_SETTINGS, "data"):
            is_told = flag == "data" or value_of(given, config) != default_of(given, TrainingRequest)
            if is_told and (value := written(given, config)) is not None:
                found[flag] = value
    if member.network:
        found["network"] = member.network
    else:
        found["arch"] = json.dumps({"space": member.space, "sample": member.sample})
    if not config.data.hold_out:
        found["hold_out"] = False
    if teaching := member.teaching:
        found["teacher"] = AUTO_TEACHER if teaching.member else ",".join(t.name for t in teaching.teachers)
        found |= {"teacher_weight": teaching.weight, "temperature": teaching.temperature}
    return found


def _planned(run: StudyRun, settings: dict[str, Value]) -> MemberConfig:
    """The member that these settings would train, under the name and label that it has here."""
    plan = plan_training(training_request(as_typed(settings, TrainingRequest)), runs=run.folder.parent)
    return next(member for member in plan.config.members if member.name not in plan.config.teachers)
