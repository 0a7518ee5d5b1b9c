"""Running trials of any kind of run: recorded, trained, recorded again. The one place where results become events."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from baselines import FixedNetwork
from nas.autotune import execution_of
from nas.config import StudyConfig
from nas.config.recipe import Metrics
from nas.engine.advice import after_failures, resume_command_after
from nas.engine.session import wait
from nas.errors import SearchStopped
from nas.executors import Executor, LocalExecutor, WorkerSlot
from nas.runs import Journal, Run, SearchRun, StudyRun, TrialRecord, as_study
from nas.runs.events import EpochEnded, TrialEnded, TrialSubmitted
from nas.trials import TrialResult, TrialSpec

MOST_FAILURES = 10  # in a row; pruned trials between them are neither here nor there

OpenExecutor = Callable[[Sequence[WorkerSlot]], Executor]


def local_executor(journal: Journal[SearchRun] | Journal[StudyRun]) -> OpenExecutor:
    """Opens worker processes for a list of slots, and lets the journal's listeners know of every epoch."""

    def on_epoch(trial_id: str, row: dict[str, float]) -> None:
        journal.tell(EpochEnded(trial_id, row))

    return lambda slots: LocalExecutor(slots, trial_timeout=journal.run.config.trial_timeout, on_epoch=on_epoch)


