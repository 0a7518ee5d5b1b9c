"""The contract of every registered space; a new one needs no edit here."""

from __future__ import annotations

import operator
import random
from collections import Counter
from functools import cache
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from peak_reference import measured_peak
from thop import profile
from thop.vision.basic_hooks import zero_ops
from torch import fx, nn

from budgets import Budget, cost_of, costs_of
from budgets.draw import draw_fitting
from search_spaces import Task, get_space, register, space_names
from search_spaces.errors import UsageError
from search_spaces.modules import Cell
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
@given(seed=seeds, shape=st.sampled_from(SHAPES[:2]), classes=st.sampled_from([2, 10, 62]))
@settings(max_examples=60)
def test_cost_is_that_of_the_built_module_and_of_thop(name, seed, shape, classes):
    space, task = get_space(name), Task(shape, classes)
    row = space.draw_spread(np.random.default_rng(seed), 1)[0]  # small and large networks alike
    cost = costs_of(space, row[None], task)[0]
    with torch.device("meta"):  # the figures do not depend on the weights: drawing them would take most of the time
        model = space.build(space.decode(row), shape, classes)
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())
    assert cost.size_bytes == sum(tensor.nbytes for tensor in model.state_dict().values())
    assert cost.macs == macs_by_thop(model.to_empty(device="cpu"), shape)


@every_space
@given(seed=seeds, shape=st.sampled_from(SHAPES[2:]))
@settings(max_examples=6)
def test_what_is_built_takes_batches_of_every_size_of_image(name, seed, shape):
    space = get_space(name)
    model = space.build(drawn(name, seed), shape, 10).eval()
    out = model(torch.zeros(2, *shape))
    assert out.shape == (2, 10)
    assert out.isfinite().all()
    assert macs_by_thop(model, shape) == cost_of(space, drawn(name, seed), Task(shape, 10)).macs


def macs_by_thop(model: nn.Module, shape: tuple[int, int, int]) -> float:
    uncounted = dict.fromkeys((nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), zero_ops)
    counted, _ = profile(model, (torch.zeros(1, *shape),), custom_ops=uncounted, verbose=False)
    return float(counted)


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


SMALL = Task((1, 12, 12), 10)
Value = tuple[str, tuple[tuple[int, int, int], ...]]  # operation; (argument, value, how often it is added) read


def computed(model: nn.Module) -> list[Value]:
    """The values that a module computes, by its trace. Each argument of an operation is a sum of values, so
    additions and identities are none of their own; nor is the same operation without weights on the same input."""
    traced = fx.symbolic_trace(model)
    modules = dict(traced.named_modules())
    values: list[Value] = []
    sums: dict[fx.Node, Counter[int]] = {}
    for node in traced.graph.nodes:
        listed = node.args[0] if node.target is torch.cat else node.args
        read = [sums[source] for source in listed if isinstance(source, fx.Node)]
        module = modules[node.target] if node.op == "call_module" else None
        if node.target is operator.add:
            sums[node] = read[0] + read[1]
        elif isinstance(module, nn.Identity):
            sums[node] = read[0]
        else:
            operation = str(module or getattr(node.target, "__name__", node.target))
            value = (operation, tuple((k, *term) for k, terms in enumerate(read) for term in sorted(terms.items())))
            if value not in values or (module and any(True for _ in module.parameters())):
                values.append(value)
                sums[node] = Counter([len(values) - 1])
            else:
                sums[node] = Counter([values.index(value)])
    return values


def canonical_form(values: list[Value]) -> str:
    """``values`` written in an order that does not depend on how they are numbered.

    Values are told apart by depth and operation, then by what they read and what reads them, until nothing
    more is told apart; of those that remain alike one is put first, and so on. Two networks with one text are
    the same; two that are the same have one text where those alike may be exchanged, as in cells.
    """
    depths: list[int] = []
    readers: list[list[tuple[int, int, int]]] = [[] for _ in values]
    for index, (_, terms) in enumerate(values):
        depths.append(1 + max((depths[source] for _, source, _ in terms), default=0))
        for argument, source, count in terms:
            readers[source].append((argument, index, count))
    ranks = _ranked([(depth, operation) for depth, (operation, _) in zip(depths, values, strict=True)])
    while True:
        known = len(set(ranks))
        ranks = _ranked(
            [
                (ranks[index], *(tuple(sorted((k, ranks[i], n) for k, i, n in e)) for e in (terms, readers[index])))
                for index, (_, terms) in enumerate(values)
            ]
        )
        if len(set(ranks)) == len(values):
            break
        if len(set(ranks)) == known:
            tied = min(rank for rank, count in Counter(ranks).items() if count > 1)
            ranks = [2 * rank for rank in ranks]
            ranks[ranks.index(2 * tied)] -= 1
    lines = [
        f"{operation}{sorted((k, ranks[i], n) for k, i, n in terms)}"
        for _, (operation, terms) in sorted(zip(ranks, values, strict=True))
    ]
    return "\n".join(lines)


