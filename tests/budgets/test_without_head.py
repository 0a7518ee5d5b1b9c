"""Budgets that do not count the last layer: for embedders, which ship without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from budgets import Budget, cost_of, costs_of
from budgets.sampling import nothing_fits, resolve_budget, sample_feasible
from search_spaces import Task, get_space
from search_spaces.errors import UsageError
from search_spaces.space import SearchSpace
from search_spaces.supernet import Supernet
from search_spaces.vocabulary import Conv, GlobalPool, sequence

TASK = Task((3, 16, 16), 500)
EMBEDDER = replace(TASK, has_head=False)
SPACES = ("vgg", "resnet", "densenet", "mobilenet", "cell")


@pytest.mark.parametrize("name", SPACES)
def test_costs_are_those_of_all_but_the_last_layer(name: str) -> None:
    space = get_space(name)
    rows = space.sample_uniform(np.random.default_rng(0), 8)
    whole, rest = costs_of(space, rows, TASK), costs_of(space, rows, EMBEDDER)
    for row, full, embedder in zip(rows, whole, rest, strict=True):
        model = space.build(space.decode(row), TASK.input_shape, TASK.num_classes)
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        assert last.out_features == TASK.num_classes
        head = sum(each.numel() for each in last.parameters())
        assert full.params - embedder.params == head == (last.in_features + 1) * TASK.num_classes
        assert full.macs - embedder.macs == last.in_features * TASK.num_classes
        assert full.size_bytes - embedder.size_bytes == 4 * head


@pytest.mark.parametrize("name", SPACES)
def test_a_search_keeps_embedders_within_the_budget(name: str) -> None:
    space, budget = get_space(name), Budget(max_params=30_000, without_head=True)
    resolved, _ = resolve_budget(space, EMBEDDER, budget)
    assert resolved.without_head and "without the last layer" in str(resolved)
    rows, costs = sample_feasible(space, EMBEDDER, resolved, np.random.default_rng(0))
    assert len(rows) and costs.params.max() <= 30_000


def test_supernets_keep_the_last_layer() -> None:
    supernet = Supernet(get_space("vgg"), EMBEDDER, lambda: {})
    assert [module for module in supernet.modules() if isinstance(module, nn.Linear)][-1].out_features == 500


def test_what_does_not_fit_because_of_its_last_layer_says_so() -> None:
    space, task, budget = get_space("mobilenet"), Task((3, 16, 16), 7000), Budget(max_params=150_000)
    message = nothing_fits(space, task, budget)
    assert "Its last layer takes 231,000 of them, 33 for each class. For up to 4,508 classes it would fit." in message
    assert "--budget-without-head" in message
    sample = {choice.label: choice.values[0] for choice in space.choices}
    fits = cost_of(space, sample, replace(task, num_classes=4_508)).params
    assert fits <= 150_000 < cost_of(space, sample, replace(task, num_classes=4_509)).params
    _, note = resolve_budget(space, task, Budget(max_params=400_000))
    assert "the last layer alone takes 231,000 parameters or more for 7,000 classes" in note


def test_networks_without_such_a_layer_are_refused() -> None:
    space = SearchSpace("plain", "", (), lambda choices, task: sequence(Conv(4), GlobalPool()), lambda sample: "", {})
    with pytest.raises(UsageError, match="do not end in a linear layer"):
        space.definition(EMBEDDER)
