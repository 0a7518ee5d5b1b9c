"""The contract of every registered space; a new one needs no edit here."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peak_reference import measured_peak
from thop import profile
from thop.vision.basic_hooks import zero_ops
from torch import nn

from budgets import Budget, cost_of, costs_of
from budgets.draw import draw_fitting
from search_spaces import Task, get_space, register, space_names
from search_spaces.errors import UsageError
from search_spaces.structure import leaves

SHAPES = [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 32, 32), (3, 50, 64), (3, 97, 97)]
HAND_MADE = {  # the sizes found by hand in the origin study, with their families
    "vgg": (52_822, 647_934), "resnet": (21_422, 173_214), "densenet": (70_838, 462_638, 119_318),
    "mobilenet": (149_566,),
}  # fmt: skip
ALL_SIZES = sorted(size for sizes in HAND_MADE.values() for size in sizes)

every_space = pytest.mark.parametrize("name", space_names())
seeds = st.integers(0, 2**32 - 1)


def drawn(name: str, seed: int) -> dict[str, int | str]:
    return get_space(name).sample(np.random.default_rng(seed))


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES), classes=st.sampled_from([2, 10, 62]))
@settings(max_examples=200)
def test_parameters_and_macs_of_the_structure_are_those_of_the_cost_reading(name, seed, shape, classes):
    space, task = get_space(name), Task(shape, classes)
    sample = drawn(name, seed)
    layer, cost = space.structure(sample, task), cost_of(space, sample, task)
    assert (layer.total_params, layer.total_macs) == (cost.params, cost.macs)


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES[:4]), classes=st.sampled_from([2, 10, 62]))
@settings(max_examples=60)
def test_cost_is_that_of_the_built_module(name, seed, shape, classes):
    space, task = get_space(name), Task(shape, classes)
    rng = np.random.default_rng(seed)
    row = space.draw_spread(rng, 1)[0]  # small and large networks alike
    sample, cost = space.decode(row), costs_of(space, row[None], task)[0]
    model = space.build(sample, shape, classes)
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())
    assert cost.size_bytes == sum(tensor.nbytes for tensor in model.state_dict().values())
    assert model.eval()(torch.zeros(2, *shape)).shape == (2, classes)


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES[:4]))
@settings(max_examples=25)
def test_macs_follow_thop(name, seed, shape):
    space = get_space(name)
    sample = drawn(name, seed)
    model = space.build(sample, shape, 10).eval()
    uncounted = dict.fromkeys((nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), zero_ops)
    counted, _ = profile(model, (torch.zeros(1, *shape),), custom_ops=uncounted, verbose=False)
    assert counted == cost_of(space, sample, Task(shape, 10)).macs


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES[:4]))
@settings(max_examples=40)
def test_peak_memory_is_that_of_the_traced_module(name, seed, shape):
    space = get_space(name)
    row = space.draw_spread(np.random.default_rng(seed), 1)[0]
    sample = space.decode(row)
    expected = measured_peak(space.build(sample, shape, 10), shape)
    found = cost_of(space, sample, Task(shape, 10)).peak_memory
    if name == "cell":  # an upper bound there: see budgets.cost
        assert expected <= found <= 2 * expected
    else:
        assert found == expected


@every_space
def test_costs_of_many_are_the_costs_of_each_in_the_same_order(name):
    space, task = get_space(name), Task((3, 32, 32), 10)
    rows = space.draw(np.random.default_rng(1), 5000)  # more than one chunk
    costs = costs_of(space, rows, task)
    for index in random.Random(1).sample(range(len(rows)), 100):
        assert costs[index] == costs_of(space, rows[index : index + 1], task)[0]


@every_space
def test_every_size_of_the_origin_study_has_a_network_within_two_percent_below(name):
    space, task = get_space(name), Task((1, 28, 28), 62)
    for size in ALL_SIZES:
        near = Budget(max_params=size, min_params=int(size * 0.98) + 1)
        rows, costs = draw_fitting(space, task, near, np.random.default_rng(0))
        assert len(rows), f"{name} has nothing within 2 % below {size:,}"
        model = space.build(space.decode(rows[0]), task.input_shape, 62)
        params = sum(parameter.numel() for parameter in model.parameters())
        assert size * 0.98 < params <= size
        assert params == costs[0].params


@every_space
@pytest.mark.parametrize("classes", [10, 62])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 224, 224)])
def test_sizes_reach_from_ten_to_seven_hundred_thousand(name, classes, shape):
    space, task = get_space(name), Task(shape, classes)
    params = costs_of(space, space.draw_spread(np.random.default_rng(0), 20_000), task).params
    assert params.min() <= 10_000
    assert params.max() >= 700_000
    between = np.histogram(params, bins=np.geomspace(10_000, 700_000, 13))[0]
    assert (between > 0).all()


@every_space
@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 2), ((3, 8, 224), 10), ((3, 224, 224), 10_000)])
def test_extreme_tasks_build_and_run(name, shape, classes):
    space = get_space(name)
    rows = space.draw(np.random.default_rng(0), 64)
    smallest = rows[costs_of(space, rows, Task(shape, classes)).macs.argmin()]
    for sample in (space.decode(smallest), space.canonical):
        assert space.build(sample, shape, classes).eval()(torch.zeros(1, *shape)).shape == (1, classes)


@every_space
def test_every_weight_learns(name):
    """Each gets a gradient from some start; from a single one a gate of one unit may happen to be closed."""
    space = get_space(name)
    learnt: set[str] = set()
    for start in range(4):
        torch.manual_seed(start)
        model = space.build(drawn(name, 3), (1, 16, 16), 10)
        model(torch.randn(8, 1, 16, 16)).logsumexp(1).sum().backward()
        learnt |= {key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learnt == {key for key, _ in model.named_parameters()}


@every_space
@given(seed=seeds)
@settings(max_examples=50)
def test_ids_are_equal_exactly_for_equal_networks(name, seed):
    space, task = get_space(name), Task((1, 12, 12), 10)
    rng = np.random.default_rng(seed)
    sample = space.sample(rng)
    other = space.mutate(sample, rng)
    assert space.architecture_id(sample, task) == space.architecture_id(dict(reversed(sample.items())), task)
    if space.architecture_id(sample, task) == space.architecture_id(other, task):
        assert cost_of(space, sample, task) == cost_of(space, other, task)
    elif name != "cell":  # elsewhere every choice shows in the network
        assert sample != other


EXCHANGED = {"edge02": "conv3", "edge12": "conv1"}, {"edge02": "conv1", "edge12": "conv3"}


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        # node 1 is the input itself, so edges 02 and 12 read the same tensor and may be exchanged
        ({"edge01": "skip"} | EXCHANGED[0], {"edge01": "skip"} | EXCHANGED[1], True),
        ({"edge01": "pool"} | EXCHANGED[0], {"edge01": "pool"} | EXCHANGED[1], False),
        # a pool has no weights: two of the same tensor are one, counted twice
        (dict(edge01="skip", edge03="pool", edge13="skip"), dict(edge01="skip", edge03="skip", edge13="pool"), True),
        (dict(edge23="conv1"), dict(edge23="conv3"), False),
    ],
)  # fmt: skip
def test_cells_that_differ_in_numbering_only_have_one_id(one, two, equal):
    space, task = get_space("cell"), Task((1, 8, 8), 10)
    base = space.canonical | {"cells": 1, "width": 4}
    ids = [space.architecture_id(base | edges, task) for edges in (one, two)]
    assert (ids[0] == ids[1]) is equal


def test_equal_cell_ids_mean_equal_functions():
    """Cells that share an id compute the same function once weights are matched: their outputs over all
    assignments of fixed weights to edges agree as sets."""
    space, task = get_space("cell"), Task((1, 8, 8), 10)
    by_id: dict[str, list[dict]] = {}
    rng = np.random.default_rng(0)
    fixed = space.canonical | {"cells": 1, "width": 4}
    for row in space.draw(rng, 1500):
        sample = space.decode(row) | {"cells": 1, "width": 4}
        by_id.setdefault(space.architecture_id(sample, task), []).append(sample)
    shared = [group for group in by_id.values() if len({tuple(s.items()) for s in group}) > 1]
    assert len(shared) > 20
    for group in shared:
        costs = {cost_of(space, fixed | sample, task).params for sample in group}
        operations = {tuple(sorted(str(v) for k, v in s.items() if v not in ("skip", "pool"))) for s in group}
        assert len(costs) == 1
        assert len(operations) == 1


def test_depth_counts_even_where_nothing_else_differs():
    space, task = get_space("vgg"), Task((1, 8, 8), 10)
    ids = {space.architecture_id(space.canonical | {"depth1": depth}, task) for depth in (1, 2, 3)}
    assert len(ids) == 3


@every_space
def test_text_fits_a_line_and_tells_samples_apart(name):
    space = get_space(name)
    samples = [space.decode(row) for row in space.draw(np.random.default_rng(0), 200)]
    texts = {space.text(sample) for sample in samples}
    assert len(texts) == len({tuple(sample.items()) for sample in samples})
    assert all("\n" not in text and len(text) <= 200 for text in texts)


@every_space
def test_leaves_have_the_names_of_the_weights_and_sum_up(name):
    space = get_space(name)
    layer = space.structure(space.canonical, Task((3, 32, 32), 10))
    model = space.build(space.canonical, (3, 32, 32), 10)
    named = dict(leaves(layer))
    for key, leaf in named.items():
        assert sum(p.numel() for p in model.get_submodule(key).parameters()) == leaf.params
    assert sum(leaf.params for leaf in named.values()) == layer.total_params
    assert sum(leaf.macs for leaf in named.values()) == layer.total_macs


@every_space
def test_mutation_changes_few_choices_and_stays_inside(name):
    space = get_space(name)
    rng = np.random.default_rng(0)
    parent = space.encode(space.canonical)
    changed = (space.mutants(parent, rng, 2000) != parent).sum(axis=1)
    assert changed.max() <= 3
    assert (changed > 0).mean() > 0.5
    space.validate(space.mutate(space.canonical, rng))


def test_wrong_samples_and_names_are_named_with_a_cure():
    space = get_space("resnet")
    with pytest.raises(UsageError) as caught:
        space.build({**space.canonical, "width1": 5, "widht2": 8}, (1, 8, 8), 10)
    assert len(caught.value.faults) == 2
    assert "'width2'" in str(caught.value)
    with pytest.raises(UsageError, match="Did you mean 'densenet'"):
        get_space("densnet")
    with pytest.raises(ValueError, match="already"):
        register("vgg", summary="", choices={}, line=str, canonical={})(lambda choices, task: None)


@pytest.mark.parametrize(
    ("shape", "classes"), [((2, 8, 8), 10), ((1, 7, 8), 10), ((1, 8, 225), 10), ((1, 8, 8), 1), ((1, 8, 8), 10_001)]
)
def test_tasks_outside_the_range_are_refused(shape, classes):
    with pytest.raises(UsageError):
        Task(shape, classes)
