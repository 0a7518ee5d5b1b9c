"""The one place that wires engine, executors and listeners together, for the command line and for ``nas.api.calls``.

Nothing here prints, ends the process or handles signals: what is to be seen goes through a ``Display``.

    opened = new_search(config)
    run = carry_out(opened)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nas import STARTED
from nas.config import SearchConfig, StudyRequest, checked, raise_all
from nas.config.objectives import find_objective
from nas.config.run import Changes, RunConfig, StudySearch, search_of
from nas.config.run_rules import stop_when_errors, too_many_trials
from nas.config.training_request import TrainingRequest
from nas.engine.duration import timed
from nas.engine.merging import merge
from nas.engine.placement import placed, slots_of
from nas.engine.plan import Plan, check_data, facts_of, plan_search, start
from nas.engine.runner import local_executor
from nas.engine.study_duration import timed_study
from nas.engine.study_plan import StudyPlan, plan_study
from nas.engine.training_plan import plan_training
from nas.errors import NasctlError, RunError, attempt
from nas.executors import WorkerSlot, check_may_start, plan_slots, start_server
from nas.plugins.recorded import resolve_plugins
from nas.report.live import Display, Silent
from nas.runs import EventLog, Journal, Listener, SearchRun, StudyRun, as_search, as_study
from nas.runs.events import Noted, SearchStarted, SettingsChanged, StudyStarted
from nas.runs.fold import fold
from nas.runs.folders import (
    SEARCHES,
    free_folder,
    is_unborn,
    name_errors,
    not_begun,
    read_run,
    start_study,
    training_name,
    under_free_name,
    versions,
)
from nas.runs.hints import RUNS, typed
from nas.runs.listeners import registered_listeners
from nas.stopwatch import OFF, Stopwatch

UNCHANGED = Changes()
OF_THE_MACHINE = {"workers", "trials_per_gpu", "device", "threads", "trial_timeout"}

Progress = Callable[[int, int], None]
"""Told how many images are decoded, and of how many."""


@dataclass(frozen=True)
class Preview:
    """A run as it would begin, and where its trials would run. Nothing of it is on the disk."""

    run: SearchRun | StudyRun
    slots: list[WorkerSlot]


@dataclass
class OpenRun:
    """A run that is ready to be carried out. Owns its log, which holds the run's lock until ``carry_out`` ends."""

    log: EventLog
    run: SearchRun | StudyRun
    slots: list[WorkerSlot]


def new_search(
    config: SearchConfig,
    *,
    name: str | None = None,
    runs: Path = RUNS,
    progress: Progress | None = None,
) -> OpenRun:
    """Check everything, find out how trials run fastest here and how long they take, create the run.

    UsageError with every error; then nothing was written. Without ``name`` the run is called SPACE-DATA-N.
    """
    raise_all(name_errors(name, runs))
    return begun(_planned(config, progress), name=name, runs=runs)


def begun(plan: Plan, *, name: str | None, runs: Path) -> OpenRun:
    """Create the run of ``plan``, called ``name`` or SPACE-DATA-N."""
    source = plan.config.data.source
    log = under_free_name(lambda folder: start(plan, folder), plan.space.name, source, name=name, runs=runs)
    return OpenRun(log, fold(log.folder, log.entries()), plan.slots)


def preview_search(
    config: SearchConfig, *, name: str | None = None, runs: Path = RUNS, progress: Progress | None = None
) -> Preview:
    """Plan of ``new_search``, checked and measured alike; only the caches of data and measurements grow."""
    raise_all(name_errors(name, runs))
    plan = _planned(config, progress)
    folder = free_folder(plan.space.name, config.data.source, name=name, runs=runs)
    return Preview(not_begun(folder, SearchStarted(plan.config, facts_of(plan), versions())), plan.slots)


def _planned(config: SearchConfig, progress: Progress | None) -> Plan:
    check_may_start()
    return timed(placed(plan_search(config, progress=progress)))


def new_baseline(
    request: StudyRequest, *, name: str | None = None, runs: Path = RUNS, progress: Progress | None = None
) -> OpenRun:
    """As ``new_search``, for a study of fixed networks; without ``name`` it is called STUDY-DATA-N."""
    raise_all(name_errors(name, runs))
    check_may_start()
    return _begun_study(timed_study(plan_study(request, runs=runs, progress=progress)), name=name, runs=runs)


def preview_baseline(
    request: StudyRequest, *, name: str | None = None, runs: Path = RUNS, progress: Progress | None = None
) -> Preview:
    """As ``preview_search``, of ``new_baseline``. ImageNet's weights are not downloaded either."""
    raise_all(name_errors(name, runs))
    check_may_start()
    plan = timed_study(plan_study(request, runs=runs, fetch=False, progress=progress))
    return _previewed(plan, name=name, runs=runs)


