"""Initial architectures of a search: those to train first, and what another search found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from budgets import Budget, cost_of
from nas.config import SearchConfig
from nas.engine.architectures import load_architecture
from nas.errors import UsageError
from nas.files import at_home, read_file
from nas.runs import as_search
from nas.runs.named import load_named
from search_spaces import Sample, SearchSpace, Task

Learned = tuple[tuple[Sample, float | None], ...]  # samples and scores; None: the training failed


def samples_of(text: str, runs: Path, space: str) -> list[Sample]:
    """Samples that ``--first`` names: a JSON file with a sample of ``space``, or an object that has one, or a list of
    these; or what would be in it; or ``RUN:TRIAL``. UsageError if there is none, or it is of another space."""
    if not text.lstrip().startswith(("{", "[")):
        path = at_home(text)
        if path.suffix != ".json" and not path.is_file():
            return [_named(text, runs, space)]
        try:
            text = read_file(path).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--first {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--first {text[:60]} is no JSON: {error}.") from error
    return [_sample(each, space) for each in (whole if isinstance(whole, list) else [whole])]


def _named(text: str, runs: Path, space: str) -> Sample:
    try:
        found = load_architecture(text, runs)
        return _sample({"space": found.space, "sample": found.sample}, space)
    except UsageError as error:
        raise UsageError(*(message.replace("--arch", "--first") for message in error.messages)) from error


def _sample(found: Any, space: str) -> Sample:
    inner = found.get("sample", found) if isinstance(found, dict) else None
    if not isinstance(inner, dict) or not all(isinstance(value, int | str) for value in inner.values()):
        raise UsageError(
            "--first takes architectures as JSON: {LABEL: VALUE, ...}, an object that has one as its sample, "
            "as 'nasctl show "
            "RUN:TRIAL --json' writes it, or a list of these."
        )
    if inner is not found and found.get("space", space) != space:
        raise UsageError(f"--first names an architecture of {found['space']}, and the search is of {space}.")
    return dict(inner)


def first_errors(first: tuple[Sample, ...], space: SearchSpace, task: Task, budget: Budget) -> list[str]:
    """Errors of samples that are to be trained first: they may be of another space, or not fit."""
    errors = []
    for number, sample in enumerate(first, start=1):
        try:
            violations = budget.violations(cost_of(space, sample, task))
        except UsageError as error:
            errors += [f"--first, architecture {number}: {message}" for message in error.messages]
            continue
        errors += [f"--first, architecture {number}: {violation}." for violation in violations]
    return errors


def learned_from(config: SearchConfig, space: SearchSpace) -> Learned:
    """Trials that ``--learn-from`` names: those of another search of the space whose samples are in what is searched.
    RunError if there is no such run, UsageError if it is of another space or has nothing to tell."""
    if config.learn_from is None:
        return ()
    run = as_search(load_named(config.learn_from).run)
    if run.config.space != config.space:
        raise UsageError(
            f"--learn-from {config.learn_from} searched {run.config.space}, not {config.space}: give a run of the same "
            "space."
        )
    known = {choice.label: set(choice.values) for choice in space.choices}
    found = tuple(
        (trial.sample, None if trial.status == "failed" else trial.score_so_far(run.config.objective))
        for trial in run.stage("search")
        if trial.status != "running"
        and trial.sample.keys() == known.keys()
        and all(value in known[label] for label, value in trial.sample.items())
    )
    if len({score for _, score in found}) < 2:
        raise UsageError(
            f"--learn-from {config.learn_from} cannot be learned from: no two of its trials in this space have "
            "different scores. Give another run, or leave it out."
        )
    return found
