"""Carrying out a study: its trainings are listed beforehand, so going on after a kill is training what is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from baselines import FixedNetwork
from nas.autotune import execution_of, read_placement
from nas.engine.runner import MOST_FAILURES, OpenExecutor, unusable, why_stopped
from nas.engine.session import profile_recorded, stops_recorded, wait
from nas.errors import SearchStopped
from nas.executors import Executor, WorkerSlot
from nas.runs.folders import versions
from nas.runs.hints import typed
from nas.runs.journal import Journal, Listener
from nas.runs.log import RunStore
from nas.runs.run import Run, Trial, fold
from nas.stopwatch import OFF, Watch
from nas.trials.spec import TrialSpec, derived_seed


def run_study(
    store: RunStore,
    slots: Sequence[WorkerSlot],
    listeners: Sequence[Listener],
    open_executor: OpenExecutor,
    *,
    run: Run | None = None,
    watch: Watch = OFF,
) -> Run:
    """Train, or go on with, the study in ``store``; the run as it then stands. ``run``: what the log says, if known.

    Every training is a finished fixed recipe of its own and nothing is chosen between them, so each is scored on
    the test split once, at its end. Raises SearchStopped if some failed, after the others were trained, or after
    too many in a row; trainings that failed start again when the run is resumed. A KeyboardInterrupt passes
    through after workers are ended.
    """
    run = run or fold(store.folder, store.stream())
    if run.ended:
        return run
    journal = Journal(run, store, listeners, watch=watch)
    with stops_recorded(store), profile_recorded(run, store, watch, len(slots)):
        run.apply(store.append("session", {"workers": len(slots), "versions": versions()}))
        with open_executor(slots) as executor:
            watch.switch("rest")
            _train_all(journal, executor)
        _end(journal)
    return run


def _train_all(journal: Journal, executor: Executor) -> None:
    """Every training without a finished result, once; those of the first seed of every member first."""
    run, store = journal.run, journal.store
    waiting = deque(_missing(run))
    failures: list[str] = []
    limit = run.config.time_limit
    while waiting or executor.num_running:
        in_time = limit is None or store.elapsed < limit
        if not in_time and not executor.num_running:
            break
        while waiting and in_time and executor.num_running < executor.num_slots:
            executor.submit(_spec(run, _submitted(journal, *waiting.popleft())))
        left = limit - store.elapsed if limit is not None and in_time else None
        for result in wait(executor, journal.watch, left):
            fault = unusable(result, run.config.objective) if result.status == "finished" else None
            body = asdict(result) | {"stage": "study"}
            if fault is not None:
                body |= {"status": "failed", "error": fault, "metrics": {}}
            journal.append("result", body)
            failures = [*failures, f"trial {result.id}: {body['error']}"] if body["status"] == "failed" else []
            if len(failures) >= MOST_FAILURES:
                raise SearchStopped(why_stopped(run.folder, failures))


def _missing(run: Run) -> Iterator[tuple[str, int]]:
    """Member and number of the seed of every training that has not finished."""
    for number in range(1, run.study.seeds + 1):
        for member in run.study.members:
            known = run.trials.get(f"{member.name}.{number}")
            if known is None or known.status != "finished":
                yield member.name, number


def _submitted(journal: Journal, name: str, number: int) -> Trial:
    """The trial of a member with its seed, recorded before it starts unless it was before a kill.

    The seed depends on its number alone: the members of a study are compared seed by seed.
    """
    run, trial_id = journal.run, f"{name}.{number}"
    known = run.trials.get(trial_id)
    if known is not None and known.status == "running":
        return known
    member, facts = run.study.member(name), run.facts["members"][name]
    body: dict[str, Any] = {"id": trial_id, "stage": "study", "of": name, "sample": member.sample}
    body |= {"seed": derived_seed(run.config.seed, f"seed {number}"), "architecture": facts["architecture"]}
    journal.append("submitted", body | facts["cost"])
    return run.trials[trial_id]


def _spec(run: Run, trial: Trial) -> TrialSpec:
    """What a worker needs to know. No weights are written: a study leaves figures."""
    member = run.study.member(trial.of)
    return TrialSpec(
        id=trial.id,
        space=member.space or "",
        sample=member.sample,
        network=FixedNetwork(member.network, member.settings) if member.network else None,
        input_shape=tuple(run.facts["input_shape"]),
        num_classes=len(run.facts["classes"]),
        data=run.config.data,
        recipe=member.recipe,
        seed=trial.seed,
        objective=run.config.objective,
        log_path=str(run.folder / "logs" / f"{trial.id}.txt"),
        data_key=run.facts["data_key"],
        test_after=True,
        profile=run.config.profile,
        execution=execution_of(run.config.precision, read_placement(run.facts.get("placement"))),
    )


def _end(journal: Journal) -> None:
    """Record that the study is done. SearchStopped if it is not: trainings failed, or time ran out."""
    run = journal.run
    missing = [f"{name}.{number}" for name, number in _missing(run)]
    if not missing:
        journal.append("ended", {})
        return
    failed = [f"  trial {name}: {run.trials[name].error}" for name in missing if name in run.trials]
    text = "\n".join([f"{len(missing)} of {run.planned_trials} trainings are missing", *failed[:10]])
    raise SearchStopped(
        f"{text}\nWhat was trained is kept: {typed('baseline report', run.folder)}. "
        f"To train the rest: {typed('resume', run.folder)}"
    )
