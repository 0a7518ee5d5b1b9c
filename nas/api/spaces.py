"""A search space in Python: what is in it, what its architectures cost, and the networks themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from budgets import LIMITS, Budget, Cost, cost_of, parse_limit
from budgets.sampling import resolve_budget, sample_feasible
from nas.api.keywords import Setting, as_typed, several
from nas.api.wording import in_python
from nas.arguments import checked_types
from nas.errors import UsageError
from nas.plugins.installed import load_installed
from search_spaces import Sample, SearchSpace, Task, get_space
from search_spaces.restriction import read_restriction, restricted, restriction_words

if TYPE_CHECKING:
    from torch import nn

    from nas.report.space import SpaceReport

Size = int | str
"""A number, or as it is typed: "150k", "1.5M"."""


@dataclass(frozen=True, repr=False)
class Space:
    """A search space for images of one shape and a number of classes; see ``space``."""

    family: SearchSpace
    task: Task

    @property
    def name(self) -> str:
        """As ``nasctl space`` lists it."""
        return self.family.name

    @property
    def choices(self) -> dict[str, tuple[int | str, ...]]:
        """Values of each choice, by label."""
        return {choice.label: tuple(choice.values) for choice in self.family.choices}

    @checked_types
    def sample(self, count: int = 1, *, seed: int = 0, **limits: Size) -> list[Sample]:
        """``count`` samples that fit the limits, at random; fewer where so many different ones are not found.

        ``limits``: max_params, max_macs, max_bytes, max_peak_memory, min_params. UsageError if nothing fits.
        """
        with in_python({**limits, "count": count, "seed": seed}):
            if count < 1:
                raise UsageError(f"--count {count} cannot be used: give a number of at least 1.")
            if seed < 0:
                raise UsageError(f"--seed {seed} cannot be used: give a number of at least 0.")
            budget, _ = resolve_budget(self.family, self.task, budget_of(limits))
        rng = np.random.default_rng(seed)
        rows, _ = sample_feasible(self.family, self.task, budget, rng)
        return [self.family.decode(rows[place]) for place in rng.permutation(len(rows))[:count]]

    @checked_types
    def cost(self, sample: Sample) -> Cost:
        """Parameters, multiply-accumulates of an image, bytes as float32, bytes of activations at their peak."""
        return cost_of(self.family, sample, self.task)

    @checked_types
    def text(self, sample: Sample) -> str:
        """The architecture in words."""
        self.family.validate(sample)
        return self.family.text(sample, self.task)

    @checked_types
    def build(self, sample: Sample) -> nn.Module:
        """The network with random weights: float (N, C, H, W) in, logits (N, classes) out."""
        return self.family.build(sample, self.task.input_shape, self.task.num_classes)

    def report(self, **limits: Size) -> SpaceReport:
        """Feasible architectures: their share of the space, costs, examples from small to large. Trains nothing.

        UsageError if nothing fits.
        """
        from nas.report.space import report_of

        with in_python(limits):
            budget, note = resolve_budget(self.family, self.task, budget_of(limits))
        return report_of(self.family, self.task, budget, note)

    def __repr__(self) -> str:
        within, shape = restriction_words(self.family), "x".join(map(str, self.task.input_shape))
        part = f" with {within}" if within else ""
        return f"<Space {self.name}{part}: {len(self.choices)} choices, {shape}, {self.task.num_classes} classes>"


@checked_types
def space(
    name: str,
    *,
    input_shape: tuple[int, int, int] = (3, 32, 32),
    classes: int = 10,
    fix: Setting = None,
    choices: Setting = None,
) -> Space:
    """Return a search space for images of one shape.

    Args:
        name: vgg, resnet, densenet, mobilenet, cell, or a plug-in's.
        input_shape: (channels, height, width) of an image.
        classes: Number of classes.
        fix: Values of choices that are fixed, as for ``nas.search``: ``{"kernel*": 3}``.
        choices: Values that choices keep, as for ``nas.search``.

    Raises:
        UsageError: Names the nearest space, choice or value.

    >>> resnet = nas.space("resnet", input_shape=(1, 28, 28), classes=62)
    >>> (sample,) = resnet.sample(max_params="150k")
    >>> resnet.cost(sample).params <= 150_000
    True
    """
    load_installed()
    with in_python({"name": name}):
        if len(input_shape) != 3:
            raise UsageError(f"--input-shape {input_shape} cannot be used: give (channels, height, width).")
        channels, height, width = input_shape  # perhaps of a list
        whole = get_space(name)
        given = {"fix": fix, "choices": choices}
        fixed, left = ([] if value is None else as_typed(name, value, several) for name, value in given.items())
        part = read_restriction(whole, fixed, left)
        return Space(restricted(whole, part), Task((channels, height, width), classes))


def budget_of(limits: Mapping[str, Size | None]) -> Budget:
    """The budget of limits by name; None, and "none" for max_params, are no limit. UsageError with every error."""
    errors = [f"There is no limit {name!r}. Limits: {', '.join(LIMITS)}." for name in limits if name not in LIMITS]
    sizes: dict[str, Any] = {}
    for name, size in limits.items():
        if size is None or (name, size) == ("max_params", "none"):
            continue
        try:
            sizes[name] = parse_limit(name, str(size))
        except ValueError as error:
            errors.append(f"--{name.replace('_', '-')}: {error}.")
    if errors:
        raise UsageError(*errors)
    return Budget(**sizes)
