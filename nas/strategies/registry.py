"""The strategies by name: how each is prepared before workers start, and made for a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from nas.config.options import base_name, bound, declare, option_errors
from nas.config.run import ONE_SHOT
from nas.errors import UsageError
from nas.runs import Journal, SearchRun
from nas.runs.events import SupernetProgress
from nas.strategies.base import AskTell, Driven, Proposal, Strategy
from search_spaces.registry import Registry

MakeStrategy = Callable[..., Strategy | AskTell]  # of a SearchRun, and options by name
Prepare = Callable[[Journal[SearchRun], str, int | None], None]


def _nothing(journal: Journal[SearchRun], device: str, threads: int | None) -> None:
    """Most strategies need no preparation."""


@dataclass(frozen=True)
class StrategyKind:
    """A registered strategy. ``prepare`` does on a device, with so many threads
    (None: as many as it finds), what comes before trials; ``make`` gives it for a run, as the author wrote it."""

    make: MakeStrategy
    prepare: Prepare

    def strategy(self, run: SearchRun) -> Strategy:
        """It for a run, as the engine drives it."""
        return driven(self.make(run))


def driven(strategy: Strategy | AskTell) -> Strategy:
    """A strategy as the engine runs it: asked and told, if it can be, whatever else it is called or keeps."""
    asked = callable(getattr(strategy, "ask", None)) and callable(getattr(strategy, "tell", None))
    return Driven(cast(AskTell, strategy)) if asked else cast(Strategy, strategy)


STRATEGIES: Registry[StrategyKind] = Registry("strategy", "Strategies")


def register_strategy(name: str, *, prepare: Prepare = _nothing) -> Callable[[MakeStrategy], MakeStrategy]:
    """Register a strategy: a function of a run, or a class made with one.

    It returns something that is asked and told (``AskTell``), or that keeps a loop of its own (``Strategy``).
    Parameters after the run are options: ``--strategy annealing:heat=0.2``.

    Args:
        name: Name for ``--strategy``.
        prepare: Called before the first trial, to train a supernet, say.

    Returns:
        A decorator that gives the function or class back.

    Raises:
        ValueError: If the name is taken.
    """

    def register(make: MakeStrategy) -> MakeStrategy:
        STRATEGIES.add(name, StrategyKind(make, prepare))
        declare("strategy", name, make, 1)
        return make

    return register


def get_strategy(name: str) -> StrategyKind:
    """The strategy called ``name``, its options bound; UsageError names the nearest one."""
    found = STRATEGIES.find(base_name(name))
    if errors := option_errors("strategy", name):
        raise UsageError(*errors)
    return replace(found, make=bound("strategy", name, found.make, 1))


def _import_nni(journal: Journal[SearchRun], device: str, threads: int | None) -> None:
    """It takes a second, in which the workers' server imports torch."""
    import nas.strategies.nni_multi_trial  # noqa: F401


@register_strategy("evolution", prepare=_import_nni)
@register_strategy("random", prepare=_import_nni)
def _nni(run: SearchRun) -> Strategy:
    """NNI's regularized evolution or random search, proposing under the budget, with ``--guide on`` what a predictor
    holds for the best."""
    from nas.strategies.guided_proposals import GuidedProposer
    from nas.strategies.nni_multi_trial import NNIStrategy
    from nas.strategies.replayed_proposals import RecallingProposer

    kind = GuidedProposer if run.config.guide == "on" else RecallingProposer
    proposer = kind.of(run)
    return NNIStrategy(
        run.config.strategy, proposer, objective=run.config.objective, seed=run.config.seed,
        population=run.facts.population,
    )  # fmt: skip


def _train_supernet(journal: Journal[SearchRun], device: str, threads: int | None) -> None:
    if journal.run.candidates is None:
        journal.tell(SupernetProgress(epoch=0, steps=0, of_steps=0, seconds=0.0))  # imports alone take seconds
    from nas.strategies.oneshot.stage import find_candidates

    with journal.watch.span("supernet"):
        find_candidates(journal, device, threads=threads)


class RankedCandidates:
    """An ``AskTell``: what a supernet ranked, the best first."""

    def __init__(self, run: SearchRun) -> None:
        self._left = iter(run.ranked_candidates)

    def ask(self) -> Proposal | None:
        candidate = next(self._left, None)
        return None if candidate is None else Proposal(candidate.sample)

    def tell(self, trial: object) -> None:
        """Results change nothing: the order was decided by the supernet."""


for _name in ONE_SHOT:
    register_strategy(_name, prepare=_train_supernet)(RankedCandidates)
