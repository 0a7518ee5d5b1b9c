"""The source reading: a tree of layers becomes the text of a plain torch module, for people to read and change."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from search_spaces import modules
from search_spaces.structure import Layer, named_children

_Numbers = Sequence[str]  # those of a layer and of all in it, in order: digits, or names of parameters


def network_source(layer: Layer) -> str:
    """Definitions of ``Network``, the same as ``search_spaces.modules.build`` makes of ``layer``, and of what it needs.

    They expect the names ``torch``, ``nn`` and ``OrderedDict`` (``collections``). Blocks that differ in numbers alone
    are written once, as a function of these. The text is formatted as ruff would, with lines of at most 120 characters.
    """
    inner = list(_descendants(layer))
    kinds = {part.kind for part in inner}
    helpers = [helper for kind, helper in _HELPERS.items() if kind in kinds]
    functions = _block_functions(inner)
    texts = [inspect.getsource(helper) for helper in (*helpers, modules.initialize)]
    texts += [function.definition(functions) for function in functions.values()]
    return "\n\n\n".join(text.rstrip() for text in (*texts, _network(layer, functions))) + "\n"


def _network(layer: Layer, functions: Mapping[str, _BlockFunction]) -> str:
    parts = dict(named_children(layer))
    attributes = [f"self.{name} = {_text(part, _numbers(part), functions)}" for name, part in parts.items()]
    *names, last = parts
    steps = [f"x = self.{name}(x)  # {_size(parts[name])}" for name in names]
    return "\n".join(
        [
            "class Network(nn.Module):",
            f'    """Images (N, {", ".join(map(str, layer.in_shape))}) to logits (N, {layer.out_shape[0]})."""',
            "",
            "    def __init__(self) -> None:",
            *(textwrap.indent(line, " " * 8) for line in ("super().__init__()", *attributes, "initialize(self)")),
            "",
            "    def forward(self, x: torch.Tensor) -> torch.Tensor:",
            *(textwrap.indent(line, " " * 8) for line in (*steps, f"logits: torch.Tensor = self.{last}(x)")),
            "        return logits",
        ]
    )


def _size(layer: Layer) -> str:
    """Channels, height and width of what comes out, channels alone of a vector."""
    channels, *sides = layer.out_shape
    return str(channels) if sides == [1, 1] else " x ".join(map(str, layer.out_shape))


def _text(
    layer: Layer, numbers: _Numbers, functions: Mapping[str, _BlockFunction], *, spelled_out: bool = False
) -> str:
    """The expression that makes the module of ``layer``: a call of its block's function, if it has one, unless
    ``spelled_out``."""
    if layer.kind in _LEAVES:
        return _LEAVES[layer.kind][1](layer, *numbers)
    function = functions.get(_pattern(layer)) if functions and not spelled_out else None
    if function:
        return function.call(numbers)
    arguments = [f"num_nodes={layer['nodes']}"] if layer.kind == "cell" else []
    start = 0
    for name, child in named_children(layer):
        end = start + len(_numbers(child))
        arguments.append(f"{name}={_text(child, numbers[start:end], functions)}")
        start = end
    return _call(_HELPERS[layer.kind].__name__, arguments)


def _call(function: str, arguments: Sequence[str]) -> str:
    """Several arguments have a line each: a network is read from top to bottom."""
    if len(arguments) > 1 or any("\n" in argument for argument in arguments):
        lines = textwrap.indent(",\n".join(arguments), " " * 4)
        return f"{function}(\n{lines},\n)"
    return f"{function}({', '.join(arguments)})"


def _pattern(layer: Layer) -> str:
    """Pattern of blocks that differ in numbers alone."""
    return _text(layer, ["#"] * len(_numbers(layer)), {})


def _numbers(layer: Layer) -> list[str]:
    return [str(number) for _, number in _counted(layer)]


def _counted(layer: Layer) -> list[tuple[str, int]]:
    """(what is counted, number) of ``layer`` and all in it. Channels that come in and that go out count the same."""
    if layer.kind in _LEAVES:
        values = {"in": layer.in_shape[0], **dict(layer.settings)}
        names = _LEAVES[layer.kind][0]
        return [("channels" if name in ("in", "out") else name, int(values[name])) for name in names]
    return [counted for _, child in named_children(layer) for counted in _counted(child)]


def _descendants(layer: Layer) -> Iterator[Layer]:
    for child in layer.children:
        yield child
        yield from _descendants(child)


@dataclass(frozen=True)
class _BlockFunction:
    """A function that makes blocks which differ in numbers alone."""

    name: str
    block: Layer  # the first of them
    numbers: _Numbers  # of the block inside the function: names of parameters, and what all blocks have in common
    parameters: Sequence[str]

    def definition(self, functions: Mapping[str, _BlockFunction]) -> str:
        parameters = ", ".join(f"{name}: int" for name in self.parameters)
        body = _text(self.block, self.numbers, functions, spelled_out=True)
        made = _HELPERS[self.block.kind].__name__
        return f"def {self.name}({parameters}) -> {made}:\n" + textwrap.indent(f"return {body}", " " * 4)

    def call(self, numbers: _Numbers) -> str:
        values = {name: numbers[self.numbers.index(name)] for name in self.parameters}
        given = [value if _base(name) in _POSITIONAL else f"{name}={value}" for name, value in values.items()]
        return f"{self.name}({', '.join(given)})"


_POSITIONAL = ("channels", "in_channels", "out_channels", "hidden")
_BLOCKS = {"residual": "residual_block", "concat": "dense_layer", "cell": "cell"}


def _block_functions(layers: Sequence[Layer]) -> dict[str, _BlockFunction]:
    """A function for each pattern of blocks that is there twice or more, by the pattern."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.kind in _BLOCKS:
            found.setdefault(_pattern(layer), []).append(layer)
    repeated = {pattern: blocks for pattern, blocks in found.items() if len(blocks) > 1}
    names = _distinct([_block_name(blocks[0]) for blocks in repeated.values()])
    return {
        pattern: _block_function(name, blocks) for name, (pattern, blocks) in zip(names, repeated.items(), strict=True)
    }


