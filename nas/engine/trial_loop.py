"""The trials of a search as its strategy sees them. Resume is replay.

A new strategy with the same seed is driven through the recorded events: recorded submissions are compared
with what it proposes, recorded results are delivered where they were delivered then. When the record ends,
trials without a result start again, and the search resumes.
"""

from __future__ import annotations

from collections import deque

from budgets import cost_of
from nas.engine.early_end import EarlyEnd
from nas.engine.race import num_waves
from nas.engine.runner import TrialRunner
from nas.errors import ReplayError
from nas.executors import Executor
from nas.executors.base import was_too_long
from nas.runs import Journal, SearchRun, TrialRecord
from nas.runs.events import Stage, TrialSubmitted
from nas.strategies import Proposal, Pruner
from nas.strategies.base import Tell
from nas.strategies.median_pruner import MedianPruner
from nas.trials.spec import derived_seed


class TrialLoop:
    """``strategies.base.Trials`` of one search."""

    def __init__(self, journal: Journal[SearchRun], executor: Executor) -> None:
        self.run = run = journal.run
        self.journal = journal
        self.pruner: Pruner = MedianPruner(run.course, run.history, run.config.objective, run.config.recipe.epochs)
        self.runner = TrialRunner(journal, executor, stop_rule=self._stop_rule)
        self._replay = deque(run.course)
        self._early_end = EarlyEnd()
        self._started = 0
        self._tell: Tell = lambda trial: None

    def attend(self, tell: Tell) -> None:
        """Every trial of the search that ends is told to ``tell`` from now on."""
        self._tell = tell

    def slot_free(self) -> bool:
        """Block until one more trial may start; False when none may any more."""
        while self._replay:
            if self._replay[0][0] == "submitted":
                return True
            _, trial = self._replay.popleft()
            self._tell(trial)
            self.runner.forget(trial)
        while not self._is_over():
            if self.runner.has_free_slot:
                return True
            self._collect()
        return False

    def submit(self, proposal: Proposal, *, as_recorded: bool = False) -> str:
        """Record and start a trial, or find it in the record; its id."""
        self._started += 1
        if self._replay:
            _, recorded = self._replay.popleft()
            if recorded.sample != proposal.sample and not as_recorded:
                raise ReplayError(
                    f"Run {self.run.name!r} cannot be resumed: at trial {recorded.id} its strategy now "
                    "proposes a different architecture from the one in the log."
                    " It was recorded by another version of nasctl, NNI or "
                    "numpy ('nasctl status' shows which): resume it with those, or start a new run."
                )
            self.runner.start_again(recorded)
            return recorded.id
        trial_id = str(self._started)
        return self.runner.submit(submission(self.run, trial_id, proposal, stage="search", of=trial_id)).id

    def drain(self) -> None:
        """Block until every trial that runs or waits has ended."""
        for trial in self.runner.drain():
            self._tell(trial)

    def give_more_time(self) -> None:
        """Train again what a shorter --trial-timeout than now had stopped. It counts for the ranking; the strategy,
        whose course is recorded, is told no more."""
        run, limit = self.run, self.run.config.trial_timeout
        self.runner.train([
            submission(run, trial.id, as_proposed(trial), stage="search", of=trial.id)
            for trial in run.stage("search")
            if (trial.status == "running" and trial.id in run.again)
            or (was_too_long(trial.error or "") and (limit is None or trial.seconds < limit))
        ])  # fmt: skip

    def _collect(self) -> None:
        for trial in self.runner.collect():
            self._tell(trial)

    def _stop_rule(self, trial: TrialRecord) -> tuple[float, ...]:
        return self.pruner.threshold(trial.id) if self.run.config.prune and trial.stage == "search" else ()

    def _is_over(self) -> bool:
        """True if no new trial may start: enough are, or the rest of the time is for confirming."""
        config = self.run.config
        has_end = config.stop_when is not None or config.search_patience is not None
        if has_end and (why := self._early_end.reason(self.run)):
            self.journal.note(why)
            return True
        reserve = 0.0
        if config.num_confirmations:
            mean = self.run.tally.mean_seconds(stage="search") or 0.0
            reserve = num_waves(config, self.runner.executor.num_slots) * mean * config.confirm_ratio
        return self._started >= config.trials or self.runner.is_out_of_time(reserve)


def as_proposed(trial: TrialRecord) -> Proposal:
    """Proposal of the strategy that became ``trial``."""
    return Proposal(trial.sample, trial.note, trial.predicted)


def submission(run: SearchRun, trial_id: str, proposal: Proposal, *, stage: Stage, of: str) -> TrialSubmitted:
    """The event of a trial that starts. Its cost is judged first: no trial exceeds the budget."""
    sample = proposal.sample
    cost = cost_of(run.space, sample, run.task)
    violations = run.budget.violations(cost)
    if violations:  # our own error, but never an assert: it must hold under "python -O" too
        raise AssertionError(f"proposed outside the budget: {violations}")
    return TrialSubmitted(
        id=trial_id,
        stage=stage,
        of=of,
        architecture=run.space.architecture_id(sample, run.task),
        sample=sample,
        cost=cost,
        seed=derived_seed(run.config.seed, trial_id),
        note=proposal.note,
        predicted=proposal.predicted,
    )
