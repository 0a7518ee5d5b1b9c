"""Optimizers and schedules in words, and the warning of a training that ends within a cycle."""

from __future__ import annotations

import pytest

from nas.config import Recipe
from nas.config.rates import cycle_at, optimizer_words, rates_in_words, schedule_words
from nas.report.cautions import cautions


def test_what_is_usual_is_said_as_before() -> None:
    for optimizer in ("adam", "sgd"):
        for schedule in ("one-cycle", "cosine", "step", "constant"):
            recipe = Recipe(optimizer=optimizer, schedule=schedule)
            assert (optimizer_words(recipe), schedule_words(recipe)) == (optimizer, schedule)
            assert rates_in_words(recipe) == ""


def test_momentum_and_schedules_by_epochs_are_told() -> None:
    assert optimizer_words(Recipe(optimizer="sgd", momentum=0)) == "sgd without momentum"
    assert optimizer_words(Recipe(optimizer="sgd", nesterov=False)) == "sgd with momentum 0.9"
    assert optimizer_words(Recipe(optimizer="sgd", momentum=0.8)) == "sgd with Nesterov momentum 0.8"
    words = rates_in_words(Recipe(schedule="exponential", decay=0.9))
    assert words == "by adam, learning rate exponential (times 0.9 after each epoch)"
    once = schedule_words(Recipe(schedule="warm-restarts", restart_epochs=4, restart_factor=1))
    assert once == "warm-restarts (the first after 4 epochs)"
    assert "each cycle 2 times as long" in schedule_words(Recipe(schedule="warm-restarts"))


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        (10, None),
        (30, None),
        (20, "at 50 % of the peak learning rate. --epochs 10 or 30 ends"),
        (5, "at 50 % of the peak learning rate. --epochs 10 ends"),
        (29, "at 1 % of the peak"),
    ],
)
def test_an_end_within_a_cycle_is_cautioned(epochs: int, words: str | None) -> None:
    found = cautions(Recipe(schedule="warm-restarts", epochs=epochs, batch_size=8), 100)
    assert (found == []) if words is None else (len(found) == 1 and words in found[0])
    assert cautions(Recipe(epochs=epochs, batch_size=8), 100) == []


def test_cycles_follow_one_another() -> None:
    doubled = Recipe(schedule="warm-restarts", restart_epochs=2)
    assert [cycle_at(done, doubled) for done in (0, 1.9, 2, 5.9, 6)] == [(0, 2), (0, 2), (2, 4), (2, 4), (6, 8)]
    equal = Recipe(schedule="warm-restarts", restart_epochs=3, restart_factor=1)
    assert [cycle_at(done, equal) for done in (0, 2.5, 3, 10_000)] == [(0, 3), (0, 3), (3, 3), (9_999, 3)]
