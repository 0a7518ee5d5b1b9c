"""Carrying out a study: its trainings are listed beforehand, so continuing after a kill is training what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nas.config.run import StudySearch
from nas.engine.advice import resume_command_after
from nas.engine.runner import OpenExecutor, TrialRunner
from nas.engine.session import session
from nas.errors import SearchStopped
from nas.executors import WorkerSlot
from nas.runs import EventLog, Journal, Listener, SearchRun, StudyRun
from nas.runs.events import ArchitectureFound, StudyEnded, StudySearchBegins, TrialSubmitted
from nas.runs.folders import SEARCHES, read_run, run_folders
from nas.runs.hints import typed
from nas.stopwatch import OFF, Watch
from nas.trials.spec import derived_seed
from nas.units import counted


def run_study(
    run: StudyRun,
    log: EventLog,
    slots: Sequence[WorkerSlot],
    listeners: Sequence[Listener],
    open_executor: OpenExecutor,
    *,
    find: Callable[[StudySearch, float | None], SearchRun] | None = None,
    watch: Watch = OFF,
) -> StudyRun:
    """Carry out, or resume, the study in ``log``; ``run``, which is what it says, as it then stands.

    ``find`` carries out one of its searches, or resumes it, in the seconds that are left if time is limited; it is
    needed where there are any. What these find is trained with the other members.
    Every training is a finished fixed recipe of its own and nothing is chosen between them, so each is scored on
    the test split once, at its end. Raises SearchStopped if some failed, after the others were trained, or after
    too many in a row; trainings that failed start again when the run is resumed. A KeyboardInterrupt passes
    through after workers are ended.
    """
    if run.is_done:
        return run
    journal = Journal(run, log, listeners, watch=watch)
    with session(journal, len(slots)):
        for search in run.searches_left:
            assert find is not None
            if (left := _seconds_left(journal)) is not None and left <= 0:
                break
            journal.tell(StudySearchBegins(search.name))
            _take(journal, search, find(search, left))
        with open_executor(slots) as executor:
            watch.switch("rest")
            runner = TrialRunner(journal, executor)
            runner.train([event for event in _missing(run) if run.teacher_of(event.id) is None])
            runner.train([event for event in _missing(run) if _has_teacher(run, event.id)])
        _end(journal, out_of_time=runner.is_out_of_time())
    return run


def _seconds_left(journal: Journal[StudyRun]) -> float | None:
    """None without a limit. A kill in a search loses the study's own time since then, but not the search's."""
    limit, runs = journal.run.config.time_limit, journal.run.folder / SEARCHES
    if limit is None:
        return None
    return limit - max(journal.log.elapsed, sum(read_run(folder).elapsed for folder in run_folders(runs)))


def _take(journal: Journal[StudyRun], search: StudySearch, done: SearchRun) -> None:
    """Record what a search found; its members are trained from now on."""
    assert done.winner is not None
    trial = done.trials[done.winner.trial]
    text = done.text(trial.sample)
    journal.append(
        ArchitectureFound(
            search=search.name, trial=trial.id, sample=trial.sample, cost=trial.cost, text=text,
            architecture=trial.architecture,
        )
    )  # fmt: skip


def _missing(run: StudyRun) -> Iterator[TrialSubmitted]:
    """Every training that has not finished; those of the first seed of every member first.

    A seed depends on its number alone: the members of a study are compared seed by seed.
    """
    for number in range(1, run.config.seeds + 1):
        for member in run.config.members:
            trial_id, facts = f"{member.name}.{number}", run.facts.members[member.name]
            known = run.trials.get(trial_id)
            if known is None or known.status != "finished":
                yield TrialSubmitted(
                    id=trial_id,
                    stage="study",
                    of=member.name,
                    architecture=facts.architecture,
                    sample=member.sample,
                    cost=facts.cost,
                    seed=derived_seed(run.config.seed, f"seed {number}"),
                )


def _has_teacher(run: StudyRun, trial_id: str) -> bool:
    """True if a training learns from another one of the study, which has finished."""
    teacher = run.trials.get(run.teacher_of(trial_id) or "")
    return teacher is not None and teacher.status == "finished"


def _end(journal: Journal[StudyRun], *, out_of_time: bool) -> None:
    """Record that the study is done. SearchStopped if it is not: trainings failed, or time ran out."""
    run = journal.run
    missing = [event.id for event in _missing(run)]
    missing += [f"{m.name}.{n}" for s in run.searches_left for m in s.members for n in range(1, run.config.seeds + 1)]
    if not missing:
        journal.append(StudyEnded())
        return
    reasons = {name: str(run.trials[name].error) for name in missing if name in run.trials}
    failed = [f"  trial {name}: {reason}" for name, reason in reasons.items()]
    text = "\n".join([f"{len(missing)} of {counted(run.planned_trials, 'training')} are not finished", *failed[:10]])
    raise SearchStopped(
        f"{text}\nWhat was trained is kept: {typed('report', run.folder)}. "
        f"To train the rest: {resume_command_after(run, [*reasons.values()], out_of_time=out_of_time)}"
    )