def _block_name(block: Layer) -> str:
    return "projected_block" if block.kind == "residual" and len(block.children) > 1 else _BLOCKS[block.kind]


def _block_function(name: str, blocks: Sequence[Layer]) -> _BlockFunction:
    kinds = [kind for kind, _ in _counted(blocks[0])]
    columns = list(zip(*(_numbers(block) for block in blocks), strict=True))
    varying = dict.fromkeys((kind, column) for kind, column in zip(kinds, columns, strict=True) if len(set(column)) > 1)
    incoming, outgoing = (
        tuple(str(shape[0]) for shape in shapes)
        for shapes in zip(*((b.in_shape, b.out_shape) for b in blocks), strict=True)
    )
    resized = incoming != outgoing and ("channels", outgoing) in varying

    def base(kind: str, column: tuple[str, ...]) -> str:
        if kind != "channels":
            return kind
        if column == incoming:
            return "in_channels" if resized else "channels"
        return "out_channels" if column == outgoing else "hidden"

    called = dict(zip(varying, _distinct([base(*key) for key in varying]), strict=True))
    numbers = [called.get(key, key[1][0]) for key in zip(kinds, columns, strict=True)]
    return _BlockFunction(name, blocks[0], numbers, sorted(called.values(), key=_place))


def _place(parameter: str) -> int:
    """Positional ones come first, in their order."""
    base = _base(parameter)
    return _POSITIONAL.index(base) if base in _POSITIONAL else len(_POSITIONAL)


def _distinct(names: Sequence[str]) -> list[str]:
    """``names``, with running numbers for those that are there more than once."""
    return [f"{name}{names[: at + 1].count(name)}" if names.count(name) > 1 else name for at, name in enumerate(names)]


def _base(name: str) -> str:
    return name.rstrip("0123456789")


def _conv(layer: Layer, channels: str, out: str, kernel: str, stride: str) -> str:
    arguments = [channels, out, kernel]
    if stride != "1":
        arguments.append(f"stride={stride}")
    if kernel != "1":
        arguments.append(f"padding={int(kernel) // 2 if kernel.isdigit() else f'{kernel} // 2'}")
    if layer["groups"] != 1:  # depthwise: the vocabulary has no other groups
        arguments.append(f"groups={channels}")
    return f"nn.Conv2d({', '.join(arguments)}, bias=False)"


def _pool(layer: Layer) -> str:
    name = "MaxPool2d" if layer["kind"] == "max" else "AvgPool2d"
    if layer["kernel"] == layer["stride"]:
        return f"nn.{name}({layer['kernel']})"
    border = ", count_include_pad=False" if layer["kind"] == "avg" else ""
    return f"nn.{name}({layer['kernel']}, stride={layer['stride']}, padding={layer['kernel'] // 2}{border})"


# The numbers in the text of each kind of layer, and the text; "in" stands for the channels that come in.
_LEAVES: dict[str, tuple[tuple[str, ...], Callable[..., str]]] = {
    "conv": (("in", "out", "kernel", "stride"), _conv),
    "norm": (("in",), lambda layer, channels: f"nn.BatchNorm2d({channels})"),
    "act": ((), lambda layer: "nn.ReLU6()" if layer["kind"] == "relu6" else "nn.ReLU()"),
    "pool": ((), _pool),
    "global_pool": ((), lambda layer: "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())"),
    "linear": (("in", "out"), lambda layer, channels, out: f"nn.Linear({channels}, {out})"),
    "gate": (("in", "squeezed"), lambda layer, channels, squeezed: f"Gate({channels}, {squeezed})"),
}

# What the text of each kind of group, and of a gate, calls.
_HELPERS: dict[str, Callable[..., object]] = {
    "sequence": modules.sequence,
    "residual": modules.Residual,
    "concat": modules.Concat,
    "gate": modules.Gate,
    "cell": modules.Cell,
}