def _ranked(signatures: list[tuple]) -> list[int]:
    position = {signature: rank for rank, signature in enumerate(sorted(set(signatures)))}
    return [position[signature] for signature in signatures]


def built_form(name: str, sample: dict[str, int | str]) -> str:
    with torch.device("meta"):
        return canonical_form(computed(get_space(name).build(sample, SMALL.input_shape, SMALL.num_classes)))


def assert_ids_name_networks(name: str, samples: list[dict[str, int | str]]) -> int:
    """Ids of two samples agree exactly if their networks do. How many pairs of unlike samples did."""
    space = get_space(name)
    known = [(sample, space.architecture_id(sample, SMALL), built_form(name, sample)) for sample in samples]
    equal = 0
    for (one, id_one, form_one), (two, id_two, form_two) in combinations(known, 2):
        assert (id_one == id_two) == (form_one == form_two), f"{space.text(one)} and {space.text(two)}"
        equal += one != two and id_one == id_two
    return equal


@every_space
@given(seed=seeds)
@settings(max_examples=4, phases=[Phase.generate])  # a smaller seed would explain nothing
def test_ids_are_equal_exactly_for_equal_networks(name, seed):
    """Among samples a mutation apart, and samples with as many parameters."""
    space = get_space(name)
    rng = np.random.default_rng(seed)
    samples = [space.sample(rng)]
    for _ in range(4):
        samples.append(space.mutate(samples[-1], rng))
    rows = np.unique(space.draw_spread(rng, 20_000), axis=0)
    params = costs_of(space, rows, SMALL).params
    order = params.argsort(kind="stable")
    twins = np.flatnonzero(np.diff(params[order]) == 0)
    assert len(twins)
    for first in rng.choice(twins, 4):
        samples += [space.decode(row) for row in rows[order[first : first + 2]]]
    assert_ids_name_networks(name, samples)
    for sample in samples:
        backwards = dict(reversed(sample.items()))
        assert space.architecture_id(sample, SMALL) == space.architecture_id(backwards, SMALL)


def test_shares_that_keep_as_many_channels_are_one_network():
    space = get_space("densenet")
    least = space.decode(np.zeros(len(space.choices), np.int16))
    shares = next(choice.values for choice in space.choices if choice.label == "compression")
    samples = [least | {"compression": share, "layers1": layers} for share in shares for layers in (1, 2)]
    assert assert_ids_name_networks("densenet", samples) > 0


@cache
def small_cells() -> list[dict[str, int | str]]:
    """Cells of width 4 that often read one tensor twice, so that many are equal though chosen differently."""
    space = get_space("cell")
    rng = np.random.default_rng(0)
    edges = {choice.label: choice.values for choice in space.choices if choice.label.startswith("edge")}
    return [
        {"width": 4, "cells": 1, **{label: str(rng.choice(ops, p=[0.6, *[0.1] * 4])) for label, ops in edges.items()}}
        for _ in range(400)
    ]


def test_cell_ids_are_equal_exactly_for_equal_cells():
    assert assert_ids_name_networks("cell", small_cells()[:100]) >= 10


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
    """Two cells share an id exactly if some assignment of one's weights to the other's edges makes them the same
    function. Pools are linear, so cells that differ in where they pool a sum may agree too: of the unlike ones
    those without pools are taken."""
    space = get_space("cell")
    alike: dict[tuple[str, ...], list[dict[str, int | str]]] = {}
    for sample in small_cells():
        alike.setdefault(tuple(sorted(weighted_edges(sample).values())), []).append(sample)
    found = {True: 0, False: 0}
    for operations, group in alike.items():
        for one, two in combinations(group, 2):
            same = space.architecture_id(one, SMALL) == space.architecture_id(two, SMALL)
            shown = same or "pool" not in (*one.values(), *two.values())
            if operations and one != two and shown and found[same] < 50:
                found[same] += 1
                assert some_matching_agrees(one, two) is same, f"{space.text(one)} and {space.text(two)}"
    assert found == {True: 50, False: 50}


def weighted_edges(sample: dict[str, int | str]) -> dict[str, str]:
    return {k: str(v) for k, v in sample.items() if k.startswith("edge") and v not in ("skip", "pool")}


@torch.no_grad()
def some_matching_agrees(one: dict[str, int | str], two: dict[str, int | str]) -> bool:
    """Whether the second cell gives the first one's output with the first one's edges in some order."""
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
