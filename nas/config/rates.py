"""Optimizer and schedule of a recipe in words, and the cycles of its warm restarts."""

from __future__ import annotations

from collections.abc import Iterator

from nas.config.recipe import Recipe
from nas.units import counted


def cycles(recipe: Recipe) -> Iterator[tuple[int, int]]:
    """Cycles of warm restarts without end: the epochs before each, and its own."""
    start, length = 0, recipe.restart_epochs
    while True:
        yield start, length
        start += length
        length *= recipe.restart_factor


def cycle_at(done: float, recipe: Recipe) -> tuple[int, int]:
    """The cycle that goes on after ``done`` epochs: those before it, and its own."""
    if recipe.restart_factor == 1:
        length = recipe.restart_epochs
        return int(done // length) * length, length
    return next((start, length) for start, length in cycles(recipe) if done < start + length)


def optimizer_words(recipe: Recipe) -> str:
    """The optimizer; of SGD what differs from its defaults."""
    if recipe.optimizer != "sgd" or (recipe.momentum == 0.9 and recipe.nesterov):
        return recipe.optimizer
    if not recipe.momentum:
        return "sgd without momentum"
    return f"sgd with {'Nesterov ' if recipe.nesterov else ''}momentum {recipe.momentum:g}"


def schedule_words(recipe: Recipe) -> str:
    """The schedule, with the numbers without which it says nothing."""
    if recipe.schedule == "exponential":
        return f"exponential (times {recipe.decay:g} after each epoch)"
    if recipe.schedule == "warm-restarts":
        longer = (
            f", each cycle {recipe.restart_factor} times as long as the one before" if recipe.restart_factor > 1 else ""
        )
        return f"warm-restarts (the first after {counted(recipe.restart_epochs, 'epoch')}{longer})"
    return recipe.schedule


def rates_in_words(recipe: Recipe) -> str:
    """Both where one of them is unusual, else nothing."""
    words = optimizer_words(recipe), schedule_words(recipe)
    return "" if words == (recipe.optimizer, recipe.schedule) else f"by {words[0]}, learning rate {words[1]}"
