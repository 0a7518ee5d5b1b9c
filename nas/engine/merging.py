"""Runs of one study, each of some of its members, joined into one run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from baselines import get_network
from baselines.registry import SMALL
from baselines.studies import STUDIES, get_study
from nas.config import Recipe, StudyConfig, raise_all
from nas.config.run import MemberConfig
from nas.config.training_request import STUDY as TRAINING
from nas.engine.study_plan import RECIPE_SETTINGS
from nas.errors import RunError
from nas.files import new_folder
from nas.runs import EventLog, StudyRun
from nas.runs.events import Event, Noted, StudyEnded, StudyFacts, StudyStarted, TrialEnded, TrialSubmitted
from nas.runs.folders import PARTS, read_run
from nas.runs.log import read_log

OF_THE_MACHINE = {  # in what the runs may differ
    "workers", "trials_per_gpu", "device", "threads", "time_limit", "trial_timeout", "profile", "report", "plugins",
}  # fmt: skip


def merge(runs: Sequence[StudyRun], folder: Path) -> StudyRun:
    """Join ``runs`` into a new run in ``folder``: their members in the study's order, the trainings that finished with
    their histories, logs and weights. The runs themselves stay as they are.

    A member or training that several have is taken from the first. What is missing can be trained: the new run is
    resumed as any other. It appears whole or not at all.

    Raises:
        UsageError: If the runs are not of one study with equal data and settings, with every error.
        RunError: If the folder cannot be made, or a log cannot be read.
    """
    raise_all(list(_errors(runs)))
    members = _members(runs)
    first = runs[0]
    config = first.config.model_copy(update={"members": tuple(members.values())})
    event = StudyStarted(config, _facts(runs, config), first.versions)
    try:
        with new_folder(folder) as outer:  # which is locked until it has its name, and the log locks its own too
            new = outer / "run"
            for place in (new, *(new / name for name in PARTS)):
                place.mkdir()
            log = EventLog(new, event)
            try:
                taken = _record(log, runs, config)
            finally:
                log.close()
            for run, trainings in zip(runs, taken, strict=True):
                for training in trainings:
                    _take_files(run.folder, training, new)
            for path in list(new.iterdir()):
                path.rename(outer / path.name)
            new.rmdir()
    except OSError as error:
        raise RunError(
            f"The merged run {folder} could not be written ({error.strerror or error}), and nothing of it is left. "
            "Make room on the disk, or choose another --run or --runs."
        ) from error
    merged = read_run(folder)
    assert isinstance(merged, StudyRun)
    return merged


def _errors(runs: Sequence[StudyRun]) -> Iterator[str]:
    if len(runs) < 2:
        yield "To merge takes two runs or more: nasctl baseline merge RUN RUN..."
    if twice := sorted({run.name for run in runs if sum(run.folder == other.folder for other in runs) > 1}):
        yield f"{', '.join(twice)} is named twice: name every run once."
    for run in runs:
        if error := _misfit(run, runs[0]):
            yield error
    known = dict[str, tuple[str, MemberConfig]]()
    for run in runs:
        for member in run.config.members:
            other, as_there = known.setdefault(member.name, (run.name, member))
            if _as_trained(as_there) != _as_trained(member) and run.config.study == runs[0].config.study:
                yield f"{member.name} is trained differently in {run.name} and {other}."


def _misfit(run: StudyRun, first: StudyRun) -> str | None:
    """Reason why a run cannot be joined to the first."""
    if run.state == "running":
        return f"{run.name} is running: wait until it has ended, or stop it."
    if run.config.study == TRAINING or run.config.searches:
        return f"{run.name} is no study of fixed members: only such runs can be merged."
    if run.config.study != first.config.study:
        return f"{run.name} is of the study {run.config.study}, and {first.name} of {first.config.study}."
    if (run.facts.data_key, run.facts.counts) != (first.facts.data_key, first.facts.counts):
        return f"{run.name} and {first.name} have other images or splits: give runs on the same data."
    mine, theirs = _typed(run), _typed(first)
    typed = [name for name in mine.keys() | theirs.keys() if name in RECIPE_SETTINGS or name in mine.keys() & theirs]
    apart = sorted(name for name in typed if mine.get(name) != theirs.get(name))
    if differing := _differing(run.config, first.config) + apart:
        return f"{run.name} and {first.name} differ in {', '.join(differing)}: give runs of equal settings."
    return None


def _as_trained(member: MemberConfig) -> MemberConfig:
    """The same wherever its file of weights lies, whose SHA-256 it has."""
    settings = {name: value for name, value in member.settings.items() if name != "weights"}
    return member.model_copy(update={"settings": settings})


def _typed(run: StudyRun) -> dict[str, object]:
    """Settings of trainings that are not those of the study and its networks, and what fixed networks are made with."""
    study, is_large = get_study(run.config.study), sum(run.facts.counts["train"]) >= SMALL
    members, found = {member.name: member for member in study.members}, dict[str, object]()
    for config in run.config.members:
        if config.network is None or config.name not in members:
            continue
        member, kind = members[config.name], get_network(config.network)
        lengths = member.recipe_when_large if is_large else {}
        usual = {**kind.recipe, **({} if is_large else kind.recipe_when_small), **study.recipe, **lengths}
        usual |= member.recipe
        for name in RECIPE_SETTINGS:
            value = getattr(config.recipe, name)
            if value != usual.get(name, Recipe.model_fields[name].default):
                found[name] = value
        begun = ("input_size", *(["weights_sha256"] if "weights_sha256" in config.settings else []))
        found |= {f"{name} of {config.network}": config.settings.get(name) for name in begun}
    return found


def _differing(one: StudyConfig, other: StudyConfig) -> list[str]:
    mine, theirs = (config.model_dump(exclude={*OF_THE_MACHINE, "members", "keep", "data"}) for config in (one, other))
    return [name for name in mine if mine[name] != theirs[name]]


def _members(runs: Sequence[StudyRun]) -> dict[str, MemberConfig]:
    """By name, in the study's order."""
    found = {member.name: member for run in reversed(runs) for member in run.config.members}
    study = STUDIES.get(runs[0].config.study)
    order = {member.name: place for place, member in enumerate(study.members)} if study else {}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def _facts(runs: Sequence[StudyRun], config: StudyConfig) -> StudyFacts:
    facts = {name: one for run in reversed(runs) for name, one in run.facts.members.items()}
    expected = [run.facts.seconds for run in runs]
    return replace(
        runs[0].facts, members={member.name: facts[member.name] for member in config.members},
        seconds=sum(filter(None, expected)) if all(expected) else None,
    )  # fmt: skip