def merged(found: Sequence[SearchRun | StudyRun], *, name: str | None = None, runs: Path = RUNS) -> StudyRun:
    """A new run of the members and finished trainings of several runs of one study; see ``nas.engine.merging.merge``.
    Without ``name`` it is called STUDY-DATA-N. UsageError with every error."""
    errors = name_errors(name, runs)
    studies = [study for run in found if (study := attempt(partial(as_study, run), errors))]
    raise_all(errors)
    stem, source = studies[0].config.study, studies[0].config.data.source
    return merge(studies, free_folder(stem, source, name=name, runs=runs))


def new_training(
    request: TrainingRequest, *, name: str | None = None, runs: Path = RUNS, progress: Progress | None = None
) -> OpenRun:
    """As ``new_search``, for the long training of one network; without ``name`` it is called train-DATA-N."""
    raise_all(name_errors(name, runs))
    check_may_start()
    return _begun_study(timed_study(plan_training(request, runs=runs, progress=progress)), name=name, runs=runs)


def preview_training(
    request: TrainingRequest, *, name: str | None = None, runs: Path = RUNS, progress: Progress | None = None
) -> Preview:
    """As ``preview_search``, of ``new_training``."""
    raise_all(name_errors(name, runs))
    check_may_start()
    return _previewed(timed_study(plan_training(request, runs=runs, progress=progress)), name=name, runs=runs)


def training_of_winner(search: SearchRun, *, progress: Progress | None = None) -> OpenRun | None:
    """The long training that a search asked for, begun or to be resumed; None if it asked for none, or that is
    done, or the search has no winner."""
    name, runs = training_name(search.name), search.folder.parent
    if not (search.config.train and search.winner):
        return None
    if (runs / name).exists() and not is_unborn(runs / name):
        known = read_run(runs / name)
        return None if known.is_done else reopen(known, progress=progress)
    shared = search.config.model_dump(include={*OF_THE_MACHINE, "objective", "seed", "profile"})
    return new_training(TrainingRequest(arch=str(search.folder), **shared), name=name, runs=runs, progress=progress)


def _begun_study(plan: StudyPlan, *, name: str | None, runs: Path) -> OpenRun:
    config, facts = plan.config, plan.facts
    log = under_free_name(
        lambda folder: start_study(folder, config, facts), config.study, config.data.source, name=name, runs=runs
    )
    return OpenRun(log, fold(log.folder, log.entries()), plan.slots)


def _previewed(plan: StudyPlan, *, name: str | None, runs: Path) -> Preview:
    folder = free_folder(plan.config.study, plan.config.data.source, name=name, runs=runs)
    return Preview(not_begun(folder, StudyStarted(plan.config, plan.facts, versions())), plan.slots)


def reopen(run: SearchRun | StudyRun, changes: Changes = UNCHANGED, *, progress: Progress | None = None) -> OpenRun:
    """Open a run that is not done, to resume it: what was recorded is replayed, not trained again.

    UsageError with every error: other data, impossible settings, a run that is done or that another process works on.
    """
    check_may_start()
    errors = [] if changes.trials is None else trials_errors(run, changes.trials)
    different: dict[str, Any] = dict(changes.of(run.config))
    if isinstance(run, StudyRun):
        different.pop("trials", None)  # an error of its own
        for name in ("stop_when", "search_patience"):
            if different.pop(name, None) is not None:
                errors.append(
                    f"--{name.replace('_', '-')} belongs to a search, and {run.name} is a baseline run: leave it out."
                )
    else:
        errors += stop_when_errors(changes.stop_when, run.config.objective)
    if run.is_done:
        raise_all(errors)
        raise RunError(_why_not_again(run))
    plugins = attempt(lambda: resolve_plugins(run.config.plugins, run=run.name), errors)
    if plugins is not None and plugins != run.config.plugins:
        different["plugins"] = plugins
    values = {**run.config.model_dump(), **different}
    settings = checked(type(run.config), values, errors) or run.config
    attempt(lambda: check_data(run, progress=progress), errors)
    attempt(lambda: find_objective(run.config.objective), errors)
    threads = _kept_threads(run, settings, changes)
    found = attempt(lambda: plan_slots(settings.device, settings.workers, settings.trials_per_gpu, threads), errors)
    raise_all(errors)
    assert found is not None
    slots = slots_of(found, settings, run.facts.placement) if isinstance(run, SearchRun) else found
    log = EventLog(run.folder)
    if different:
        log.append(SettingsChanged(settings))
    run.catch_up(log)
    return OpenRun(log, run, slots)


def _kept_threads(run: SearchRun | StudyRun, settings: RunConfig, changes: Changes) -> int | None:
    """Threads of each worker as they are told, else as they were: sums are rounded alike then. None, so that they are
    divided anew, where other workers are asked for."""
    moved = {"workers", "trials_per_gpu", "device"} & changes.of(run.config).keys()
    return settings.threads or (None if moved else run.facts.threads)


def _why_not_again(run: SearchRun | StudyRun) -> str:
    if isinstance(run, StudyRun):
        return f"Run {run.name!r} is done: every training finished. See: {typed('report', run.folder)}"
    return (
        f"Run {run.name!r} is done and its winner was scored on the test split: further trials would be chosen "
        "with knowledge of the test split."
        " Start a new run (another --run, another --seed)."
    )


