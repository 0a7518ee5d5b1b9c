"""Proposals under a budget: the samples that a search was always given, found faster; and rare budgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets import Budget, costs_of, params_of
from budgets.cost import CHUNK
from budgets.sampling import BATCH, ENOUGH, MOST_BATCHES, descend, fitting, pick
from nas.strategies.proposals import MUTANTS, REFILL, Proposer
from search_spaces import Sample, SearchSpace, Task, get_space, space_names
from search_spaces.space import Rows

TASK = Task((3, 32, 32), 10)
every_space = pytest.mark.parametrize("name", space_names())
BUDGETS = (
    Budget(max_params=150_000, min_params=75_000),
    Budget(max_params=60_000, max_macs=12_000_000),
    Budget(max_bytes=600_000, max_peak_memory=300_000),
    Budget(max_peak_memory=150_000),
)


class Plain:
    """``Proposer`` as it was written first: everything is sampled anew and costed in full."""

    def __init__(self, space: SearchSpace, budget: Budget) -> None:
        self.space, self.budget = space, budget
        self.proposed: set[str] = set()
        self.store: Rows = np.empty((0, len(space.choices)), np.int16)

    def fresh(self, rng: np.random.Generator) -> Sample | None:
        for refill in (False, True):
            if refill or len(self.store) < REFILL:
                found: list[Rows] = []
                while len(found) < MOST_BATCHES and sum(map(len, found)) < ENOUGH:
                    found.append(self.that_fit(self.space.sample_over_sizes(rng, BATCH)))
                self.store = np.unique(np.concatenate(found), axis=0)
            if sample := self.take(rng):
                return sample
        return None

    def mutant(self, parent: Sample, rng: np.random.Generator) -> Sample | None:
        rows = np.unique(self.space.mutants(self.space.encode(parent), rng, MUTANTS), axis=0)
        before, self.store = self.store, self.that_fit(rows)
        sample = self.take(rng)
        self.store = before
        return sample or self.fresh(rng)

    def that_fit(self, rows: Rows) -> Rows:
        return rows[self.budget.admits(costs_of(self.space, rows, TASK))]

    def take(self, rng: np.random.Generator) -> Sample | None:
        while len(self.store):
            index = pick(costs_of(self.space, self.store, TASK).params, rng)
            sample = self.space.decode(self.store[index])
            self.store = np.delete(self.store, index, axis=0)
            if (identity := self.space.architecture_id(sample, TASK)) not in self.proposed:
                self.proposed.add(identity)
                return sample
        return None


def proposals(proposer: Proposer | Plain, count: int) -> list[Sample]:
    """As evolution asks: a generator for each, some anew, then mutants of one parent."""
    rng, samples = np.random.default_rng(3), list[Sample]()
    for number in range(count):
        each = np.random.default_rng(rng.integers(2**31, size=4))
        sample = proposer.fresh(each) if number < count / 3 else proposer.mutant(samples[0], each)
        assert sample is not None
        samples.append(sample)
    return samples


@every_space
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_proposals_are_those_of_full_costs(name, budget):
    space = get_space(name)
    assert proposals(Proposer(space, TASK, budget), 15) == proposals(Plain(space, budget), 15)


def rare_budget(space: SearchSpace) -> tuple[Budget, np.ndarray]:
    """Limits on parameters, from both sides, and MACs that about one sample in 10,000 meets; sizes that do."""
    costs = costs_of(space, space.sample_over_sizes(np.random.default_rng(5), 100_000), TASK)
    max_macs = int(np.quantile(costs.macs[abs(costs.params - 100_000) < 10_000], 0.1))
    inside = np.sort(costs.params[(costs.params <= 100_000) & (costs.macs <= max_macs)])
    return Budget(max_params=100_000, min_params=int(inside[-10]), max_macs=max_macs), inside[-10:]


@every_space
def test_rare_samples_fit_are_not_repeated_and_distributed_over_sizes(name):
    space = get_space(name)
    budget, sizes = rare_budget(space)
    samples = proposals(Proposer(space, TASK, budget), 60)
    costs = costs_of(space, np.stack([space.encode(sample) for sample in samples]), TASK)
    assert budget.admits(costs).all()
    assert len({space.architecture_id(sample, TASK) for sample in samples}) == len(samples)
    thirds = np.linspace(budget.min_params, budget.max_params, 4)
    reached = np.histogram(sizes, thirds)[0] > 0
    assert (np.histogram(costs.params, thirds)[0][reached] > 6).all()


@every_space
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), side=st.integers(8, 224), classes=st.integers(2, 99))
def test_parameters_alone_are_those_of_the_full_reading(name, seed, side, classes):
    space, task = get_space(name), Task((1 + 2 * (seed % 2), side, side), classes)
    rng = np.random.default_rng(seed)
    rows = np.concatenate([space.sample_uniform(rng, 60), space.sample_over_sizes(rng, 60)])
    assert (params_of(space, rows, task) == costs_of(space, rows, task).params).all()


@every_space
def test_rows_read_in_pieces_cost_what_each_costs_alone(name):
    space = get_space(name)
    rows = space.sample_uniform(np.random.default_rng(0), CHUNK + 7)
    whole, last = costs_of(space, rows, TASK), costs_of(space, rows[-7:], TASK)
    assert list(whole)[-7:] == list(last)
    assert (params_of(space, rows, TASK) == whole.params).all()


@every_space
@settings(max_examples=10)
@given(limits=st.lists(st.none() | st.integers(1, 60), min_size=4, max_size=4), least=st.none() | st.integers(1, 30))
def test_what_fits_is_what_full_costs_admit(name, limits, least):
    space = get_space(name)
    units = (20_000, 10**6, 80_000, 10_000)
    most = [limit and limit * unit for limit, unit in zip(limits, units, strict=True)]
    budget = Budget(*most, min_params=least if least is None or most[0] is None else min(least * 20_000, most[0]))
    rows = space.sample_over_sizes(np.random.default_rng(0), 60)
    expected = rows[budget.admits(costs_of(space, rows, TASK))]
    assert (fitting(space, TASK, budget, rows) == expected).all()


def test_starts_that_descend_together_end_where_each_does_alone():
    space = get_space("densenet")
    starts = space.sample_uniform(np.random.default_rng(0), 4)
    budget = Budget(max_macs=3_000_000, min_params=60_000)

    def score(rows: Rows) -> np.ndarray:
        return budget.excess(costs_of(space, rows, TASK))

    ends, scores = descend(space, starts, score)
    for start, end, best in zip(starts, ends, scores, strict=True):
        alone, alone_best = descend(space, start[None], score)
        assert (alone[0] == end).all()
        assert alone_best[0] == best == score(end[None])[0]
        assert best <= score(start[None])[0]
