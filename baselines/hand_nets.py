"""Networks designed by hand: for each size that the origin study found, the canonical network of its family,
made narrower by one plain rule until it fits. A search under that size has to beat it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from budgets import cost_of, params_of
from search_spaces import Sample, SearchSpace, Task, get_space
from search_spaces.errors import UsageError
from search_spaces.registry import Registry


@dataclass(frozen=True)
class HandNet:
    """A family and how many parameters its network may have."""

    space: str
    max_params: int


HAND_NETS: Registry[HandNet] = Registry(
    "hand-designed network",
    "Networks",
    (  # the eight architectures of the origin study
        ("model1", HandNet("vgg", 52_822)),
        ("model1_heavy", HandNet("vgg", 647_934)),
        ("model2", HandNet("resnet", 21_422)),
        ("model2_2", HandNet("resnet", 173_214)),
        ("model3", HandNet("densenet", 70_838)),
        ("model3_2", HandNet("densenet", 462_638)),
        ("model3_blsmote", HandNet("densenet", 119_318)),
        ("model4", HandNet("mobilenet", 149_566)),
    ),
)

WIDTHS = ("width", "head", "stem", "growth")  # how the labels of choices begin that say a width
DEPTHS = ("layers", "repeats", "depth")
STEPS_PER_OCTAVE = 16


def hand_net(name: str, task: Task) -> tuple[SearchSpace, Sample]:
    """The network called ``name`` for a task, as a sample of its space; UsageError names the nearest, or says
    that none fits."""
    net = HAND_NETS.find(name)
    space = get_space(net.space)
    for halvings in range(4):
        if (sample := scaled_to_fit(space, task, net.max_params, depth=0.5**halvings)) is not None:
            return space, sample
    raise UsageError(f"No {space.name} network scaled in width and depth has {net.max_params:,} parameters or fewer.")


def scaled_to_fit(space: SearchSpace, task: Task, max_params: int, *, depth: float = 1.0) -> Sample | None:
    """The canonical network with every width multiplied by one factor, the largest that fits; None if none does.

    A width becomes the nearest value of its choice (by ratio), one of 0 stays 0. What the grid of values leaves of the
    budget goes to the stages in turn, first to last, a step of width each, as long as it fits and none gets more than
    twice its share. Everything else stays as it is, but for the number of layers, multiplied by ``depth`` where even
    the narrowest network is too large.
    """
    labels = [c.label for c in space.choices if c.label.startswith(WIDTHS) and space.canonical[c.label]]
    base = {**space.canonical, **_shallower(space, depth)}
    factors = [2 ** (step / STEPS_PER_OCTAVE) for step in range(-5 * STEPS_PER_OCTAVE, 4 * STEPS_PER_OCTAVE + 1)]
    samples = [
        base | {label: _nearest(space, label, int(space.canonical[label]) * factor) for label in labels}
        for factor in factors
    ]
    params = params_of(space, np.stack([space.encode(sample) for sample in samples]), task)
    fitting = [sample for sample, number in zip(samples, params, strict=True) if number <= max_params]
    return _filled(space, fitting[-1], labels, task, max_params) if fitting else None


def _filled(space: SearchSpace, uniform: Sample, labels: list[str], task: Task, max_params: int) -> Sample:
    """``uniform`` with one more step of width for each of ``labels`` in turn, until none fits."""
    sample, widened = uniform, True
    while widened:
        widened = False
        for label in labels:
            wider = [value for value in _values(space, label) if value > int(sample[label])]
            if not wider or wider[0] > 2 * int(uniform[label]):
                continue
            candidate = sample | {label: wider[0]}
            if cost_of(space, candidate, task).params <= max_params:
                sample, widened = candidate, True
    return sample


def _shallower(space: SearchSpace, depth: float) -> Sample:
    if depth == 1:
        return {}
    labels = [choice.label for choice in space.choices if choice.label.startswith(DEPTHS)]
    return {label: _nearest(space, label, int(space.canonical[label]) * depth) for label in labels}


def _nearest(space: SearchSpace, label: str, wanted: float) -> int:
    return min(_values(space, label), key=lambda value: abs(math.log(value / wanted)))


def _values(space: SearchSpace, label: str) -> list[int]:
    """The sizes of a choice, smallest first; 0 stands for "none" and is no size."""
    (choice,) = (choice for choice in space.choices if choice.label == label)
    return sorted(int(value) for value in choice.values if value)
