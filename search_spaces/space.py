"""A search space as data: a name, its choices, and a definition; and what one does with samples of it."""

from __future__ import annotations

import math
from collections import UserDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from search_spaces.errors import UsageError, nearest
from search_spaces.structure import Layer, architecture_id, canonical_text, decisive, resolve
from search_spaces.vocabulary import Choice, Node, without_head

if TYPE_CHECKING:
    from torch import nn

Sample = dict[str, int | str]
Rows = npt.NDArray[np.int16]  # (N, number of choices): for each choice, the index of its value
Values = tuple[int | str, ...]
MOST_DECISIVE = 4096  # samples whose decisive choices are remembered
Restriction = Mapping[str, Values]  # the values that are left of some choices, by label


@dataclass(frozen=True)
class Task:
    """Task of a network: input (channels, height, width) and number of classes.

    ``has_head`` False: a network for it ends where the layer that gives the logits would begin, with an embedding.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    has_head: bool = True

    def __post_init__(self) -> None:
        channels, height, width = self.input_shape
        if channels not in (1, 3) or not (8 <= height <= 224 and 8 <= width <= 224):
            raise UsageError(
                f"Inputs of {channels}x{height}x{width} (channels x height x width) are not supported: use 1 or 3 "
                "channels and 8 to 224 pixels a side (--image-size resizes)."
            )
        if not 2 <= self.num_classes <= 10_000:
            raise UsageError(f"{self.num_classes} classes are not supported: use 2 to 10,000.")

    @property
    def stem_halvings(self) -> int:
        """Number of times that a stem halves the input so that the first stage works on at most 64 pixels a side."""
        return max(0, math.ceil(math.log2(min(self.input_shape[1:]) / 64)))


Choices = Mapping[str, Choice]


class _Recorded(UserDict[str, "int | str"]):
    """A sample that notes the labels whose values are asked for."""

    def __init__(self, sample: Sample, read: set[str]) -> None:
        super().__init__(sample)
        self.read = read

    def __getitem__(self, label: str) -> int | str:
        self.read.add(label)
        return super().__getitem__(label)


@dataclass(frozen=True)
class SearchSpace:
    """A family of networks. ``canonical`` is the sample of the well-known network, scaled down in width.

    ``whole`` is what it is a part of (``search_spaces.restriction``); None: it is whole.
    """

    name: str
    summary: str
    choices: tuple[Choice, ...]
    define: Callable[[Choices, Task], Node]
    line: Callable[[Sample], str]
    canonical: Sample
    whole: SearchSpace | None = field(default=None, compare=False, repr=False)
    _definitions: dict[Task, Node] = field(default_factory=dict, compare=False, repr=False)
    _decisive: dict[tuple[object, ...], Sample] = field(default_factory=dict, compare=False, repr=False)

    @property
    def labels(self) -> list[str]:
        """Of the choices, in their order."""
        return [choice.label for choice in self.choices]

    @property
    def restriction(self) -> Restriction:
        """The choices that have fewer values than in ``whole``, with those that are left."""
        every = {choice.label: choice.values for choice in (self.whole or self).choices}
        return {choice.label: choice.values for choice in self.choices if choice.values != every[choice.label]}

    @property
    def num_samples(self) -> int:
        """Number of samples, all combinations of the choices."""
        return _combinations(self.choices)

    def num_samples_for(self, task: Task) -> int:
        """Number of samples that differ in something networks for ``task`` depend on: where stages are left out, the
        choices of those stages do not count, nor do numbers of stages that small images have no pixels for."""
        return self._count(task, {})

    def _count(self, task: Task, decided: Sample) -> int:
        """Number of samples that differ beside the choices that are ``decided``."""
        networks = list(self._sampled(task, decided))
        counts = {_combinations(choice for choice in self.choices if choice.label in read) for _, read in networks}
        common = set.intersection(*(read for _, read in networks))
        gate = next((choice for choice in self.choices if choice.label in common and choice.label not in decided), None)
        if len(counts) == 1 or gate is None:
            return max(counts) // _combinations(choice for choice in self.choices if choice.label in decided)
        different = {
            tuple(canonical_text(layer) for layer, _ in self._sampled(task, decided | {gate.label: value}, 2)): value
            for value in gate.values
        }
        return sum(self._count(task, decided | {gate.label: value}) for value in different.values())

    def choices_for(self, task: Task) -> list[Choice]:
        """The choices that networks for ``task`` depend on: small images have no use for some."""
        read = set[str]().union(*(labels for _, labels in self._sampled(task, {})))
        return [choice for choice in self.choices if choice.label in read]

    def _sampled(self, task: Task, decided: Sample, count: int = 32) -> Iterator[tuple[Layer, set[str]]]:
        """Networks of random samples, the same ones every time but for what is ``decided``, and the labels of the
        choices that each depends on; enough to see every branch."""
        for row in self.sample_uniform(np.random.default_rng(0), count):
            read: set[str] = set()
            yield resolve(self.definition(task), _Recorded(self.decode(row) | decided, read), task.input_shape), read

    def used(self, row: npt.NDArray[Any], task: Task) -> set[str]:
        """The labels of the choices that the network of a row (number of choices,) depends on."""
        read: set[str] = set()
        resolve(self.definition(task), _Recorded(self.decode(row), read), task.input_shape)
        return read

    def definition(self, task: Task) -> Node:
        """The tree of layers for a task, made once."""
        if task not in self._definitions:
            whole = self.define({choice.label: choice for choice in self.choices}, task)
            self._definitions[task] = whole if task.has_head else without_head(whole, self.name)
        return self._definitions[task]

    def structure(self, sample: Sample, task: Task) -> Layer:
        """The concrete network of a sample, as a tree of layers with shapes; nothing is built."""
        self.validate(sample)
        return resolve(self.definition(task), sample, task.input_shape)

    def architecture_id(self, sample: Sample, task: Task) -> str:
        """Ten hexadecimal digits, equal for two samples exactly if they build equal networks."""
        return architecture_id(self.structure(sample, task))

    def build(
        self, sample: Sample, input_shape: tuple[int, int, int], num_classes: int, *, has_head: bool = True
    ) -> nn.Module:
        """An ordinary module: float (N, C, H, W) in, logits (N, num_classes) out; without its head an embedding."""
        from search_spaces.modules import build

        return build(self.structure(sample, Task(input_shape, num_classes, has_head)))

    def decisive(self, sample: Sample, task: Task) -> Sample:
        """The choices that the network of a sample depends on, for a task: not those of stages that it has not. A
        number of stages that the images have no room for is the number that it has. Found once for a sample, whose
        words a table or a page asks for again and again."""
        key = (task, *sample.items())
        if key not in self._decisive:
            if len(self._decisive) >= MOST_DECISIVE:
                self._decisive.clear()
            self._decisive[key] = decisive(self.definition(task), sample, task.input_shape)
        return dict(self._decisive[key])

    def text(self, sample: Sample, task: Task | None = None) -> str:
        """The sample in one line that a person can read; for a ``task`` as the network that it builds there."""
        return f"{self.name} {self.line_of(sample, task)}"

    def line_of(self, sample: Sample, task: Task | None = None) -> str:
        """The same without the name of the space."""
        if task is None:
            return self.line(sample)
        decisive = self.decisive(sample, task)
        # What does not matter has its first value: a kernel that sees no more than the smallest is the smallest.
        return self.line({choice.label: decisive.get(choice.label, choice.values[0]) for choice in self.choices})

    def known_costs(self, rows: Rows) -> npt.NDArray[np.int64] | None:
        """Known costs of ``rows`` without counting: (N, 4), as ``budgets.Costs`` has them. None: they are to be
        counted. For spaces that are read from a table of networks."""
        return None

    def validate(self, sample: Mapping[str, Any]) -> None:
        """UsageError naming every choice that is missing, unknown or has a value outside its list."""
        labels = {choice.label: choice for choice in self.choices}
        errors = [
            f"{self.name} has no choice {key!r}.{nearest(key, list(labels))}" for key in sample if key not in labels
        ]
        for label, choice in labels.items():
            if label not in sample:
                errors.append(f"The sample lacks {label!r}; it takes one of {list(choice.values)}.")
            elif sample[label] not in choice.values:
                errors.append(f"{label}={sample[label]!r} is not one of {list(choice.values)}.")
        if errors:
            raise UsageError(*errors)

    # Samples as rows of indices: what is sampled, mutated and costed by the thousand.

    def encode(self, sample: Sample) -> Rows:
        """The row (number of choices,) of a sample."""
        return np.array([choice.values.index(sample[choice.label]) for choice in self.choices], np.int16)

    def decode(self, row: npt.NDArray[Any]) -> Sample:
        """The sample of a row (number of choices,)."""
        return {choice.label: choice.values[int(index)] for choice, index in zip(self.choices, row, strict=True)}

    def sample_uniform(self, rng: np.random.Generator, count: int) -> Rows:
        """``count`` rows, every choice uniform and independent."""
        return (rng.random((count, len(self.choices))) * self._sizes).astype(np.int16)

    def sample_over_sizes(self, rng: np.random.Generator, count: int) -> Rows:
        """``count`` rows distributed over small and large networks: each row leans to the low or the high values
        of all its choices together. Independent samples all end near the middle of the sizes, and almost
        never reach a tight budget."""
        lean = np.exp(rng.uniform(-2.5, 2.5, (count, 1)))
        return (rng.random((count, len(self.choices))) ** lean * self._sizes).astype(np.int16)

    def mutants(self, row: npt.NDArray[Any], rng: np.random.Generator, count: int) -> Rows:
        """``count`` rows, each with one to three choices of ``row``, or of its own in (count, choices), resampled, of
        those with more than one value."""
        is_open = self._sizes > 1
        number = int(is_open.sum())
        changes = rng.integers(1, max(1, min(3, number)) + 1, (count, 1))
        resampled = np.zeros((count, len(self.choices)), bool)
        resampled[:, is_open] = rng.random((count, number)).argsort(axis=1) < changes
        return np.where(resampled, self.sample_uniform(rng, count), row).astype(np.int16)

    def sample(self, rng: np.random.Generator) -> Sample:
        """One sample, every choice uniform and independent."""
        return self.decode(self.sample_uniform(rng, 1)[0])

    def mutate(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """``sample`` with one to three choices resampled."""
        return self.decode(self.mutants(self.encode(sample), rng, 1)[0])

    @property
    def _sizes(self) -> npt.NDArray[np.int64]:
        return np.array([len(choice.values) for choice in self.choices])


def _combinations(choices: Iterable[Choice]) -> int:
    return math.prod(len(choice.values) for choice in choices)
