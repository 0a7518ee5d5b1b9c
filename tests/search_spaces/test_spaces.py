"""Every registered space keeps its promises (``nas.testing.spaces``); a new one needs no edit here."""

from __future__ import annotations

import copy
from functools import cache
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from budgets import Budget, costs_of
from budgets.sampling import sample_feasible
from nas.testing.spaces import (
    SMALL,
    alike_samples,
    check_built,
    check_costs_of_many,
    check_every_weight_learns,
    check_ids,
    check_leaves,
    check_mutation,
    check_no_weight_is_idle,
    check_peak_memory,
    check_runs,
    check_structure,
    check_text,
    sample_over_sizes,
)
from search_spaces import Task, get_space, register, space_names
from search_spaces.errors import UsageError
from search_spaces.modules import Cell
from search_spaces.structure import leaves
from search_spaces.vocabulary import halved, kernel_in_sight

SHAPES = [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 32, 32), (3, 50, 64), (3, 97, 97)]
HAND_MADE = {  # the sizes found by hand in the origin study, with their families
    "vgg": (52_822, 647_934), "resnet": (21_422, 173_214), "densenet": (70_838, 462_638, 119_318),
    "mobilenet": (149_566,),
}  # fmt: skip
ALL_SIZES = sorted(size for sizes in HAND_MADE.values() for size in sizes)

every_space = pytest.mark.parametrize("name", space_names())
seeds = st.integers(0, 2**32 - 1)
tasks = st.builds(Task, st.sampled_from(SHAPES), st.sampled_from([2, 10, 62]))


@every_space
@given(seed=seeds, task=tasks)
@settings(max_examples=40)
def test_parameters_and_macs_of_the_structure_are_those_of_the_cost_reading(name, seed, task):
    space = get_space(name)
    check_structure(space, space.sample(np.random.default_rng(seed)), task)


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES[:2]), classes=st.sampled_from([2, 10, 62]))
@settings(max_examples=10)
def test_cost_is_that_of_the_built_module_and_of_thop(name, seed, shape, classes):
    check_built(get_space(name), sample_over_sizes(get_space(name), seed), Task(shape, classes))


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES[2:]))
@settings(max_examples=4)
def test_what_is_built_takes_batches_of_every_size_of_image(name, seed, shape):
    space = get_space(name)
    sample = space.sample(np.random.default_rng(seed))
    check_runs(space, sample, Task(shape, 10))
    check_built(space, sample, Task(shape, 10))


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES[:4]))
@settings(max_examples=5)
def test_peak_memory_is_that_of_the_traced_module(name, seed, shape):
    space = get_space(name)
    exact = name != "cell"  # an upper bound there: see budgets.cost
    check_peak_memory(space, sample_over_sizes(space, seed), Task(shape, 10), exact=exact)


@every_space
def test_costs_of_many_are_the_costs_of_each_in_the_same_order(name):
    check_costs_of_many(get_space(name), Task((3, 32, 32), 10))  # more than one chunk


@every_space
def test_every_size_of_the_origin_study_has_a_network_within_two_percent_below(name):
    space, task = get_space(name), Task((1, 28, 28), 62)
    for size in ALL_SIZES:
        near = Budget(max_params=size, min_params=int(size * 0.98) + 1)
        rows, costs = sample_feasible(space, task, near, np.random.default_rng(0))
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
    params = costs_of(space, space.sample_over_sizes(np.random.default_rng(0), 20_000), task).params
    assert params.min() <= 10_000
    assert params.max() >= 700_000
    between = np.histogram(params, bins=np.geomspace(10_000, 700_000, 13))[0]
    assert (between > 0).all()


@every_space
@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 2), ((3, 8, 224), 10), ((3, 224, 224), 10_000)])
def test_extreme_tasks_build_and_run(name, shape, classes):
    space = get_space(name)
    rows = space.sample_uniform(np.random.default_rng(0), 64)
    smallest = rows[costs_of(space, rows, Task(shape, classes)).macs.argmin()]
    for sample in (space.decode(smallest), space.canonical):
        assert space.build(sample, shape, classes).eval()(torch.zeros(1, *shape)).shape == (1, classes)


@every_space
def test_every_weight_learns(name):
    space = get_space(name)
    check_every_weight_learns(space, space.sample(np.random.default_rng(3)))


@every_space
@given(seed=seeds, side=st.sampled_from([8, 12, 28]))
@settings(max_examples=2, phases=[Phase.generate])  # a smaller seed would explain nothing
def test_no_entry_of_a_weight_is_idle(name, seed, side):
    check_no_weight_is_idle(get_space(name), sample_over_sizes(get_space(name), seed), Task((1, side, side), 10))


