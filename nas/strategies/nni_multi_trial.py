"""NNI's strategies drive the search from here; nothing else imports NNI.

A space is shown to NNI as a dictionary of categorical mutables. NNI decides the course (when to submit, the
population, the tournament, ageing); the sampling is done by ``nas.strategies.proposals`` under the budget,
from NNI's random state. The engine below answers NNI's questions by blocking in the strategy's own thread,
so there is neither a lock nor polling.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from nas.runs import TrialRecord
from nas.strategies.base import Trials
from nas.strategies.proposals import Proposer, generator_of
from search_spaces import Sample

_ONE_SHOT = "nni.nas.oneshot.pytorch.strategy"


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """NNI's strategies need no torch, but import it, Lightning and the one-shot strategies with them: 6 seconds.

    Its framework is set to "none", as its documentation says, and the one-shot strategies cannot be imported, which
    NNI allows for; ``nas.strategies.nni_one_shot`` imports them from where they are.
    """
    from nni.common import framework

    before, loaded = framework.get_default_framework(), sys.modules.get(_ONE_SHOT)
    framework.set_default_framework("none")
    sys.modules[_ONE_SHOT] = loaded  # type: ignore[assignment]  # None: an import of it fails
    try:
        yield
    finally:
        framework.set_default_framework(before)
        if loaded is None:
            del sys.modules[_ONE_SHOT]


with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _without_torch():
    warnings.simplefilter("ignore")
    from nni.mutable import Categorical, MutableDict
    from nni.nas.execution import ExecutionEngine
    from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
    from nni.nas.space import ExecutableModelSpace, ModelStatus
    from nni.nas.strategy import Random, RegularizedEvolution

logging.getLogger("nni").setLevel(logging.CRITICAL)  # after the import, which sets it


class _Exhausted(Exception):
    """No sample is left to propose."""


class _Space(ExecutableModelSpace):  # type: ignore[misc]
    """A search space, or one sample of it (then ``sample`` is set and ``mutables`` are the space's), as NNI sees it."""

    def __init__(self, proposer: Proposer, sample: Sample | None = None, mutables: MutableDict | None = None) -> None:
        super().__init__(ModelStatus.Initialized if sample is None else ModelStatus.Frozen)
        self.proposer, self.sample = proposer, sample
        choices = proposer.space.choices
        self.mutables = mutables or MutableDict({c.label: Categorical(list(c.values), label=c.label) for c in choices})

    def leaf_mutables(self, is_leaf: Callable[[Any], bool]) -> Iterable[Any]:
        return self.mutables.leaf_mutables(is_leaf)  # type: ignore[no-any-return]

    def check_contains(self, sample: Sample) -> Any:
        return self.mutables.check_contains(sample)

    def freeze(self, sample: Sample) -> _Space:
        self.validate(sample)
        return _Space(self.proposer, dict(sample), self.mutables)

    def random(self, memo: Sample | None = None, random_state: np.random.RandomState | None = None) -> _Space:
        assert random_state is not None
        frozen = self.freeze(_sampled(self.proposer.fresh(generator_of(random_state))))
        if memo is not None and frozen.sample is not None:
            memo.update(frozen.sample)
        return frozen


class _Evolution(RegularizedEvolution):  # type: ignore[misc]
    """NNI's regularized evolution (Real et al. 2019, algorithm 1) with mutations sampled under the budget."""

    def new_individual(self) -> _Space:
        if not self._population:  # more workers than individuals: none has ended yet
            return self.random()  # type: ignore[no-any-return]
        parent = self.best_parent()
        space: _Space = self.model_space
        self._individual_counter += 1
        return space.freeze(_sampled(space.proposer.mutant(parent, generator_of(self._random_state))))


class _Engine(ExecutionEngine):  # type: ignore[misc]
    """Hands NNI's models to ``Trials`` and its results back."""

    def __init__(self, trials: Trials, proposer: Proposer, objective: str) -> None:
        super().__init__()
        self.trials, self.proposer, self.objective = trials, proposer, objective
        self.running: dict[str, _Space] = {}
        self.may_continue = True
        trials.attend(self.tell)

    def submit_models(self, *models: _Space) -> None:
        for model in models:
            assert model.sample is not None
            model.status = ModelStatus.Training
            self.running[self.trials.submit(self.proposer.proposal(model.sample))] = model

    def tell(self, trial: TrialRecord) -> None:
        """A trial that was pruned is a weak one to NNI, one that failed is none."""
        model = self.running.pop(trial.id)
        self.proposer.tell(trial)
        score = None if trial.status == "failed" else trial.score_so_far(self.objective)
        if score is not None:
            self.dispatch_model_event(FinalMetricEvent(model, score))
        status = ModelStatus.Failed if score is None else ModelStatus.Trained
        self.dispatch_model_event(TrainingEndEvent(model, status))

    def list_models(self, status: ModelStatus | None = None) -> list[_Space]:
        return [model for model in self.running.values() if status is None or model.status == status]

    def idle_worker_available(self) -> bool:
        self.may_continue = self.may_continue and self.trials.slot_free()
        return self.may_continue

    def budget_available(self) -> bool:
        return self.may_continue

    def wait_models(self, *models: _Space) -> None:
        self.trials.drain()


class NNIStrategy:
    """A ``Strategy``: NNI's "random" or "evolution", in its own loop. ``population`` is that of the evolution."""

    def __init__(self, name: str, proposer: Proposer, *, objective: str, seed: int, population: int) -> None:
        self.proposer, self.objective = proposer, objective
        self._strategy = (
            Random(dedup=False, seed=seed)
            if name == "random"
            else _Evolution(population_size=population, sample_size=max(2, population // 3), dedup=False, seed=seed)
        )

    def run(self, trials: Trials) -> bool:
        """Let NNI propose until ``trials`` ends it, then wait for those that run. False: nothing was left."""
        found_all = False
        try:
            self._strategy(_Space(self.proposer), _Engine(trials, self.proposer, self.objective))
        except _Exhausted:
            found_all = True
        trials.drain()
        return not found_all


def _sampled(sample: Sample | None) -> Sample:
    if sample is None:
        raise _Exhausted
    return sample
