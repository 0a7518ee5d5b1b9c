"""The learning-rate range test, against functions whose answers are known."""

import math

import numpy as np
import pytest

from nas.training.range_test import growing_rates, range_test


class Quadratic:
    """Gradient descent on ``curvature x^2 / 2``: it diverges from a rate of ``2 / curvature`` on."""

    def __init__(self, curvature: float, x: float = 1.0) -> None:
        self.curvature, self.x = curvature, x

    def step(self, rate: float) -> float:
        loss = self.curvature * self.x**2 / 2
        self.x -= rate * self.curvature * self.x
        return loss


@pytest.mark.parametrize("curvature", [0.5, 8.0, 300.0])
def test_of_a_quadratic_the_rate_where_it_diverges_is_found(curvature: float) -> None:
    rates = growing_rates(1e-5, 100.0, 100)
    found = range_test(Quadratic(curvature).step, rates, smoothed=0)

    factor = rates[1] / rates[0]
    assert found.diverged is not None and found.tenth is not None
    assert 2 / curvature / factor <= found.diverged <= 2 / curvature * factor**1.001
    assert found.tenth == pytest.approx(found.diverged / 10)
    assert len(found.losses) < len(rates)  # it stopped where nothing is learned


def test_the_steepest_descent_is_that_of_the_closed_form() -> None:
    rates = growing_rates(1e-5, 100.0, 100)
    found = range_test(Quadratic(8.0).step, rates, smoothed=0)

    # The loss before step n is 4 times the product of (1 - 8 r)^2 over the rates before it.
    learned = rates[: len(found.rates)]
    factors = (1 - 8.0 * np.array(learned)) ** 2
    losses = 4 * np.concatenate([[1.0], np.cumprod(factors)[:-1]])
    below = np.array(learned) < 2 / 8.0
    slopes = np.gradient(losses, np.log(learned))
    assert found.steepest == rates[int(np.argmin(np.where(below, slopes, np.inf)))]
    assert found.losses == pytest.approx(losses)


def test_noise_does_not_move_what_is_suggested_far() -> None:
    rates, rng = growing_rates(1e-5, 100.0, 100), np.random.default_rng(0)
    descent = Quadratic(8.0)
    noisy = range_test(lambda rate: descent.step(rate) + 0.05 * rng.standard_normal(), rates)
    clean = range_test(Quadratic(8.0).step, rates, smoothed=0)

    assert noisy.steepest is not None and clean.steepest is not None
    assert 1 / 3 < noisy.steepest / clean.steepest < 3


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    rising = iter(range(1, 1000))
    found = range_test(lambda rate: float(next(rising)), growing_rates())
    assert (found.steepest, found.diverged, found.tenth) == (None, None, None)

    broken = range_test(lambda rate: math.nan, growing_rates())
    assert broken.rates == broken.losses == () and broken.steepest is None


def test_rates_grow_by_one_factor() -> None:
    rates = growing_rates(1e-4, 1.0, 41)
    assert rates[0] == pytest.approx(1e-4) and rates[-1] == pytest.approx(1.0)
    assert np.diff(np.log(rates)) == pytest.approx(np.log(10) / 10)
    for lowest, highest, steps in [(0.0, 1.0, 50), (1.0, 0.1, 50), (0.1, 1.0, 3)]:
        with pytest.raises(ValueError, match="range test"):
            growing_rates(lowest, highest, steps)