@pytest.mark.parametrize(("stride", "kernel"), [(1, 1), (1, 3), (1, 5), (1, 7), (2, 1), (2, 3), (2, 5)])
@pytest.mark.parametrize("side", range(1, 9))
def test_a_kernel_keeps_exactly_the_offsets_that_see_a_pixel(side, stride, kernel):
    new_side, used = halved(side, stride)
    reach = kernel // 2
    seen = {
        offset
        for offset in range(-reach, reach + 1)
        for position in range(new_side)
        if 0 <= used * position + offset < side
    }
    kept = kernel_in_sight(kernel, side, side)
    assert seen == set(range(-(kept // 2), kept // 2 + 1))


@pytest.mark.parametrize(("shape", "sides"), [((1, 8, 8), {5, 3}), ((1, 28, 28), {5}), ((1, 9, 13), {5})])
def test_a_kernel_of_five_is_built_as_one_of_three_on_two_pixels_and_computes_the_same(shape, sides):
    space = get_space("vgg")
    sample = space.canonical | {f"kernel{i}": 5 for i in range(1, 6)}
    model = space.build(sample, shape, 10).double().eval()
    full = copy.deepcopy(model)
    found = set()
    for conv in (part for part in full.modules() if isinstance(part, nn.Conv2d)):
        found.add(conv.kernel_size[0])
        missing = (5 - conv.kernel_size[0]) // 2
        conv.weight = nn.Parameter(F.pad(conv.weight, (missing,) * 4, value=7.0))  # what is there sees nothing
        conv.padding = (2, 2)
    images = torch.randn(4, *shape, dtype=torch.float64)
    assert found == sides
    assert torch.allclose(full(images), model(images), rtol=1e-12)


def test_choices_of_kernels_too_large_for_their_map_are_one_network():
    space, task = get_space("vgg"), Task((1, 8, 8), 10)
    ids = [
        {space.architecture_id(space.canonical | {f"kernel{i}": kernel}, task) for kernel in (3, 5)} for i in (1, 2, 3)
    ]
    assert [len(found) for found in ids] == [2, 2, 1]


@every_space
@given(seed=seeds)
@settings(max_examples=1, phases=[Phase.generate])
def test_ids_are_equal_exactly_for_equal_networks(name, seed):
    samples = alike_samples(get_space(name), seed, SMALL)
    assert len(samples) == 13  # there are some with as many parameters
    check_ids(get_space(name), samples, SMALL)


def test_shares_that_keep_as_many_channels_are_one_network():
    space = get_space("densenet")
    least = space.decode(np.zeros(len(space.choices), np.int16))
    shares = next(choice.values for choice in space.choices if choice.label == "compression")
    samples = [least | {"compression": share, "layers1": layers} for share in shares for layers in (1, 2)]
    assert check_ids(space, samples, SMALL) > 0


@cache
def small_cells() -> list[dict[str, int | str]]:
    """Cells of width 4 that often read one tensor twice, so that many are equal though chosen differently."""
    space = get_space("cell")
    rng = np.random.default_rng(0)
    edges = {choice.label: choice.values for choice in space.choices if choice.label.startswith("edge")}
    return [
        {
            "stages": 2,
            "width": 4,
            "cells": 1,
            **{label: str(rng.choice(ops, p=[0.6, *[0.1] * 4])) for label, ops in edges.items()},
        }
        for _ in range(400)
    ]


def test_cell_ids_are_equal_exactly_for_equal_cells():
    assert check_ids(get_space("cell"), small_cells()[:100], SMALL) >= 10


EXCHANGED = {"edge02": "conv3", "edge12": "conv1"}, {"edge02": "conv1", "edge12": "conv3"}


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        # node 1 is the input itself, so edges 02 and 12 read the same tensor and may be exchanged
        ({"edge01": "skip"} | EXCHANGED[0], {"edge01": "skip"} | EXCHANGED[1], True),
        ({"edge01": "pool"} | EXCHANGED[0], {"edge01": "pool"} | EXCHANGED[1], False),
        # a pool has no weights: two of the same tensor are one, counted twice
        (dict(edge01="skip", edge03="pool", edge13="skip"), dict(edge01="skip", edge03="skip", edge13="pool"), True),
        # the mean pool of a sum is the sum of the mean pools
        (dict(edge02="skip", edge12="skip", edge23="pool"), dict(edge02="pool", edge12="pool", edge23="skip"), True),
        (dict(edge02="skip", edge12="skip", edge23="pool"), dict(edge02="pool", edge12="skip", edge23="skip"), False),
        (dict(edge23="conv1"), dict(edge23="conv3"), False),
    ],
)  # fmt: skip
def test_cells_that_differ_in_numbering_only_have_one_id(one, two, equal):
    space, task = get_space("cell"), Task((1, 8, 8), 10)
    base = space.canonical | {"cells": 1, "width": 4}
    ids = [space.architecture_id(base | edges, task) for edges in (one, two)]
    assert (ids[0] == ids[1]) is equal


def test_equal_cell_ids_mean_equal_functions():
    """Two cells share an id exactly if some assignment of one's weights to the other's edges makes them the same
    function."""
    space = get_space("cell")
    alike: dict[tuple[str, ...], list[dict[str, int | str]]] = {}
    for sample in small_cells():
        alike.setdefault(tuple(sorted(weighted_edges(sample).values())), []).append(sample)
    found = {True: 0, False: 0}
    for operations, group in alike.items():
        named = [(sample, space.architecture_id(sample, SMALL)) for sample in group]
        for (one, id_one), (two, id_two) in combinations(named, 2):
            same = id_one == id_two
            if operations and one != two and found[same] < 15:
                found[same] += 1
                assert some_matching_agrees(one, two) is same, f"{space.text(one)} and {space.text(two)}"
    assert found == {True: 15, False: 15}


def weighted_edges(sample: dict[str, int | str]) -> dict[str, str]:
    return {k: str(v) for k, v in sample.items() if k.startswith("edge") and v not in ("skip", "pool")}


@torch.no_grad()
def some_matching_agrees(one: dict[str, int | str], two: dict[str, int | str]) -> bool:
    """True if the second cell gives the first one's output with the first one's edges in some order."""
    torch.manual_seed(0)
    first, second = (next(m for m in built(s).modules() if isinstance(m, Cell)) for s in (one, two))
    images = torch.randn(4, 4, 8, 8, dtype=torch.float64)
    expected = first(images)
    own, places = weighted_edges(one), weighted_edges(two)
    for order in permutations(own):
        if [own[label] for label in order] == list(places.values()):
            for place, label in zip(places, order, strict=True):
                second.add_module(place, first.get_submodule(label))
            if torch.allclose(second(images), expected, rtol=1e-5, atol=1e-5):
                return True
    return False


def built(sample: dict[str, int | str]) -> nn.Module:
    """A cell network whose normalizations do something."""
    model = get_space("cell").build(sample, SMALL.input_shape, SMALL.num_classes).double().eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return model


def test_depth_counts_even_where_nothing_else_differs():
    space, task = get_space("vgg"), Task((1, 8, 8), 10)
    ids = {space.architecture_id(space.canonical | {"depth1": depth}, task) for depth in (1, 2, 3)}
    assert len(ids) == 3


def test_vgg_has_as_many_stages_as_the_image_can_be_halved_and_widths_that_do_not_fall():
    space = get_space("vgg")
    for side, stages in ((8, 3), (12, 3), (28, 4), (32, 5), (64, 5), (224, 5)):
        layer = space.structure(space.canonical, Task((1, side, side), 10))
        assert sum(child.name.startswith("stage") for child in layer.children) == stages
    for row in space.sample_uniform(np.random.default_rng(0), 50):
        layer = space.structure(space.decode(row), Task((3, 32, 32), 10))
        widths = [leaf.out_shape[0] for _, leaf in leaves(layer) if leaf.kind == "conv"]
        assert widths == sorted(widths)


def test_the_canonical_vgg_is_vgg_13_at_an_eighth_of_its_width():
    space = get_space("vgg")
    found = leaves(space.structure(space.canonical, Task((3, 32, 32), 10)))
    assert [leaf.out_shape[0] for _, leaf in found if leaf.kind in ("conv", "linear")] == [
        8, 8, 16, 16, 32, 32, 64, 64, 64, 64, 512, 10
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("side", "idle"),
    [(8, {"kernel3", *(f"{what}{i}" for what in ("growth", "depth", "kernel") for i in (4, 5))}), (32, {"kernel5"})],
)
def test_choices_that_change_nothing_for_small_images_are_not_counted(side, idle):
    space, task = get_space("vgg"), Task((1, side, side), 10)
    assert {choice.label for choice in space.choices} - {choice.label for choice in space.choices_for(task)} == idle
    rng = np.random.default_rng(0)
    for _ in range(20):
        sample, other = space.sample(rng), space.sample(rng)
        swapped = sample | {label: other[label] for label in idle}
        assert space.architecture_id(sample, task) == space.architecture_id(swapped, task)


def test_samples_are_counted_by_what_makes_a_difference():
    space = get_space("vgg")
    a_stage, head = 9 * 3 * 2, 6
    two = 9 * 3 * 2 * a_stage * head
    three_of_8x8 = two * 9 * 3  # a third stage works on 2x2 pixels, where both kernels are 3x3
    assert space.num_samples_for(Task((1, 8, 8), 10)) == two + three_of_8x8
    five_of_32x32 = two * a_stage**2 * 9 * 3
    assert space.num_samples_for(Task((1, 32, 32), 10)) == two * (1 + a_stage + a_stage**2) + five_of_32x32
    assert get_space("cell").num_samples_for(SMALL) == get_space("cell").num_samples


@every_space
def test_text_fits_a_line_and_tells_samples_apart(name):
    check_text(get_space(name))


@every_space
def test_leaves_have_the_names_of_the_weights_and_sum_up(name):
    check_leaves(get_space(name))


@every_space
def test_mutation_changes_few_choices_and_stays_inside(name):
    space = get_space(name)
    check_mutation(space)
    parent = space.encode(space.canonical)
    changed = (space.mutants(parent, np.random.default_rng(0), 2000) != parent).any(axis=1)
    assert changed.mean() > 0.5


def test_wrong_samples_and_names_are_named_with_a_cure():
    space = get_space("resnet")
    with pytest.raises(UsageError) as caught:
        space.build({**space.canonical, "width1": 5, "widht2": 8}, (1, 8, 8), 10)
    assert len(caught.value.messages) == 2
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
