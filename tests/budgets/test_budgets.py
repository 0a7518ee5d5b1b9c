"""Budgets: sizes as typed, what is admitted, sampling what fits, and what is said when nothing does."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets import Budget, Cost, cost_of, costs_of, parse_size
from budgets.sampling import descend, distinct, pick, resolve_budget, sample_feasible, smallest
from search_spaces import Task, get_space, space_names
from search_spaces.errors import UsageError

TASK = Task((1, 28, 28), 62)
every_space = pytest.mark.parametrize("name", space_names())


@pytest.mark.parametrize(
    ("text", "value"),
    [("150k", 150_000), ("150000", 150_000), ("150_000", 150_000), ("1.5M", 1_500_000), ("1.5m", 1_500_000),
     (" 64KiB ", 65_536), ("2G", 2_000_000_000), ("10kB", 10_000), ("0.5k", 500)],
)  # fmt: skip
def test_sizes_as_people_type_them(text, value):
    assert parse_size(text) == value


@pytest.mark.parametrize(
    "text", ["150 kk", "", "k", "-3", "0", "1.5", "1e5x", "12 34", "1..5k", "ten", "nan", "0.0001k"]
)
def test_what_is_not_a_size_says_what_is(text):
    with pytest.raises(ValueError, match="150k"):
        parse_size(text)


@given(st.integers(1, 10**12))
def test_any_whole_number_is_a_size(value):
    assert parse_size(str(value)) == value


def test_violations_name_each_limit_that_is_broken():
    budget = Budget(max_params=100, max_macs=1000, max_bytes=400, max_peak_memory=50, min_params=10)
    assert budget.violations(Cost(100, 1000, 400, 50)) == []
    assert len(budget.violations(Cost(101, 1001, 401, 51))) == 4
    assert "101 parameters" in budget.violations(Cost(101, 1, 1, 1))[0]
    assert "under the minimum of 10" in budget.violations(Cost(9, 1, 1, 1))[0]


@pytest.mark.parametrize("shape", [(300, 4), (1, 4), (0, 4), (5, 0)], ids=str)
def test_rows_are_told_apart_as_numpy_does(shape):
    rows = np.random.default_rng(0).integers(-2, 3, shape).astype(np.int16)
    for found, right in zip(distinct(rows), np.unique(rows, axis=0, return_index=True), strict=True):
        assert found.tolist() == right.tolist() and found.dtype == right.dtype


def test_least_above_most_is_refused():
    with pytest.raises(UsageError, match="--min-params"):
        Budget(max_params=10, min_params=11)


@every_space
@given(limits=st.lists(st.integers(1, 60), min_size=4, max_size=4), least=st.integers(0, 30))
def test_whether_many_fit_agrees_with_whether_each_does(name, limits, least):
    space = get_space(name)
    rows = space.sample_over_sizes(np.random.default_rng(0), 40)
    costs = costs_of(space, rows, TASK)
    budget = Budget(
        limits[0] * 20_000, limits[1] * 10**6, limits[2] * 80_000, limits[3] * 10_000, min(least, limits[0])
    )
    admitted = budget.admits(costs)
    assert [not budget.violations(cost) for cost in costs] == list(admitted)
    assert list(budget.excess(costs) == 0) == list(admitted)


@every_space
@pytest.mark.parametrize("most", [10_000, 21_422, 149_566, 700_000])
def test_what_is_sampled_fits_and_covers_the_sizes(name, most):
    space = get_space(name)
    budget = Budget(max_params=most, min_params=most // 2)
    rows, costs = sample_feasible(space, TASK, budget, np.random.default_rng(0))
    assert len(rows) >= 30
    assert budget.admits(costs).all()
    thirds = np.histogram(costs.params, bins=np.linspace(most / 2, most, 4))[0]
    assert (thirds > 0).all()


@every_space
def test_rare_budgets_are_reached_one_choice_at_a_time(name):
    """A budget on all costs at once, each of which a known sample just meets, where no random sample does."""
    space = get_space(name)
    known = cost_of(space, space.canonical, TASK)
    for tight in (
        Budget(*astuple(smallest(space, TASK, "macs")[1])),
        Budget(*astuple(known), min_params=known.params * 9 // 10),
    ):
        rows, costs = sample_feasible(space, TASK, tight, np.random.default_rng(0), most_batches=0)
        assert len(rows)
        assert tight.admits(costs).all()


def test_picks_are_distributed_over_sizes_though_most_samples_are_small():
    rng = np.random.default_rng(0)
    params = np.concatenate([rng.integers(1000, 2000, 990), rng.integers(2000, 9000, 10)])
    picked = np.array([params[pick(params, rng)] for _ in range(400)])
    assert (picked > 2000).mean() > 0.4  # one in a hundred without bins


@every_space
def test_smallest_is_not_beaten_by_many_draws(name):
    space = get_space(name)
    costs = costs_of(space, space.sample_over_sizes(np.random.default_rng(5), 50_000), TASK)
    for cost_name in ("params", "macs", "peak_memory"):
        sample, cost = smallest(space, TASK, cost_name)
        assert getattr(cost, cost_name) <= getattr(costs, cost_name).min()
        assert cost == cost_of(space, sample, TASK)


def test_descent_stops_where_no_single_choice_improves():
    space = get_space("resnet")
    starts = np.stack([space.encode(space.canonical), *space.sample_uniform(np.random.default_rng(0), 3)])
    rows, scores = descend(space, starts, lambda rows: rows.sum(axis=1).astype(float))
    assert not scores.any()
    assert not rows.any()


def test_least_size_is_half_the_budget_unless_given():
    space = get_space("densenet")
    budget, note = resolve_budget(space, TASK, Budget(max_params=150_000))
    assert budget.min_params == 75_000
    assert "--min-params" in note
    given_least, note = resolve_budget(space, TASK, Budget(max_params=150_000, min_params=1))
    assert (given_least.min_params, note) == (1, "")
    roomy, note = resolve_budget(space, TASK, Budget(max_params=10**9))
    assert roomy.min_params is None
    assert "no feasible architecture" in note


@every_space
def test_a_budget_nothing_fits_names_the_smallest_network(name):
    space = get_space(name)
    with pytest.raises(UsageError) as caught:
        resolve_budget(space, TASK, Budget(max_params=200))
    least, cost = smallest(space, TASK, "params")
    assert f"--max-params {cost.params}" in str(caught.value)
    assert space.text(least) in str(caught.value)
    resolve_budget(space, TASK, Budget(max_params=cost.params))  # what the message says to type works