def trials_errors(run: SearchRun | StudyRun, trials: int) -> list[str]:
    """Errors of a new number of trials for a run."""
    if isinstance(run, StudyRun):
        return [f"--trials {trials} cannot be used: the study of a baseline run sets its trainings: leave it out."]
    return too_many_trials(trials, run.config.supernet.candidates) if run.config.one_shot else []


def stays_as_it_is(run: SearchRun | StudyRun, changes: Changes) -> bool:
    """True if there is nothing to resume: the run is done, and nothing is asked for that it could not do then."""
    changed = isinstance(run, SearchRun) and changes.of(run.config).keys() - {"profile"}
    return run.is_done and not changed and not (changes.trials and trials_errors(run, changes.trials))


def carry_out(
    opened: OpenRun,
    display: Display | None = None,
    listeners: Sequence[Listener] = (),
    settings: Callable[[SearchRun | StudyRun], str | None] | None = None,
) -> SearchRun | StudyRun:
    """Search, or train a study, to the end; the run as it then stands. TensorBoard's files are written on the way, and
    in the end the page report.html, into which ``settings`` puts the file that makes the run again.

    ``listeners`` are told of every event after ``display``, also of those of searches that a study makes. A search
    ends with the analysis of its winner, a long training with that of its best seed (``nas.analysis.keep``), which the
    page shows; why there is none is told as a
    note, and not recorded.

    A KeyboardInterrupt passes through after workers are ended. SearchStopped, RunError: see ``engine``. Whatever ends
    it, what was recorded is kept, and ``reopen`` continues from there.
    """
    with display or Silent() as shown:
        try:
            with opened.log:
                run = _carried_out(opened, [shown.on_event, *listeners])
                if run.config.report:
                    _analysed(run, opened, [shown.on_event, *listeners])
        except (NasctlError, KeyboardInterrupt):  # what there is so far
            if opened.run.config.report:
                _reported(opened.run, settings)
            raise
        if run.config.report and (error := _reported(run, settings)):
            shown.on_event(Noted(error), run)
    return run


def _analysed(run: SearchRun | StudyRun, opened: OpenRun, listeners: Sequence[Listener]) -> None:
    from nas.analysis.keep import keep_analysis

    if notice := keep_analysis(run, opened.slots):
        Journal(run, opened.log, listeners).tell(Noted(notice))


def _reported(run: SearchRun | StudyRun, settings: Callable[[SearchRun | StudyRun], str | None] | None) -> str | None:
    """Write the report; why it could not be, in a sentence: a search that is done is not ended by that."""
    from nas.report.html.write import write_report

    try:
        write_report(run, settings=settings(run) if settings else None)
    except Exception as error:
        why = str(error) if isinstance(error, NasctlError) else f"{type(error).__name__}: {error}"
        return f"The report was not written: {why} To try again: {typed('report', run.folder)}"
    return None


def _carried_out(opened: OpenRun, listeners: Sequence[Listener]) -> SearchRun | StudyRun:
    start_server(opened.slots)  # first: it imports in the background
    from nas.engine.floor import floor_beside
    from nas.engine.search import run_search
    from nas.engine.study import run_study
    from nas.report import keep_files
    from nas.report.tensorboard.listener import bring_up_to_date

    run, log, slots = opened.run, opened.log, opened.slots
    watch = Stopwatch("starting", since=STARTED) if run.config.profile else OFF
    bring_up_to_date(run)
    guests = [*listeners, *registered_listeners()]
    told = [keep_files, *guests]
    if isinstance(run, StudyRun):
        find = partial(_search_of, run, listeners=listeners)
        return run_study(run, log, slots, told, local_executor(Journal(run, log, guests)), find=find, watch=watch)
    with floor_beside(run) as floor:
        open_executor = local_executor(Journal(run, log, guests))
        return run_search(run, log, slots, told, open_executor, floor=floor, watch=watch)


def _search_of(
    study: StudyRun, search: StudySearch, seconds_left: float | None, *, listeners: Sequence[Listener]
) -> SearchRun:
    """One of a study's searches, carried out in the study's folder, resumed, or as it is if it is done."""
    runs = study.folder / SEARCHES
    folder = runs / search.name
    known = read_run(folder) if folder.exists() and not is_unborn(folder) else None
    if known is not None and known.is_done:
        return as_search(known)
    if known is not None:
        limit = None if seconds_left is None else known.elapsed + seconds_left
        now = study.config.model_dump(include=OF_THE_MACHINE)  # the study may have been resumed with others
        told = {name: value for name, value in now.items() if value != getattr(known.config, name)}
        opened = reopen(known, Changes(time_limit=limit, **told))
    else:
        config = search_of(study.config, search).model_copy(update={"time_limit": seconds_left})
        opened = new_search(config, name=search.name, runs=runs)
    with opened.log:
        return as_search(_carried_out(opened, listeners))