class TrialRunner:
    """The trials of one run. Owns nothing: the journal's log and the executor belong to the caller.

    ``stop_rule`` gives the threshold of a trial by its id (see ``strategies.base.Pruner``).
    """

    def __init__(
        self,
        journal: Journal[SearchRun] | Journal[StudyRun],
        executor: Executor,
        *,
        stop_rule: Callable[[TrialRecord], tuple[float, ...]] = lambda trial: (),
    ) -> None:
        self.journal, self.executor, self.stop_rule = journal, executor, stop_rule
        self._waiting: deque[TrialRecord] = deque()  # recorded before a kill; they start again first
        self._failures: dict[str, str] = {}  # in a row: reasons by trial

    @property
    def run(self) -> SearchRun | StudyRun:
        return self.journal.run

    @property
    def has_free_slot(self) -> bool:
        """True if a new trial could start now."""
        return not self._waiting and self.executor.num_running < self.executor.num_slots

    def submit(self, event: TrialSubmitted) -> TrialRecord:
        """Record that a trial starts, and start it. Only while there is a free slot."""
        self.journal.append(event)
        trial = self.run.trials[event.id]
        self.executor.submit(spec_of(self.run, trial, threshold=self.stop_rule(trial)))
        return trial

    def start_again(self, trial: TrialRecord) -> None:
        """Let a trial that was recorded as started begin anew when a slot is free."""
        self._waiting.append(trial)

    def forget(self, trial: TrialRecord) -> None:
        """A trial that was to start again has a result after all."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting.id != trial.id)

    def collect(self) -> list[TrialRecord]:
        """Fill free slots with waiting trials, then wait for results and record them: the trials that ended.

        Returns empty-handed when the time limit passes. SearchStopped after ``MOST_FAILURES`` in a row.
        """
        while self._waiting and self.executor.num_running < self.executor.num_slots:
            trial = self._waiting.popleft()
            self.executor.submit(spec_of(self.run, trial, threshold=self.stop_rule(trial)))
        limit = self.run.config.time_limit
        time_left = limit - self.journal.log.elapsed if limit else 0.0  # past the limit, trials that run may end
        results = wait(self.executor, self.journal.watch, time_left if time_left > 0 else None)
        return [self._record(result) for result in results]

    def drain(self) -> list[TrialRecord]:
        """Block until every trial that runs or waits has ended: those that did."""
        ended = []
        while self._waiting or self.executor.num_running:
            ended += self.collect()
        return ended

    def train(self, wanted: Iterable[TrialSubmitted]) -> None:
        """Train what has not finished so, once each; block until all ended. None starts after the time limit, but
        those that had started before a kill."""
        for event in wanted:
            known = self.run.trials.get(event.id)
            if known is not None and known.status == "running":
                self.start_again(known)
            elif known is None or known.status == "failed":
                while not self.has_free_slot:
                    self.collect()
                if self.is_out_of_time():
                    break
                self.submit(event)
        self.drain()

    def score_on_test(self, trials: Sequence[TrialRecord]) -> dict[str, Metrics]:
        """Metrics of trained trials on the test split, by id. The only place of a search that reads it."""
        waiting, metrics = deque(trials), dict[str, Metrics]()
        while waiting or self.executor.num_running:
            while waiting and self.executor.num_running < self.executor.num_slots:
                self.executor.submit(spec_of(self.run, waiting.popleft(), test=True))
            for result in wait(self.executor, self.journal.watch):
                if result.status != "finished":
                    raise SearchStopped(
                        f"Scoring trial {result.id} on the test split failed: {result.error}. "
                        f"To try again: {resume_command_after(self.run, [str(result.error)], out_of_time=False)}"
                    )
                metrics[result.id] = result.metrics["test"]
        return metrics

    def is_out_of_time(self, reserve: float = 0.0) -> bool:
        """True if the time limit, less ``reserve`` seconds, has passed."""
        limit = self.run.config.time_limit
        return limit is not None and self.journal.log.elapsed >= limit - reserve

    def _record(self, result: TrialResult) -> TrialRecord:
        trial = self.run.trials[result.id]
        if result.status != "failed" and (error := unusable(result, self.run.config.objective)):
            result = replace(result, status="failed", metrics={}, error=error)
        self.journal.append(TrialEnded.of(result, trial.stage))
        if result.status == "failed":
            self._failures[result.id] = str(result.error)
            if len(self._failures) >= MOST_FAILURES:
                raise SearchStopped(why_stopped(self.run, self._failures))
        elif result.status == "finished":
            self._failures.clear()
        return trial


def spec_of(run: Run, trial: TrialRecord, *, threshold: tuple[float, ...] = (), test: bool = False) -> TrialSpec:
    """Specification of a trial for a worker. ``test``: score its weights on the test split, train nothing.

    The trainings of a baseline run are scored on the test split at their end.
    """
    config, facts = run.config, run.facts
    if isinstance(run, SearchRun):
        space, network, oversampled_first, teaching = run.config.space, None, False, None
    else:
        study = as_study(run).config
        member, oversampled_first = study.member(trial.of), study.oversamples_first(trial.of)
        teaching = as_study(run).teaching(trial.id)
        space = member.space or ""
        network = FixedNetwork(member.network, member.settings) if member.network else None
    return TrialSpec(
        id=trial.id,
        space=space,
        sample=trial.sample,
        network=network,
        input_shape=facts.input_shape,
        num_classes=len(facts.classes),
        data=config.data,
        data_key=facts.data_key,
        recipe=run.recipe(trial.id),
        seed=trial.seed,
        objective=config.objective,
        weights_path=str(run.weights(trial.id)),
        log_path=str(run.folder / "logs" / f"{trial.id}.txt"),
        test=test,
        test_after=not isinstance(run, SearchRun),
        score_train=isinstance(config, StudyConfig) and config.score_train,
        score_before=isinstance(config, StudyConfig) and config.score_before,
        split_after_oversampling=oversampled_first,
        profile=config.profile,
        threshold=threshold,
        teaching=teaching,
        execution=execution_of(config.precision, run.facts.placement if isinstance(run, SearchRun) else None),
    )


def unusable(result: TrialResult, objective: str) -> str | None:
    """Reason why a result that calls itself finished cannot be used; None if it can."""
    if objective not in result.metrics.get("rank", {}):
        return f"it reported no {objective}"
    for split, metrics in result.metrics.items():
        for name, metric in metrics.items():
            if isinstance(metric, float) and not math.isfinite(metric):
                return f"{name} on {split} is {metric}, which cannot rank trials"
    return None


def why_stopped(run: Run, failures: Mapping[str, str]) -> str:
    reasons = "\n".join(f"  trial {id}: {reason}" for id, reason in failures.items())
    advice = after_failures(run, [*failures.values()])
    return f"Stopped: {len(failures)} trials in a row failed:\n{reasons}\n{advice}"
