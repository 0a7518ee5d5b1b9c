"""The reading of a definition for one sample: a tree of layers with shapes, from which networks are built,
tables sampled and identities taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

from search_spaces.canonical import Nature, canonical_cell
from search_spaces.vocabulary import (
    Act,
    Cell,
    Choice,
    Concat,
    Conv,
    Either,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Norm,
    Pool,
    Repeat,
    Residual,
    Sequence,
    Value,
    evaluate,
    halved,
    kernel_in_sight,
)

Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True)
class Layer:
    """One layer, or a group of layers, with every number known.

    ``settings`` are what the layer is built with; ``params`` and ``macs`` are its own, without its
    children's. Multiply-accumulates count convolutions and linear layers for one image, as thop does.
    """

    kind: str
    in_shape: Shape
    out_shape: Shape
    settings: tuple[tuple[str, int | str], ...] = ()
    children: tuple[Layer, ...] = ()
    params: int = 0
    macs: int = 0
    name: str = ""

    def __getitem__(self, setting: str) -> Any:
        return dict(self.settings)[setting]

    @property
    def total_params(self) -> int:
        return self.params + sum(child.total_params for child in self.children)

    @property
    def total_macs(self) -> int:
        return self.macs + sum(child.total_macs for child in self.children)


def resolve(node: Node, sample: Mapping[str, int | str], input_shape: Shape) -> Layer:
    """The network that ``sample`` chooses from the definition ``node``."""
    layers = tuple(_Resolver(sample).layers(node, input_shape))
    return Layer("sequence", input_shape, layers[-1].out_shape, children=layers)


def architecture_id(layer: Layer) -> str:
    """Ten hexadecimal digits of a hash over what the network computes: names and nesting do not count."""
    return hashlib.sha256(canonical_text(layer).encode()).hexdigest()[:10]


def canonical_text(layer: Layer) -> str:
    """A text that two layers share exactly if they are the same graph of the same operations."""
    if layer.kind == "sequence":
        return ";".join(canonical_text(child) for child in layer.children)
    if layer.kind == "cell":
        inner = canonical_cell(tuple((child.name, canonical_text(child), _nature(child)) for child in layer.children))
    else:
        inner = "|".join(canonical_text(child) for child in layer.children)
    settings = ",".join(f"{key}={value}" for key, value in layer.settings)
    return f"{layer.kind}{list(layer.in_shape)}({settings})" + (f"[{inner}]" if layer.children else "")


def _nature(layer: Layer) -> Nature:
    if layer.total_params:
        return "weighted"
    means = all(leaf.kind == "pool" and leaf["kind"] == "avg" for _, leaf in leaves(layer))
    return "linear" if means else "fixed"


def leaves(layer: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """(name, layer) of everything without children, in the order of execution; names as in the weights."""
    if not layer.children and layer.kind not in ("sequence", "cell"):
        yield prefix, layer
    for name, child in named_children(layer):
        yield from leaves(child, f"{prefix}.{name}" if prefix else name)


def named_children(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Children with the names they have in the module: their own, or their kind and a running number."""
    if layer.kind in ("residual", "concat"):
        yield from zip(("body", "shortcut"), layer.children, strict=False)
        return
    numbers: dict[str, int] = {}
    for child in layer.children:
        if child.name:
            yield child.name, child
        else:
            numbers[child.kind] = numbers.get(child.kind, 0) + 1
            yield f"{child.kind}{numbers[child.kind]}", child


