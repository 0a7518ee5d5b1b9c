"""The learning-rate range test (Smith 2017, section 3.3): what the loss does while the rate grows at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 200
WORSE = 4.0  # times the lowest smoothed loss: nothing is learned from there on
SMOOTHED = 0.06  # share of the steps over which a loss is averaged, half of them before it and half after
UNJUDGED = 0.05  # share of the steps that are never judged: of the first batches
A_TENTH = 0.1
NORMAL_MEDIAN = 0.6745  # of the absolute value, in standard deviations, of a normal distribution


@dataclass(frozen=True)
class RangeTest:
    """The curve of a range test, and the learning rates that it suggests; None where the loss never fell.

    ``smoothed`` is the mean of ``losses`` over neighbouring steps. ``diverged`` is the last rate at which it is not
    above its lowest value by more than the noise of a step: larger ones raise it. ``steepest`` is where it falls
    fastest over the logarithm of the rate.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float | None
    diverged: float | None

    @property
    def tenth(self) -> float | None:
        """A tenth of the rate from which on the loss rises."""
        return None if self.diverged is None else A_TENTH * self.diverged


def growing_rates(lowest: float = LOWEST, highest: float = HIGHEST, steps: int = STEPS) -> list[float]:
    """``steps`` learning rates from ``lowest`` to ``highest``, each the same factor above the one before.

    ValueError unless 0 < lowest < highest and there are at least 10 steps."""
    if not 0 < lowest < highest < math.inf or steps < 10:
        raise ValueError("a range test needs 0 < lowest < highest and at least 10 steps")
    return [float(rate) for rate in np.geomspace(lowest, highest, steps)]


def range_test(step: Callable[[float], float], rates: Sequence[float], *, smoothed: float = SMOOTHED) -> RangeTest:
    """Take a step at each of the growing ``rates``; ``step`` gives the loss before it.

    Ends early where the loss is not finite or ``WORSE`` times the lowest one. ``smoothed``: the share of the steps
    that a loss is averaged over; 0: it is taken as it is.
    """
    half = round(smoothed * len(rates) / 2)
    losses: list[float] = []
    lowest, recent = math.inf, 2 * half + 1
    for rate in rates:
        loss = step(rate)
        if not math.isfinite(loss):
            break
        losses.append(loss)
        now = float(np.mean(losses[-recent:]))
        if len(losses) > max(recent, UNJUDGED * len(rates)):
            if now > WORSE * lowest:
                break
            lowest = min(lowest, now)
    return suggested(rates[: len(losses)], losses, half)


def suggested(rates: Sequence[float], losses: Sequence[float], half: int) -> RangeTest:
    """Suggestions of a curve, each loss averaged with up to ``half`` on either side."""
    smooth = _averaged(np.asarray(losses, dtype=np.float64), half)
    steepest = diverged = None
    if len(smooth) >= 3:
        bottom = int(np.argmin(smooth))
        slopes = np.gradient(smooth, np.log(np.asarray(rates)))[: bottom + 1]
        fastest = int(np.argmin(slopes))
        if bottom > 0 and slopes[fastest] < 0:
            noise = np.median(np.abs(np.asarray(losses) - smooth)[: bottom + 1]) / NORMAL_MEDIAN
            last = int(np.flatnonzero(smooth <= smooth[bottom] + noise)[-1])
            steepest, diverged = float(rates[fastest]), float(rates[last])
    return RangeTest(tuple(rates), tuple(losses), tuple(map(float, smooth)), steepest, diverged)


def _averaged(losses: npt.NDArray[np.float64], half: int) -> npt.NDArray[np.float64]:
    """Each loss with as many before it as after it, at most ``half``."""
    reaches = [min(half, place, len(losses) - 1 - place) for place in range(len(losses))]
    return np.array([losses[at - reach : at + reach + 1].mean() for at, reach in enumerate(reaches)])
