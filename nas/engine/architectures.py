"""Architectures as people give them: a trial of a search, a member of a study, or a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, StrictInt, StrictStr, ValidationError

from nas.config import DataConfig, Recipe
from nas.errors import UsageError
from nas.files import at_home, read_file
from nas.plugins.record import Plugin
from nas.runs import SearchRun, StudyRun
from nas.runs.named import best_trial, find_member, load_named
from search_spaces import Sample, get_space

NO_IMAGES = "--data is missing: a Python program (nas.Searcher) trained this network. Give the images to train it on."


@dataclass(frozen=True)
class Architecture:
    """The architecture ``sample`` of ``space``; and of a run's the data and the recipe, with the most epochs."""

    space: str
    sample: Sample
    data: DataConfig | None = None
    recipe: Recipe | None = None
    mirrored_by_data: bool = False  # the data of the run decided whether images are mirrored
    plugins: tuple[Plugin, ...] = ()
    study: str = ""  # that it was trained in
    objective: str | None = None  # of that run


class _Content(BaseModel):
    """Required content of a file; it may hold more, as what ``nasctl show --json`` prints and a ``model.json`` do."""

    space: StrictStr
    sample: dict[str, StrictInt | StrictStr]
    training: Recipe | None = None  # as a run's would be taken along: what ``nasctl config`` writes of a study


def load_architecture(text: str, runs: Path) -> Architecture:
    """Architecture that ``--arch`` names: a JSON file or what would be in it, ``RUN:TRIAL``, ``STUDY:MEMBER``, or
    ``RUN``, its winner or the best so far.

    UsageError if there is none, with every error of a file's sample.
    """
    if text.lstrip().startswith("{"):
        return _read(text.strip(), text)
    path = at_home(text)
    if path.suffix == ".json" or (path.exists() and not path.is_dir()):
        try:
            return _read(text, read_file(path))
        except OSError as error:
            raise UsageError(f"--arch {text} cannot be read: {error.strerror or error}.") from error
    named = load_named(text, runs)
    named.run.use_plugins()
    return _trained(named.run, named.part) if isinstance(named.run, SearchRun) else _member(text, named.run, named.part)


def _trained(run: SearchRun, trial_id: str | None) -> Architecture:
    """Of a trial, or of the winner or best so far."""
    trial = run.trial(trial_id) if trial_id else best_trial(run)
    recipe = run.config.recipe.model_copy(update={"epochs": run.final_epochs})
    return _of_run(run, run.config.space, trial.sample, recipe)


def _member(text: str, run: StudyRun, part: str | None) -> Architecture:
    """Of a member of a baseline run, or of one of its trainings."""
    member, _ = find_member(run, part)
    if member.space is None:
        raise UsageError(
            f"--arch {text}: {member.name} trains the fixed network {member.network}, which is not an "
            "architecture of a "
            f"space: give --network {member.network} instead."
        )
    return _of_run(run, member.space, member.sample, member.recipe)


def _of_run(run: SearchRun | StudyRun, space: str, sample: Sample, recipe: Recipe) -> Architecture:
    config = run.config
    if run.is_foreign:  # what it was trained with is not known here, and what its scores are neither
        return Architecture(space, sample, config.data, plugins=config.plugins)
    study = run.config.study if isinstance(run, StudyRun) else ""
    return Architecture(
        space, sample, config.data, recipe, bool(run.facts.mirroring), config.plugins, study, config.objective
    )


def _read(text: str, content: str | bytes) -> Architecture:
    try:
        found = _Content.model_validate(json.loads(content))
        get_space(found.space).validate(found.sample)
    except UsageError as error:
        raise UsageError(*(f"--arch {text}: {message}" for message in error.messages)) from error
    except (ValidationError, ValueError, RecursionError) as error:
        raise UsageError(
            f'--arch {text} holds no architecture. It takes JSON: {{"space": NAME, "sample": {{LABEL: VALUE, ...}}}}, '
            "as 'nasctl show RUN:TRIAL --json > FILE' writes it."
        ) from error
    return Architecture(found.space, dict(found.sample), recipe=found.training)
