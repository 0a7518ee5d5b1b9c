"""Optimizers and schedules that go by epochs, held against torch's schedulers and the formulas of their papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, ExponentialLR, LRScheduler

from nas.config import Recipe
from nas.training.schedules import learning_rates
from nas.training.step import make_optimizer

STEPS = 7  # of an epoch
LAST = 23  # epoch


def of_torch(make: Any, *, by_step: bool) -> list[float]:
    """The rate of every step by a scheduler of torch that is told of every epoch, or of every step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1, dtype=torch.float64))], 0.3)
    scheduler: LRScheduler = make(optimizer)
    rates = []
    for epoch in range(LAST):
        for step in range(STEPS):
            if by_step:
                scheduler.step(epoch + step / STEPS)  # type: ignore[arg-type]
            rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if not by_step:
            scheduler.step()
    return rates


def ours(**changes: Any) -> list[float]:
    recipe = Recipe(epochs=LAST, learning_rate=0.3, **changes)
    return [rate for epoch in range(1, LAST + 1) for rate in learning_rates(recipe, epoch, STEPS)]


@pytest.mark.parametrize("gamma", [0.97, 0.5, 1.0])
def test_exponential_decay_is_torchs(gamma: float) -> None:
    expected = of_torch(lambda optimizer: ExponentialLR(optimizer, gamma), by_step=False)
    np.testing.assert_allclose(ours(schedule="exponential", decay=gamma), expected, rtol=1e-12)


@pytest.mark.parametrize(("first", "factor"), [(10, 2), (3, 1), (1, 3), (40, 2), (2, 2)])
def test_warm_restarts_are_torchs(first: int, factor: int) -> None:
    expected = of_torch(lambda optimizer: CosineAnnealingWarmRestarts(optimizer, first, factor), by_step=True)
    rates = ours(schedule="warm-restarts", restart_epochs=first, restart_factor=factor)
    np.testing.assert_allclose(rates, expected, rtol=1e-9, atol=1e-9)
    assert rates[0] == pytest.approx(0.3)


@pytest.mark.parametrize("schedule", ["exponential", "warm-restarts"])
def test_they_go_by_epochs_whatever_the_length_and_warm_up_in_a_line(schedule: str) -> None:
    plain = ours(schedule=schedule)
    recipe = Recipe(schedule=schedule, learning_rate=0.3, epochs=90)
    assert learning_rates(recipe, 12, STEPS) == pytest.approx(plain[11 * STEPS : 12 * STEPS])
    assert learning_rates(recipe, 12, STEPS, epochs=31) == pytest.approx(plain[11 * STEPS : 12 * STEPS])
    warmed = ours(schedule=schedule, warmup=2)
    share = np.minimum(1, np.arange(1, LAST * STEPS + 1) / (2 * STEPS))
    np.testing.assert_allclose(warmed, share * plain)


@pytest.mark.parametrize(
    "changes",
    [
        {},  # as all recipes before there were settings: Nesterov's momentum of 0.9
        {"nesterov": False},
        {"momentum": 0.5, "weight_decay": 0.1},
        {"momentum": 0.0},
        {"momentum": 0.0, "nesterov": False, "weight_decay": 0.1},
    ],
)
def test_sgd_follows_its_formula(changes: dict[str, Any]) -> None:
    """By Sutskever et al. 2013 as torch writes it: v = mu v + g, then g + mu v or v, in float64."""
    recipe = Recipe(optimizer="sgd", learning_rate=0.05, **changes)
    rng = np.random.default_rng(0)
    square, weights = rng.normal(size=(3, 3)), rng.normal(size=3)
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    model.load_state_dict({"weight": torch.tensor(weights)[None]})
    optimizer, velocity = make_optimizer(model, recipe), np.zeros(3)
    for _ in range(6):
        optimizer.zero_grad()
        (model(torch.tensor(square)) ** 2).sum().backward()
        optimizer.step()
        gradient = 2 * square.T @ square @ weights + recipe.weight_decay * weights
        velocity = recipe.momentum * velocity + gradient
        ahead = recipe.momentum > 0 and changes.get("nesterov", True)
        weights = weights - 0.05 * (gradient + recipe.momentum * velocity if ahead else velocity)
        np.testing.assert_allclose(model.weight.detach().numpy()[0], weights, rtol=1e-12)
