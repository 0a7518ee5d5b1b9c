"""A supernet under a budget holds every network that fits, and little else."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from budgets import Budget
from budgets.sampling import sample_feasible
from budgets.usable import Reach, usable
from nas.testing.supernets import _indices, _one_hot, randomize_norms
from search_spaces import SearchSpace, Task, get_space, space_names
from search_spaces.restriction import with_values
from search_spaces.supernet import Supernet

TASK = Task((1, 8, 8), 10)
SMALL = Budget(max_params=20_000)


def size(space: SearchSpace, task: Task, reach: Reach | None = None) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in Supernet(space, task, dict, reach).parameters())


def without_cut_values(row: np.ndarray, space: SearchSpace, cut: SearchSpace, task: Task) -> dict[str, int | str]:
    """The sample of a row, in ``cut``: a value that was cut must be of a choice that its network does not depend on."""
    sample, used = space.decode(row), space.used(row, task)
    for choice in cut.choices:
        if sample[choice.label] not in choice.values:
            assert choice.label not in used, f"{choice.label}={sample[choice.label]} is lost: {space.text(sample)}"
            sample[choice.label] = choice.values[0]
    return sample


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("vgg", SMALL),
        *(pytest.param(name, SMALL, marks=pytest.mark.slow) for name in space_names() if name != "vgg"),
        ("vgg", Budget(max_macs=300_000)),
        ("vgg", Budget(max_peak_memory=12_000)),
    ],
    ids=str,
)
def test_no_network_that_fits_is_lost_and_each_is_what_it_was(name: str, budget: Budget) -> None:
    """Its value of every choice that it depends on is there, and room for all its weights; on a path, and with
    probabilities of 0 and 1, it computes the same."""
    space = get_space(name)
    cut = usable(space, TASK, budget)
    rows, _ = sample_feasible(space, TASK, budget, np.random.default_rng(1), most_batches=2)
    largest = _largest(space, rows, TASK)
    torch.manual_seed(0)
    net = Supernet(cut, TASK, dict, Reach(cut, TASK, budget))
    for row in np.concatenate([rows[:: len(rows) // 4], largest]):
        sample = without_cut_values(row, space, cut, TASK)
        assert cut.architecture_id(sample, TASK) == space.architecture_id(space.decode(row), TASK)
        net.inherit(sample)  # AssertionError if a weight is not there in full
    check_faithful(net, [without_cut_values(row, space, cut, TASK) for row in largest[:: len(largest) // 2]])


def _largest(space: SearchSpace, rows: np.ndarray, task: Task) -> np.ndarray:
    """Of ``rows`` those with the largest value of each choice that their network depends on."""
    used = [space.used(row, task) for row in rows]
    found = []
    for column, label in enumerate(space.labels):
        depending = [row for row, labels in zip(rows, used, strict=True) if label in labels]
        if depending:
            found.append(max(depending, key=lambda row, column=column: row[column]))
    return np.array(found)


def check_faithful(net: Supernet, samples: list[dict[str, int | str]]) -> None:
    net.double()
    images = torch.randn(2, *net.task.input_shape, dtype=torch.float64)
    for sample in samples:
        one_hot, indices = _one_hot(net.space, sample, torch.float64), _indices(net.space, sample)
        net.decide = partial(dict, one_hot)
        randomize_norms(net, images, torch.Generator().manual_seed(1))
        with torch.inference_mode():
            wanted = net.inherit(sample).eval()(images)
            assert torch.allclose(net(images), wanted)
            net.decide = partial(dict, indices)
            assert torch.allclose(net(images), wanted)


def test_a_small_budget_makes_a_small_supernet() -> None:
    space, task, budget = get_space("vgg"), Task((3, 32, 32), 10), Budget(max_params=20_000)
    cut = usable(space, task, budget)
    assert size(cut, task, Reach(cut, task, budget)) < size(space, task) / 5
    values = {choice.label: choice.values for choice in cut.choices}
    assert max(values["width1"]) < 64 and values["kernel1"] == (3, 5)


def test_without_a_limit_nothing_is_cut() -> None:
    space = get_space("vgg")
    for budget in (Budget(), Budget(min_params=1000), Budget(max_params=10**9)):
        assert usable(space, TASK, budget) is space
        assert size(space, TASK, Reach(space, TASK, budget)) == size(space, TASK)


def test_a_stage_that_never_fits_leaves_one_value_of_its_choices() -> None:
    space, task = get_space("vgg"), Task((3, 32, 32), 10)
    cut = usable(space, task, Budget(max_params=2_500))
    values = {choice.label: choice.values for choice in cut.choices}
    assert max(values["stages"]) < 5
    assert values["growth5"] == (0,) and values["depth5"] == (1,)
    cut.validate(cut.canonical)


def test_values_are_kept_in_their_order() -> None:
    space = get_space("vgg")
    cut = with_values(space, {c.label: c.values[:2] for c in space.choices})
    assert [c.values for c in cut.choices] == [c.values[:2] for c in space.choices]
    cut.validate(cut.canonical)
