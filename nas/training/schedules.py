"""The learning rate over a training."""

from __future__ import annotations

import math

from nas.config import Recipe
from nas.config.rates import cycle_at

LONGEST_WARM_UP = 0.5  # share of a training: short ones of a search have the recipe of long ones
STEP_LENGTH = 1 / 200  # of the five steps in which a step schedule rises
STEP_DROPS = ((0.9, 1e-4), (0.8, 1e-2))  # from which share of the training on, of the maximum
ROUNDING = 1e-9


def learning_rate(progress: float, recipe: Recipe, *, warm_up: float = 0.0, epochs: int | None = None) -> float:
    """The rate at ``progress`` (0 to below 1) of a training of the recipe's ``epochs`` or of others, whose warm-up is
    the share ``warm_up``, see ``learning_rates``.

    "cosine" falls from the maximum to 0 along half a cosine (Loshchilov and Hutter 2017); "one-cycle" climbs
    in a line to the maximum first (Smith and Topin 2019), without their last phase, and falls along half a cosine or
    in a line. "step" is the schedule of the LDAM-DRW code (Cao et al. 2019) in shares of its 200 epochs: up in five
    equal steps of an epoch, then the maximum, a hundredth after 160 epochs, a ten-thousandth after 180. "constant" is
    the maximum throughout. Two go by epochs, not by shares, so that short trainings see the beginning of longer ones:
    "exponential" is the maximum times ``decay`` to the power of the epochs that are done, "warm-restarts" falls as
    "cosine" does within cycles of ``restart_epochs`` epochs, then of ``restart_factor`` times as many, and so on
    (SGDR, Loshchilov and Hutter 2017).
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = progress * (epochs or recipe.epochs) + ROUNDING
    if recipe.schedule == "exponential":
        return recipe.learning_rate * float(recipe.decay ** math.floor(done))
    if recipe.schedule == "warm-restarts":
        before, length = cycle_at(done, recipe)
        return recipe.learning_rate * (1 + math.cos(math.pi * (done - before) / length)) / 2
    if recipe.schedule == "step":
        return recipe.learning_rate * _step(progress + ROUNDING, stairs=recipe.warmup is None)
    if recipe.schedule == "one-cycle":
        start, end, peak = recipe.cycle_start, recipe.cycle_end, recipe.cycle_peak
        if progress < peak:
            return recipe.learning_rate * (start + (1 - start) * progress / peak)
        progress = (progress - peak) / (1 - peak)
        left = 1 - progress if recipe.cycle_shape == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return recipe.learning_rate * (end + (1 - end) * left)
    progress = max(0.0, progress - warm_up) / (1 - warm_up)
    return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def learning_rates(recipe: Recipe, epoch: int, steps: int, *, epochs: int | None = None) -> list[float]:
    """The rate at each of the ``steps`` of epoch ``epoch``, from 1, of the recipe's ``epochs`` or of others.

    In a warm-up of n steps step i, from 1, has i / n of the schedule's rate (Goyal et al. 2017); "cosine" is at its
    maximum until then.
    """
    epochs = epochs or recipe.epochs
    warm_up = 0.0
    if recipe.warmup and recipe.schedule != "one-cycle":
        warm_up = min(recipe.warmup / epochs, LONGEST_WARM_UP)
    rates = []
    for step in range(steps):
        progress = (epoch - 1 + step / steps) / epochs
        rate = learning_rate(progress, recipe, warm_up=warm_up, epochs=epochs)
        if warm_up:
            rate *= min(1.0, (progress + 1 / (steps * epochs)) / warm_up)
        rates.append(rate)
    return rates


def _step(progress: float, *, stairs: bool) -> float:
    for start, share in STEP_DROPS:
        if progress >= start:
            return share
    return min(1.0, (math.floor(progress / STEP_LENGTH) + 1) / 5) if stairs else 1.0