class _Resolver:
    """Turns nodes into layers; unnamed sequences dissolve into the one around them."""

    def __init__(self, sample: Mapping[str, int | str]) -> None:
        self.sample = sample

    def number(self, value: Value, shape: Shape) -> int:
        return int(evaluate(value, self._chosen, shape[0]))

    def _chosen(self, choice: Choice) -> Any:
        return self.sample[choice.label]

    def branch(self, node: Either) -> Node:
        return node.branch(self.sample[node.choice.label])

    def one(self, node: Node, shape: Shape, name: str = "") -> Layer:
        """``node`` as a single layer, a sequence unless it is one layer already."""
        layers = tuple(self.layers(node, shape))
        if len(layers) == 1 and not name:
            return layers[0]
        return Layer("sequence", shape, layers[-1].out_shape if layers else shape, children=layers, name=name)

    @singledispatchmethod
    def layers(self, node: Node, shape: Shape) -> Iterator[Layer]:
        raise TypeError(f"not a word of the vocabulary: {node!r}")

    @layers.register
    def _(self, node: Conv, shape: Shape) -> Iterator[Layer]:
        out = shape[0] if node.out is None else max(1, self.number(node.out, shape))
        groups = shape[0] if node.depthwise else 1
        kernel = self.number(kernel_in_sight(node.kernel, *shape[1:]), shape)
        yield conv_layer(shape, out, kernel, node.stride, groups)

    @layers.register
    def _(self, node: Norm, shape: Shape) -> Iterator[Layer]:
        yield Layer("norm", shape, shape, params=2 * shape[0])

    @layers.register
    def _(self, node: Act, shape: Shape) -> Iterator[Layer]:
        yield Layer("act", shape, shape, (("kind", node.kind),))

    @layers.register
    def _(self, node: Pool, shape: Shape) -> Iterator[Layer]:
        if node.stride == 1:
            yield Layer("pool", shape, shape, (("kind", node.kind), ("kernel", 3), ("stride", 1)))
        elif min(shape[1:]) >= 4:
            sides = tuple(halved(side, 2, pool=True)[0] for side in shape[1:])
            settings: tuple[tuple[str, int | str], ...] = (("kind", node.kind), ("kernel", 2), ("stride", 2))
            yield Layer("pool", shape, (shape[0], *sides), settings)  # type: ignore[arg-type]

    @layers.register
    def _(self, node: GlobalPool, shape: Shape) -> Iterator[Layer]:
        yield Layer("global_pool", shape, (shape[0], 1, 1))

    @layers.register
    def _(self, node: Linear, shape: Shape) -> Iterator[Layer]:
        out = self.number(node.out, shape)
        weights = shape[0] * out
        yield Layer("linear", shape, (out, 1, 1), (("out", out),), params=weights + out, macs=weights)

    @layers.register
    def _(self, node: Sequence, shape: Shape) -> Iterator[Layer]:
        if node.name:
            yield self.one(Sequence(node.body), shape, node.name)
            return
        for child in node.body:
            for layer in self.layers(child, shape):
                shape = layer.out_shape
                yield layer

    @layers.register
    def _(self, node: Residual, shape: Shape) -> Iterator[Layer]:
        body = self.one(node.body, shape)
        if body.out_shape == shape:
            yield Layer("residual", shape, shape, children=(body,))
        elif not node.project:
            yield from (body.children if body.kind == "sequence" and not body.name else (body,))
        else:
            stride = 1 if body.out_shape[1:] == shape[1:] else 2
            conv = conv_layer(shape, body.out_shape[0], 1, stride, 1)
            norm = Layer("norm", conv.out_shape, conv.out_shape, params=2 * conv.out_shape[0])
            shortcut = Layer("sequence", shape, conv.out_shape, children=(conv, norm))
            yield Layer("residual", shape, body.out_shape, children=(body, shortcut))

    @layers.register
    def _(self, node: Concat, shape: Shape) -> Iterator[Layer]:
        body = self.one(node.body, shape)
        yield Layer("concat", shape, (shape[0] + body.out_shape[0], *shape[1:]), children=(body,))

    @layers.register
    def _(self, node: Gate, shape: Shape) -> Iterator[Layer]:
        squeezed = max(1, self.number(node.squeezed, shape))
        weights = 2 * squeezed * shape[0]
        yield Layer(
            "gate",
            shape,
            shape,
            (("squeezed", squeezed),),
            params=weights + squeezed + shape[0],
            macs=weights,
        )

    @layers.register
    def _(self, node: Repeat, shape: Shape) -> Iterator[Layer]:
        yield from self.layers(Sequence(node.blocks[: self.number(node.depth, shape)]), shape)

    @layers.register
    def _(self, node: Either, shape: Shape) -> Iterator[Layer]:
        yield from self.layers(self.branch(node), shape)

    @layers.register
    def _(self, node: Cell, shape: Shape) -> Iterator[Layer]:
        edges = tuple(
            self.one(Sequence((edge,)), shape, f"edge{source}{target}") for (source, target), edge in node.edges.items()
        )
        yield Layer("cell", shape, shape, (("nodes", node.num_nodes),), edges)


class _Decisive(_Resolver):
    """Notes what of the sample the network depends on: choices that are numbers in it, and branches taken."""

    def __init__(self, sample: Mapping[str, int | str]) -> None:
        super().__init__(sample)
        self.numbers: set[str] = set()
        self.branches: dict[str, list[Either]] = {}

    def _chosen(self, choice: Choice) -> Any:
        self.numbers.add(choice.label)
        return super()._chosen(choice)

    def branch(self, node: Either) -> Node:
        self.branches.setdefault(node.choice.label, []).append(node)
        return super().branch(node)


def decisive(node: Node, sample: Mapping[str, int | str], input_shape: Shape) -> dict[str, int | str]:
    """The choices that ``sample``'s network depends on, in the order of the sample. A choice of branches has the first
    of its values that takes the same ones: of more stages than an input has room for, as many as there are."""
    reading = _Decisive(sample)
    for _ in reading.layers(node, input_shape):
        pass
    found: dict[str, int | str] = {}
    for label, value in sample.items():
        if label in reading.numbers:
            found[label] = value
        elif nodes := reading.branches.get(label):
            same = (v for v in nodes[0].choice.values if all(e.branch(v) is e.branch(value) for e in nodes))
            found[label] = next(same, value)
    return found


def conv_layer(shape: Shape, out: int, kernel: int, stride: int, groups: int) -> Layer:
    """A convolution without bias under the 2x2 rule: it strides only where both sides have 4 pixels."""
    used = stride if min(shape[1:]) >= 4 else 1
    height, width = (halved(side, used)[0] for side in shape[1:])
    weights = shape[0] // groups * out * kernel * kernel
    settings = (("out", out), ("kernel", kernel), ("stride", used), ("groups", groups))
    return Layer("conv", shape, (out, height, width), settings, params=weights, macs=weights * height * width)
