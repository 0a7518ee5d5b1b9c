"""The words a family is written in.

A definition is a tree of these nodes. Numbers in it may be plain integers, a ``Choice``, arithmetic on
choices, or ``INCOMING`` (the channels that arrive at that point), so that one tree stands for the whole
space. ``search_spaces.structure`` reads it for one sample, ``budgets.reading`` for many samples at once.

Three rules hold for every family:

* Spatial sizes depend on the input's size only, never on a choice. Kernels are odd and padded to keep the
  size, and both branches of an ``Either`` must agree. So a choice of fewer stages has the head in its branches, where
  sizes end (``stages_and_head``).
* Halving stops at 2x2: a convolution or pool with stride 2 halves only sides of at least 4 pixels.
  Otherwise the convolution keeps its size and the pool is left out. So every family takes 8x8 inputs.
* What of a kernel cannot see a pixel is left out: on a side of n pixels it has at most 2n - 1, as many as reach from
  the first pixel to the last and back (``kernel_in_sight``).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from search_spaces.errors import UsageError


class Expression:
    """A number that is known only when a sample is: supports ``+``, ``*`` and ``//``."""

    def __add__(self, other: Value) -> Expression:
        return Arithmetic("+", self, other)

    def __mul__(self, other: Value) -> Expression:
        return Arithmetic("*", self, other)

    def __floordiv__(self, other: Value) -> Expression:
        return Arithmetic("//", self, other)


Value: TypeAlias = int | Expression


@dataclass(frozen=True, eq=False)
class Choice(Expression):
    """One decision of a sample: its label and the values it may take, in ascending order if numbers."""

    label: str
    values: tuple[int | str, ...]

    @property
    def largest(self) -> int:
        return max(value for value in self.values if isinstance(value, int))


@dataclass(frozen=True, eq=False)
class Arithmetic(Expression):
    operator: Literal["+", "*", "//", "min"]
    left: Value
    right: Value


@dataclass(frozen=True, eq=False)
class _Incoming(Expression):
    pass


INCOMING = _Incoming()


def evaluate(value: Value, choice: Callable[[Choice], Any], incoming: Any) -> Any:
    """The number ``value`` stands for; integers or arrays, as ``choice`` and ``incoming`` are."""
    if isinstance(value, int):
        return value
    if isinstance(value, Choice):
        return choice(value)
    if isinstance(value, Arithmetic):
        left = evaluate(value.left, choice, incoming)
        right = evaluate(value.right, choice, incoming)
        return _OPERATIONS[value.operator](left, right)
    return incoming


_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "//": operator.floordiv,
    "min": np.minimum,
}


