"""Trials as comma-separated rows, for spreadsheets and notebooks."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import TextIO

from baselines.verification import FARS
from nas.report.documents import Document, trial_document
from nas.runs import SearchRun, StudyRun, TrialRecord


def write_trials(run: SearchRun | StudyRun, trials: Sequence[TrialRecord], output: TextIO) -> None:
    """A heading and a row a trial: what its JSON has, ``sample.CHOICE`` of each choice, of a study's training also the
    network and ``recipe.SETTING`` of what differs between members, ``SPLIT.FIGURE`` of each metric; of metrics by class
    ``SPLIT.FIGURE.CLASS``. Empty: not there."""
    differs = differing(run) if isinstance(run, StudyRun) else ()
    headings = dict.fromkeys(name for trial in trials for name, _ in cells(run, trial, differs))
    writer = csv.DictWriter(output, list(headings), lineterminator="\n")
    writer.writeheader()
    for trial in trials:
        writer.writerow(dict(cells(run, trial, differs)))


def differing(run: StudyRun) -> list[str]:
    """Settings of the recipe in which members differ."""
    recipes = [member.recipe.model_dump(exclude={"name"}) for member in run.config.members]
    first = recipes[0] if recipes else {}  # none before a search has found the first
    return [name for name in first if any(recipe[name] != first[name] for recipe in recipes)]


def cells(run: SearchRun | StudyRun, trial: TrialRecord, differs: Sequence[str] = ()) -> Iterator[tuple[str, object]]:
    """A trial's row: heading and value of what it has."""
    document: Document = trial_document(run, trial)
    sample, metrics = document.pop("sample"), document.pop("metrics")
    yield from document.items()
    if isinstance(run, StudyRun):
        member = run.config.member(trial.of)
        yield "network", member.network
        yield "pretrained", bool(member.settings.get("weights"))
        yield from ((f"recipe.{name}", getattr(member.recipe, name)) for name in differs)
    yield from ((f"sample.{name}", value) for name, value in sample.items())
    for split, values in metrics.items():
        for name, metric in values.items():
            if isinstance(metric, list):
                of = FARS if name.startswith("verification_") else run.facts.classes
                yield from ((f"{split}.{name}.{c}", one) for c, one in zip(of, metric, strict=False))
            else:
                yield f"{split}.{name}", metric
