"""Estimate of a search's duration: sampled networks are trained for a few steps."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from nas.autotune.workers import PROBE, MeasuringFailed, together
from nas.config import Recipe, SearchConfig
from nas.config.auto_recipe import images_per_epoch
from nas.engine.placement import in_short_steps, is_worth_measuring, trial_of
from nas.engine.plan import Plan
from nas.engine.race import num_waves
from nas.executors import LocalExecutor, each_result, start_server
from nas.strategies.guided_proposals import GuidedProposer
from nas.strategies.proposals import Proposer, generator_of
from nas.trials import TrialResult, TrialSpec
from search_spaces import Sample

NUM_TIMED = 8  # networks: multiplications do not tell, the densenet in the middle by them takes half of the mean
SECONDS = 2.0  # after which no other network is begun
TIMEOUT = 10.0  # of one network


def timed(plan: Plan) -> Plan:
    """``plan`` with the time of a trial, for a search on a CPU that is long enough to be worth measuring."""
    if plan.slots[0].device != "cpu" or not is_worth_measuring(plan):
        return plan
    return replace(plan, trial_seconds=trial_seconds(plan))


def trial_seconds(plan: Plan) -> float | None:
    """Seconds that a trial takes on average if it is not stopped early, with one in every slot of ``plan``.

    The mean over networks that the search may propose. None if none could be measured.
    """
    results: list[TrialResult] = []
    specs = list(to_be_timed(plan))
    start_server(plan.slots)
    with LocalExecutor(plan.slots, run=PROBE, trial_timeout=TIMEOUT) as executor, suppress(MeasuringFailed):
        together(executor, specs[0], "wake", len(plan.slots))
        end = time.monotonic() + SECONDS
        in_time = itertools.takewhile(lambda spec: time.monotonic() < end, specs)
        results += [result for result in each_result(executor, in_time) if result.status == "finished"]
    return statistics.fmean(seconds_of(result, plan) for result in results) if results else None


def to_be_timed(plan: Plan) -> Iterator[TrialSpec]:
    """Some trials of the search, as workers are asked how fast they are."""
    number = max(NUM_TIMED, len(plan.slots))
    for place, sample in enumerate(itertools.islice(foreseen(plan), number)):
        yield replace(in_short_steps(plan, trial_of(plan, sample)), id=str(place), probe="time")


def foreseen(plan: Plan) -> Iterator[Sample]:
    """Foreseeable proposals of the search, as far as they need no results.

    The first samples of random search and evolution are these very ones. Then, where evolution proposes mutants of the
    best, mutants of each of the first in turn: these multiply as much as their parents, on average. Of a guided search
    it is what it would explore, since what it proposes then is of a size with that.
    """
    config, state = plan.config, np.random.RandomState(plan.config.seed)
    proposer = Proposer(plan.space, plan.task, plan.budget)
    if config.guide == "on":
        proposer = GuidedProposer(plan.space, plan.task, plan.budget, seed=config.seed, objective=config.objective)
    num_fresh = config.population if config.strategy == "evolution" and config.guide == "off" else None
    first: list[Sample] = []
    while len(first) != num_fresh and (sample := proposer.fresh(generator_of(state))) is not None:
        first.append(sample)
        yield sample
    for parent in itertools.cycle(first):
        if (sample := proposer.mutant(parent, generator_of(state))) is None:
            return
        yield sample


def seconds_of(result: TrialResult, plan: Plan) -> float:
    """Of a whole trial of a network, from how fast it was."""
    values = result.metrics["probe"]
    trained, scored = values["trained_per_second"], values["scored_per_second"]
    assert isinstance(trained, float) and isinstance(scored, float)
    return training_seconds(plan.config.recipe, plan.counts, trained, scored)


def training_seconds(
    recipe: Recipe, counts: Mapping[str, Sequence[int]], trained_per_second: float, scored_per_second: float
) -> float:
    """Of a training that sees every epoch and scores ``select`` as its recipe has it, and both splits at its end.

    ``counts``: images of each class, by split.
    """
    num_trained = recipe.epochs * images_per_epoch(recipe, counts["train"])
    num_scored = (math.ceil(recipe.epochs / recipe.select_every) + 1) * sum(counts["select"]) + sum(counts["rank"])
    return num_trained / trained_per_second + num_scored / scored_per_second


def search_seconds(config: SearchConfig, trial_seconds: float, num_slots: int) -> float:
    """Of trials and then confirmations, in rounds of as many as there are slots."""
    waves = math.ceil(config.trials / num_slots) + num_waves(config, num_slots) * config.confirm_ratio
    return waves * trial_seconds
