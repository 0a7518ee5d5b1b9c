"""Interfaces between a search and its strategy.

A strategy of your own is an ``AskTell``: it is asked for the next proposal, and told of every trial that ended.
``drive`` is the whole loop. NNI's strategies keep loops of their own, so the engine only knows ``Strategy``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nas.runs import TrialRecord
from search_spaces import Sample

Tell = Callable[[TrialRecord], None]
"""Told of a trial of the search that ended: finished, pruned or failed."""

StopRule = tuple[float, ...]
"""What a trial must have reached of its objective on the select split after each epoch, to continue; empty: nothing."""


@dataclass(frozen=True)
class Proposal:
    """An architecture to train next. ``note`` and ``predicted``, the score that is expected of it and the interval that
    holds 90 %, are recorded with the trial, and of no consequence for it."""

    sample: Sample
    note: str | None = None
    predicted: tuple[float, float, float] | None = None


class Trials(Protocol):
    """The trials of a search, as a strategy sees them."""

    def attend(self, tell: Tell) -> None:
        """Tell ``tell`` from now on of every trial that ends, in the order in which they end."""

    def slot_free(self) -> bool:
        """Block until one more trial may start; False when none may any more: a limit is reached."""

    def submit(self, proposal: Proposal, *, as_recorded: bool = False) -> str:
        """Start a trial; its id.

        While a recorded search is replayed the trial is found in the record instead. If that holds another sample it
        is a ReplayError; with ``as_recorded`` the recorded one takes the place of the proposal.
        """

    def drain(self) -> None:
        """Block until every trial that runs has ended."""


class Strategy(Protocol):
    """Decides which architectures are trained. One method, so that NNI's strategies keep their own loops."""

    def run(self, trials: Trials) -> bool:
        """Propose until ``trials`` ends it, and wait for those that run. False: nothing was left to propose."""


class AskTell(Protocol):
    """A strategy that is driven from outside, and resumes by itself.

    When a search is resumed, ``ask`` is called as it was before, and the recorded proposal replaces its answer;
    ``tell`` gets the recorded trials. Take all that is random from the seed and the number of the
    proposal, and the search resumes as if it had not been stopped.
    """

    def ask(self) -> Proposal | None:
        """Propose what to train next; None: nothing is left to try. Called once for each trial."""

    def tell(self, trial: TrialRecord) -> None:
        """Learn from a trial that ended: ``trial.status``, ``trial.metrics``, ``trial.cost``."""


class Pruner(Protocol):
    """Decides which trials stop early."""

    def threshold(self, trial_id: str) -> StopRule:
        """Pruning thresholds of trial ``trial_id``, which was submitted."""


class Driven:
    """An ``AskTell`` as the engine's ``Strategy``."""

    def __init__(self, strategy: AskTell) -> None:
        self.strategy = strategy

    def run(self, trials: Trials) -> bool:
        return drive(self.strategy, trials)


def drive(strategy: AskTell, trials: Trials) -> bool:
    """Ask and tell until ``trials`` ends it or nothing is left to try (then False), and wait for what runs."""
    trials.attend(strategy.tell)
    something_left = True
    while trials.slot_free():  # also after the last proposal, since it takes in what was recorded
        proposal = strategy.ask()
        if proposal is None:
            something_left = False
            break
        trials.submit(proposal, as_recorded=True)
    trials.drain()
    return something_left