def halved(size: int, stride: int, *, pool: bool = False) -> tuple[int, int]:
    """(new size, stride used) of a side of ``size`` pixels under the 2x2 rule above."""
    if stride == 1 or size < 4:
        return size, 1
    return (size // stride if pool else (size - 1) // stride + 1), stride


def kernel_in_sight(kernel: Value, height: int, width: int) -> Value:
    """``kernel``, cut to the part that sees a pixel of a map from somewhere on it.

    An offset of d pixels sees one exactly if d is less than the side. This holds for every kernel with stride 1, and
    for those up to 5 with stride 2, which needs sides of 4 and more. Kernels are square: the larger side counts.
    """
    most = 2 * max(height, width) - 1
    values = kernel.values if isinstance(kernel, Choice) else (kernel,)
    numbers = [value for value in values if isinstance(value, int)]
    if numbers and max(numbers) <= most:
        return kernel
    return most if numbers and min(numbers) >= most else Arithmetic("min", kernel, most)


@dataclass(frozen=True)
class Conv:
    """Convolution, padded to keep the size, without bias; ``out`` None keeps the channels. ``kernel`` is the most:
    it is cut to what the map can show."""

    out: Value | None
    kernel: Value = 3
    stride: int = 1
    depthwise: bool = False  # one filter a channel; ``out`` must be None


@dataclass(frozen=True)
class Norm:
    """Batch normalization over the channels."""


@dataclass(frozen=True)
class Act:
    kind: Literal["relu", "relu6"] = "relu"


@dataclass(frozen=True)
class Pool:
    """Max or average pool: stride 2 without padding and kernel 2, or stride 1 and a padded kernel of 3."""

    kind: Literal["max", "avg"]
    stride: Literal[1, 2] = 2


@dataclass(frozen=True)
class GlobalPool:
    """Mean over height and width; what follows is a vector."""


@dataclass(frozen=True)
class Linear:
    """Fully connected layer with bias, after ``GlobalPool``."""

    out: Value


@dataclass(frozen=True)
class Sequence:
    """One after the other. A ``name``, an identifier, shows in tables and in the keys of the weights."""

    body: tuple[Node, ...]
    name: str = ""


@dataclass(frozen=True)
class Residual:
    """``body(x) + shortcut(x)``. Where body changes the shape, the shortcut is a strided 1x1 convolution
    with normalization, or, if ``project`` is false, there is none (MobileNetV2)."""

    body: Node
    project: bool = True


@dataclass(frozen=True)
class Concat:
    """The input's channels followed by the body's."""

    body: Node


@dataclass(frozen=True)
class Gate:
    """Squeeze and excitation (Hu et al. 2018): channels scaled by a two-layer function of their means."""

    squeezed: Value  # channels between the two layers


@dataclass(frozen=True)
class Repeat:
    """The first ``depth`` of ``blocks``."""

    blocks: tuple[Node, ...]
    depth: Value


@dataclass(frozen=True)
class Either:
    """The branch that the choice names, or ``otherwise``."""

    choice: Choice
    branches: Mapping[int | str, Node]
    otherwise: Node | None = None

    def branch(self, value: int | str) -> Node:
        node = self.branches.get(value, self.otherwise)
        assert node is not None, f"no branch for {self.choice.label}={value}"
        return node


@dataclass(frozen=True)
class Cell:
    """A small graph: node 0 is the input, node j the sum of ``edges[i, j]`` over all i < j, and the last
    node the output. Every edge keeps the shape."""

    edges: Mapping[tuple[int, int], Node]

    @property
    def num_nodes(self) -> int:
        return max(target for _, target in self.edges) + 1


Node: TypeAlias = (
    Conv | Norm | Act | Pool | GlobalPool | Linear | Sequence | Residual | Concat | Gate | Repeat | Either | Cell
)


def sequence(*body: Node, name: str = "") -> Sequence:
    return Sequence(body, name)


def without_head(node: Node, space: str) -> Node:
    """The definition ``node`` of ``space`` without the linear layer that it ends in. UsageError if it ends in none."""
    if isinstance(node, Sequence) and node.body:
        *body, last = node.body
        rest = () if isinstance(last, Linear) else (without_head(last, space),)
        return Sequence((*body, *rest), node.name)
    if isinstance(node, Either):  # of networks with more and with fewer stages
        branches = {value: without_head(branch, space) for value, branch in node.branches.items()}
        return Either(node.choice, branches, node.otherwise and without_head(node.otherwise, space))
    raise UsageError(f"Networks of {space} do not end in a linear layer, so there is no embedding before it.")


def repeat(block: Callable[[int], Node], depth: int | Choice) -> Repeat:
    """``depth`` blocks, ``block(i)`` being the i-th from zero."""
    most = depth if isinstance(depth, int) else depth.largest
    return Repeat(tuple(block(index) for index in range(most)), depth)


def conv_norm_act(
    out: Value | None,
    kernel: Value = 3,
    *,
    stride: int = 1,
    depthwise: bool = False,
    act: Literal["relu", "relu6"] | None = "relu",
) -> Sequence:
    """The usual triple; ``act`` None leaves the activation out."""
    body: tuple[Node, ...] = (Conv(out, kernel, stride, depthwise), Norm())
    return Sequence((*body, Act(act)) if act else body)


def stages_and_head(stages: list[Node], number: Choice, head: Node) -> Node:
    """The first ``number`` of ``stages``, all if there are fewer, and ``head`` after the last of them.

    The stages that are left out take their halving with them, and the head ends in a vector: branches agree in size.
    """
    built = head
    for index in reversed(range(len(stages))):
        built = sequence(stages[index], built)
        if index in number.values:
            built = Either(number, {index: head}, otherwise=built)
    return built
