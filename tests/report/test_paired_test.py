"""The paired test of a comparison against a count of every assignment of signs."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from nas.report.comparison import MOST_EXACT, RESAMPLES, PairedTest, paired


def counted(differences: list[Fraction]) -> float:
    """In exact arithmetic: the share of the assignments whose sum is at least as far from 0."""
    signs = list(itertools.product((1, -1), repeat=len(differences)))
    sums = [abs(sum(sign * one for sign, one in zip(some, differences, strict=True))) for some in signs]
    return sum(one >= abs(sum(differences)) for one in sums) / len(signs)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10])
def test_p_is_the_share_of_assignments_as_far_from_zero(count: int) -> None:
    sampled = np.random.default_rng(count).integers(-200, 400, count).tolist()
    found = paired([0.5 + one / 1000 for one in sampled], [0.5] * count)
    assert found.p == pytest.approx(counted([Fraction(one, 1000) for one in sampled]), abs=1e-12)
    assert found.p >= found.least_p == 2 / 2**count
    assert found.pairs == count and found.difference == pytest.approx(np.mean(sampled) / 1000)


@pytest.mark.parametrize("values", [[0.3, -0.2, -0.1], [0.1, 0.2, -0.3, 0.0], [0.1] * 7, [0.7, 0.1, 0.2, 0.1, -0.1]])
def test_ties_count_whatever_their_rounding(values: list[float]) -> None:
    exact = [Fraction(str(value)) for value in values]
    assert paired(values, [0.0] * len(values)).p == pytest.approx(counted(exact), abs=1e-12)


def test_the_largest_exact_test_is_exact() -> None:
    found = paired([0.9 + 0.001 * n for n in range(MOST_EXACT)], [0.5] * MOST_EXACT)
    assert found.p == found.least_p == 2 / 2**MOST_EXACT


def test_many_pairs_are_sampled_not_counted() -> None:
    winner = [0.9 + 0.001 * n for n in range(20)]
    found = paired(winner, [0.5] * 20)
    assert found.p == found.least_p == 1 / RESAMPLES
    rng = np.random.default_rng(0)
    noise = list(rng.normal(0.02, 0.1, 18))
    sampled = paired(noise, [0.0] * 18)
    signs = np.array(list(itertools.product((1, -1), repeat=18)), np.int8)
    p = (np.abs(signs @ np.array(noise)) >= abs(sum(noise)) - 1e-12).mean()
    assert sampled.p == pytest.approx(p, abs=5 * (p * (1 - p) / RESAMPLES) ** 0.5)
    assert paired(noise, [0.0] * 18) == sampled


def test_pairs_that_are_missing() -> None:
    assert paired([0.5], []) == PairedTest(pairs=0, difference=None, p=None, least_p=None)
    assert paired([0.5, 0.75, 0.9], [0.25]).pairs == 1
