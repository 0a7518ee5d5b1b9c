"""Carrying out trials: what is proposed is recorded, run, recorded again, and told. Resume is replay.

A new strategy with the same seed is driven through the recorded events: recorded submissions are compared
with what it proposes, recorded results are delivered where they were delivered then. When the record ends,
trials without a result start again, and the search goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from budgets import Budget, cost_of
from nas.autotune import execution_of, read_placement
from nas.engine.runner import MOST_FAILURES, unusable, why_stopped
from nas.engine.session import wait
from nas.errors import ReplayError, SearchStopped
from nas.executors import Executor
from nas.runs.hints import typed
from nas.runs.journal import Journal, Listener
from nas.runs.log import RunStore
from nas.runs.run import Run, Trial
from nas.stopwatch import OFF, Watch
from nas.strategies.base import Tell
from nas.strategies.median_pruner import Judges
from nas.strategies.replayed_proposals import RecallingProposer
from nas.trials.spec import TrialResult, TrialSpec, derived_seed
from search_spaces import Sample, Task, get_space


class TrialLoop:
    """The trials of one run. Owns nothing: store and executor belong to the caller."""

    def __init__(
        self,
        *,
        run: Run,
        store: RunStore,
        executor: Executor,
        listeners: Sequence[Listener] = (),
        watch: Watch = OFF,
    ) -> None:
        self.run, self.store, self.executor, self._watch = run, store, executor, watch
        self._journal = Journal(run, store, listeners, watch=watch)
        self.space = get_space(run.search.space)
        self.task = Task(tuple(run.facts["input_shape"]), len(run.facts["classes"]))
        self.budget = Budget(**run.facts["budget"])
        self.proposer: RecallingProposer | None = None  # of a search that mutates; the log says what it drew
        self._replay = deque(run.course)
        self._waiting: deque[Trial] = deque()  # submitted before a kill; they start again first
        self._started = 0
        self._judges = Judges(
            lambda trial_id: run.history(run.trials[trial_id]), run.config.objective, run.search.recipe.epochs
        )
        self._failures: list[str] = []
        self._tell: Tell = lambda trial_id, score: None

    # What a strategy sees (``nas.strategies.nni_multi_trial.Trials``).

    def attend(self, tell: Tell) -> None:
        """Every result of the search from now on goes to ``tell`` too."""
        self._tell = tell

    def slot_free(self) -> bool:
        """Block until one more trial may start; False when none may any more."""
        while self._replay:
            if self._replay[0][0] == "submitted":
                return True
            _, trial = self._replay.popleft()
            self._told(trial)
            self._waiting = deque(t for t in self._waiting if t.id != trial.id)
        while not self._over():
            if not self._waiting and self.executor.num_running < self.executor.num_slots:
                return True
            self._collect()
        return False

    def submit(self, sample: Sample) -> str:
        """Record and start a trial, or find it in the record; its id. ReplayError if that holds another."""
        self._started += 1
        if self._replay:
            _, recorded = self._replay.popleft()
            if recorded.sample != sample:
                raise ReplayError(
                    f"Run {self.run.name!r} cannot go on: at trial {recorded.id} its strategy now proposes another "
                    "architecture than the log holds. It was recorded by another version of nasctl, NNI or numpy "
                    "('nasctl status' shows which): resume it with those, or start a new run."
                )
            self._judges.submitted(recorded.id)
            self._waiting.append(recorded)
            return recorded.id
        trial = self.record(str(self._started), sample, stage="search", of=str(self._started))
        self._judges.submitted(trial.id)
        self.executor.submit(self.spec(trial))
        return trial.id

    def drain(self) -> None:
        """Block until every trial that runs or waits has ended."""
        while self._waiting or self.executor.num_running:
            self._collect()

    # Trials of any stage.

    def record(self, trial_id: str, sample: Sample, *, stage: str, of: str) -> Trial:
        """Write down that a trial starts. Its cost is judged first: no trial exceeds the budget."""
        cost = cost_of(self.space, sample, self.task)
        violations = self.budget.violations(cost)
        if violations:  # our own fault, but never an assert: it must hold under "python -O" too
            raise AssertionError(f"proposed against the budget: {violations}")
        seed = derived_seed(self.run.config.seed, trial_id)
        body: dict[str, Any] = {"id": trial_id, "stage": stage, "of": of, "sample": sample, "seed": seed}
        if self.proposer is not None and stage == "search":
            body["mutant"] = self.proposer.was_mutant
        body["architecture"] = self.space.architecture_id(sample, self.task)
        self._journal.append("submitted", body | asdict(cost))
        return self.run.trials[trial_id]

    def repeat(self, trials: Sequence[tuple[str, Trial]]) -> None:
        """Train architectures again under new ids, those that did not finish so; block until all ended.

        None starts after the time limit.
        """
        for trial_id, original in trials:
            known = self.run.trials.get(trial_id)
            if known is not None and known.status == "running":
                self._waiting.append(known)
            elif known is None or known.status == "failed":
                while self._waiting or self.executor.num_running >= self.executor.num_slots:
                    self._collect()
                if self.out_of_time():
                    break
                known = self.record(trial_id, original.sample, stage="confirm", of=original.id)
                self.executor.submit(self.spec(known))
        self.drain()

    def score_on_test(self, trials: Sequence[Trial]) -> dict[str, dict[str, Any]]:
        """Figures of trained trials on the test split, by id. The only place that reads it."""
        waiting, figures = deque(trials), {}
        while waiting or self.executor.num_running:
            while waiting and self.executor.num_running < self.executor.num_slots:
                self.executor.submit(self.spec(waiting.popleft(), test=True))
            for result in wait(self.executor, self._watch):
                if result.status != "finished":
                    raise SearchStopped(
                        f"Scoring trial {result.id} on the test split failed: {result.error}. "
                        f"To try again: {typed('resume', self.run.folder)}"
                    )
                figures[result.id] = result.metrics["test"]
        return figures

    def end(self, winner: dict[str, Any]) -> None:
        """Record the winner, and with it the end."""
        self._journal.append("winner", winner)

    def note(self, text: str) -> None:
        """Record something that the user should know, once."""
        self._journal.note(text)

    def out_of_time(self, reserve: float = 0.0) -> bool:
        """Whether the time limit, less ``reserve`` seconds, has passed."""
        limit = self.run.config.time_limit
        return limit is not None and self.store.elapsed >= limit - reserve

    def spec(self, trial: Trial, *, test: bool = False) -> TrialSpec:
        """What a worker needs to know about a trial."""
        config, folder = self.run.search, self.run.folder
        return TrialSpec(
            id=trial.id,
            space=self.space.name,
            sample=trial.sample,
            input_shape=self.task.input_shape,
            num_classes=self.task.num_classes,
            data=config.data,
            recipe=config.recipe,
            seed=trial.seed,
            objective=config.objective,
            weights_path=str(self.run.weights(trial.id)),
            log_path=str(folder / "logs" / f"{trial.id}.txt"),
            data_key=self.run.facts["data_key"],
            test=test,
            profile=config.profile,
            floor=self._judges.floor(trial.id) if config.prune and trial.stage == "search" and not test else (),
            execution=execution_of(config.precision, read_placement(self.run.facts.get("placement"))),
        )

    def _collect(self) -> None:
        """Fill free slots with waiting trials, then wait for results and record them."""
        while self._waiting and self.executor.num_running < self.executor.num_slots:
            self.executor.submit(self.spec(self._waiting.popleft()))
        limit = self.run.config.time_limit
        time_left = limit - self.store.elapsed if limit else 0.0  # past the limit, trials that run may end
        for result in wait(self.executor, self._watch, time_left if time_left > 0 else None):
            self._finish(result)

    def _finish(self, result: TrialResult) -> None:
        trial = self.run.trials[result.id]
        if result.status != "failed" and (fault := unusable(result, self.run.config.objective)):
            result = replace(result, status="failed", metrics={}, error=fault)
        body = asdict(result) | {"stage": trial.stage}
        self._journal.append("result", body)
        if result.status == "failed":
            self._failures.append(f"trial {result.id}: {result.error}")
            if len(self._failures) >= MOST_FAILURES:
                raise SearchStopped(why_stopped(self.run.folder, self._failures))
        elif result.status == "finished":
            self._failures.clear()
        if trial.stage == "search":
            self._told(trial)

    def _told(self, trial: Trial) -> None:
        """Tell the strategy of a trial of the search that ended; one that was pruned is a weak one to it."""
        if trial.status != "failed":
            self._judges.ended(trial.id)
        self._tell(trial.id, None if trial.status == "failed" else trial.score_so_far(self.run.config.objective))

    def _over(self) -> bool:
        """Whether no new trial may start: enough are, or the rest of the time is for confirming."""
        config = self.run.search
        mean = self.run.tally.mean_seconds(stage="search") or 0.0
        reserve = config.confirm * config.confirm_seeds / self.executor.num_slots * mean
        return self._started >= config.trials or self.out_of_time(reserve)