def _record(log: EventLog, runs: Sequence[StudyRun], config: StudyConfig) -> list[set[str]]:
    """Write the trainings that finished, run after run, and the end if all did; which were taken from each run."""
    taken, before, by_run = set[str](), 0.0, list[set[str]]()
    for run in runs:
        last = 0.0
        for event, last in _trainings(run, taken):
            log.append(event, elapsed=before + last)
        before += max(last, run.elapsed)
        by_run.append({trial.id for trial in run.stage("study") if trial.status == "finished"} - taken)
        taken |= by_run[-1]
    versions = {tuple(sorted(run.versions.items())) for run in runs}
    words = f"merged from {', '.join(run.name for run in runs)}"
    log.append(Noted(words + (", of several versions of programs" if len(versions) > 1 else "")), elapsed=before)
    wanted = {f"{member.name}.{number}" for member in config.members for number in range(1, config.seeds + 1)}
    if wanted <= taken:
        log.append(StudyEnded(), elapsed=before)
    return by_run


def _trainings(run: StudyRun, taken: set[str]) -> Iterator[tuple[Event, float]]:
    """Events of a run's finished trainings that are not ``taken``, with the seconds by then."""
    wanted = {trial.id: trial.result_number for trial in run.stage("study")
              if trial.status == "finished" and trial.id not in taken}  # fmt: skip
    submitted = dict[str, TrialSubmitted]()
    for entry in read_log(run.folder, histories=True):
        match entry.event:
            case TrialSubmitted(id=trial) as event:
                submitted[trial] = event
            case TrialEnded(result) as event if wanted.get(result.id) == entry.number:
                yield submitted[result.id], entry.elapsed - result.seconds
                yield event, entry.elapsed


def _take_files(source: Path, training: str, target: Path) -> None:
    """Copy the files of a training, and link its weights, which are replaced and never changed."""
    for path in (Path("logs", f"{training}.txt"), Path("tensorboard", training)):
        if (source / path).is_dir():
            shutil.copytree(source / path, target / path)
        elif (source / path).is_file():
            shutil.copy2(source / path, target / path)
    weights = Path("weights", f"{training}.safetensors")
    if (source / weights).is_file():
        try:
            os.link(source / weights, target / weights)
        except OSError:
            shutil.copy2(source / weights, target / weights)
