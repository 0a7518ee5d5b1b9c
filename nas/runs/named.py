"""Runs and their parts as people name them: ``RUN``, ``RUN:TRIAL``, and of a baseline run ``RUN:MEMBER`` (all its
seeds) or ``RUN:MEMBER.SEED`` (one training)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.config.run import MemberConfig
from nas.errors import RunError, UsageError, attempt, nearest
from nas.runs.folders import SEARCHES, load_run
from nas.runs.hints import RUNS, typed
from nas.runs.run import SearchRun
from nas.runs.study_run import StudyRun
from nas.runs.trial_record import TrialRecord, seed_number


@dataclass(frozen=True)
class Named:
    """A run, and what of it was named: a trial, or a member or training of a baseline run; None: the whole run.

    Whether there is such a part is for its reader to find out.
    """

    run: SearchRun | StudyRun
    part: str | None = None

    @property
    def text(self) -> str:
        """As one types it."""
        return self.run.name if self.part is None else f"{self.run.name}:{self.part}"


def split_name(text: str) -> tuple[str, str | None]:
    """The run and the part that ``text`` names; a run's folder may have a colon in its path."""
    run, colon, part = text.rpartition(":")
    return (run, part or None) if colon and "/" not in part else (text, None)


def load_named(text: str, runs: Path = RUNS) -> Named:
    """The run of ``RUN`` or ``RUN:PART``. RunError names the nearest."""
    run, part = split_name(text)
    return Named(load_run(run, runs), part)


def one_name(position: str | None, option: str | None) -> str | None:
    """Name given by its position or by --run, None if neither was given. UsageError if they differ."""
    if position is not None and option is not None and position != option:
        raise UsageError(f"{position} names a run, and --run {option} another: leave out one of them.")
    return option if position is None else position


def load_whole(name: str | None, command: str, runs: Path = RUNS) -> SearchRun | StudyRun:
    """As ``load_run``. UsageError for a part of a run: ``command`` is about whole ones."""
    part = None if name is None else split_name(name)[1]
    try:
        return load_run(name, runs)
    except RunError:
        if name is None or part is None:
            raise
        folder = load_named(name, runs).run.folder
    raise UsageError(
        f"{name} names a part of a run, and this command is about whole runs: {typed(command, folder)}. For the part: "
        f"{typed('show', folder, part)}"
    )


def load_part(text: str | None, run: str | None, runs: Path = RUNS) -> Named:
    """As ``RUN:PART``, or only the part, of ``run`` (None: of the newest); a run alone, or nothing, is a whole run.

    UsageError if two runs are named.
    """
    if text is None:
        return Named(load_run(None, runs)) if run is None else load_named(run, runs)
    named, part = split_name(text)
    if part is not None:
        if run not in (None, named, text):
            raise UsageError(f"{text} names a run, and --run {run} another: leave out one of them.")
        return Named(load_run(named, runs), part)
    if text.endswith(":"):
        raise UsageError(f"{text} names no part: write RUN:TRIAL, of a baseline run RUN:MEMBER, or RUN alone.")
    if run is not None:
        return Named(load_run(run, runs), text)
    newest = attempt(lambda: load_run(None, runs), [])
    if newest is not None and has_part(newest, text):
        return Named(newest, text)
    whole = attempt(lambda: load_run(text, runs), [])
    return Named(load_run(None, runs), text) if whole is None else Named(whole)


def has_part(run: SearchRun | StudyRun, part: str) -> bool:
    """True if ``part`` is a trial of ``run``, or a member."""
    return part in run.trials or (isinstance(run, StudyRun) and part in [m.name for m in run.config.members])


def best_trial(run: SearchRun) -> TrialRecord:
    """The winner, before there is one the best trial so far. RunError if none finished."""
    if run.winner is None and not run.num_ranked:
        raise RunError(f"Run {run.name!r} has no finished trial yet: {typed('status', run.folder)}")
    return run.trials[run.winner.trial] if run.winner else run.best(1)[0]


def find_member(run: StudyRun, part: str | None) -> tuple[MemberConfig, TrialRecord | None]:
    """The member that ``part`` names, and its one training if that was named; for None the only member that others do
    not learn from.

    UsageError names all members if one has to be chosen, RunError the nearest if there is none such.
    """
    names = [member.name for member in run.config.members]
    learners = [member for member in run.config.members if member.name not in run.config.teachers]
    if part is None and len(learners) == 1:
        return learners[0], None
    if part is None:
        raise UsageError(
            f"Run {run.name!r} trained {len(names)} members: say which, as {run.name}:{names[0]}. Members: "
            f"{', '.join(names)}."
        )
    if part in run.trials:
        return run.config.member(run.trials[part].of), run.trials[part]
    if part in names:
        return run.config.member(part), None
    member, _, seed = part.rpartition(".")
    if member in names and seed in map(str, range(1, run.config.seeds + 1)):
        raise RunError(f"Training {part} of run {run.name!r} has not started yet: {typed('status --run', run.folder)}")
    if member in names:
        raise RunError(f"Run {run.name!r} trains {member} with seeds 1 to {run.config.seeds}: it has no {part}.")
    for search in run.searches_left:
        if {part, member} & {awaited.name for awaited in search.members}:
            raise RunError(
                f"{part} of run {run.name!r} is trained when the search under {search.name}'s size is done: "
                f"{typed('status --run', run.folder / SEARCHES / search.name)}"
            )
    raise RunError(
        f"Run {run.name!r} has no member or training {part!r}.{nearest(part, [*names, *run.trials])} "
        f"Members: {', '.join(names)}."
    )


def best_first(run: StudyRun, member: str) -> list[TrialRecord]:
    """The finished trainings of a member, the best on rank first. Where no image was held out, rank was trained on and
    may choose nothing: then by the number of the seed."""
    trials = [trial for trial in run.ranked() if trial.of == member]
    return trials if run.config.data.hold_out else sorted(trials, key=lambda trial: seed_number(trial.id))
