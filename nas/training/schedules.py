"""The learning rate over a training."""

from __future__ import annotations

import math

from nas.config import Recipe

WARM_UP = 0.25  # share of a one-cycle schedule in which the learning rate rises
START = 0.1  # of the maximum learning rate, where a one-cycle schedule begins
STEP_LENGTH = 1 / 200  # of the five steps in which a step schedule rises
STEP_DROPS = ((0.9, 1e-4), (0.8, 1e-2))  # from which share of the training on, of the maximum
ROUNDING = 1e-9


def learning_rate(progress: float, recipe: Recipe) -> float:
    """The rate at ``progress`` (0 to below 1) of a training.

    "cosine" falls from the maximum to 0 along half a cosine (Loshchilov and Hutter 2017); "one-cycle" climbs
    in a line to the maximum first (Smith and Topin 2019), without their last phase. "step" is the schedule of
    the LDAM-DRW code (Cao et al. 2019) in shares of its 200 epochs: up in five equal steps of an epoch, then the
    maximum, a hundredth after 160 epochs, a ten-thousandth after 180. "constant" is the maximum throughout.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        return recipe.learning_rate * _step(progress + ROUNDING)
    if recipe.schedule == "one-cycle":
        if progress < WARM_UP:
            return recipe.learning_rate * (START + (1 - START) * progress / WARM_UP)
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def learning_rates(recipe: Recipe, epoch: int, steps: int, *, epochs: int | None = None) -> list[float]:
    """The rate at each of the ``steps`` of epoch ``epoch``, from 1, of the recipe's ``epochs`` or of others."""
    return [learning_rate((epoch - 1 + step / steps) / (epochs or recipe.epochs), recipe) for step in range(steps)]


def _step(progress: float) -> float:
    for start, share in STEP_DROPS:
        if progress >= start:
            return share
    return min(1.0, (math.floor(progress / STEP_LENGTH) + 1) / 5)
