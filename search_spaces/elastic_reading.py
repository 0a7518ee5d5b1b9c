"""Supernet reading of a definition: nodes become elastic layers, with their inputs known on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial, singledispatchmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from search_spaces import elastic
from search_spaces import vocabulary as words
from search_spaces.channels import Channels, Decided, Indices, Mixed, Number, Possible, Scope, Segment, Segments
from search_spaces.vocabulary import Choice, Value, evaluate, halved, kernel_in_sight


@dataclass(frozen=True)
class Signal:
    """Input of a node: its channels, whether they are clean (``search_spaces.elastic``), its size."""

    channels: Channels
    clean: bool
    height: int
    width: int


Built = tuple[nn.Module, Signal]


class Builder:
    """Turns nodes into elastic layers. ``scope`` holds the values that are possible inside a branch."""

    def __init__(self, decided: Decided, possible: Possible | None = None) -> None:
        self.decided, self.possible = decided, possible
        self.skip_choices: dict[str, tuple[int, ...]] = {}  # by choice that can skip, its values without weights
        self._numbers: dict[Any, Number] = {}
        self._channels: dict[Any, Segments] = {}

    # Numbers and channels; equal ones are one object, so that they are computed once a pass.

    def number(self, value: Value, incoming: Channels, scope: Scope, *, least: int | None = None) -> Number:
        choices = {choice.label: choice for choice in _choices(value)}
        total = incoming.total if _uses_incoming(value) else None
        if total is not None:
            choices |= total.choices

        def of(at: Mapping[str, Any]) -> Any:
            arriving = total.of(at) if total is not None else None
            found = evaluate(value, lambda choice: np.array(choice.values)[at[choice.label]], arriving)
            return found if least is None else np.maximum(found, least)

        wanted = None if self.possible is None or not choices else partial(_within, self.possible, scope)
        key = (_key(value, total and total.key), least, tuple(sorted(scope.items())) if wanted else ())
        number = Number(key, list(choices.values()), of, scope, possible=wanted)
        return self._numbers.setdefault(number.key, number)

    def width(self, value: Value | None, signal: Signal, scope: Scope) -> Channels:
        """The channels of ``value``, those of ``signal`` for None and INCOMING."""
        if value is None or value is words.INCOMING:
            return signal.channels
        segments = Segments(Segment(self.number(value, signal.channels, scope, least=1)))
        return self._channels.setdefault(segments.key, segments)

    def cleaned(self, module: nn.Module | None, signal: Signal) -> Built:
        if signal.clean:
            return module or nn.Identity(), signal
        mask = elastic.Mask(self.decided, signal.channels)
        return (nn.Sequential(module, mask) if module else mask), replace(signal, clean=True)

    # One method a word.

    @singledispatchmethod
    def walk(self, node: words.Node, signal: Signal, scope: Scope) -> Built:
        raise TypeError(f"not a word of the vocabulary: {node!r}")

    @walk.register
    def _(self, node: words.Sequence, signal: Signal, scope: Scope) -> Built:
        modules = []
        for child in node.body:
            module, signal = self.walk(child, signal, scope)
            modules.append(module)
        return nn.Sequential(*modules), signal

    @walk.register
    def _(self, node: words.Conv, signal: Signal, scope: Scope) -> Built:
        seen = kernel_in_sight(node.kernel, signal.height, signal.width)
        kernel = self.number(seen, signal.channels, scope)
        stride = node.stride if min(signal.height, signal.width) >= 4 else 1
        if node.depthwise:
            return self._conv(None, kernel, stride, signal)
        before, signal = self.cleaned(None, signal)
        module, signal = self._conv(self.width(node.out, signal, scope), kernel, stride, signal)
        return nn.Sequential(before, module), signal

    def _conv(self, target: Channels | None, kernel: Number, stride: int, signal: Signal) -> Built:
        module = elastic.Conv(self.decided, signal.channels, target, kernel, stride)
        height, width = (halved(side, stride)[0] for side in (signal.height, signal.width))
        return module, Signal(target or signal.channels, False, height, width)

    @walk.register
    def _(self, node: words.Norm, signal: Signal, scope: Scope) -> Built:
        return elastic.Norm(self.decided, signal.channels), replace(signal, clean=True)

    @walk.register
    def _(self, node: words.Act, signal: Signal, scope: Scope) -> Built:
        return (nn.ReLU6() if node.kind == "relu6" else nn.ReLU()), signal

    @walk.register
    def _(self, node: words.Pool, signal: Signal, scope: Scope) -> Built:
        if node.stride == 2 and min(signal.height, signal.width) < 4:
            return nn.Identity(), signal
        kernel, padding = (3, 1) if node.stride == 1 else (2, 0)
        if node.stride == 2:
            height, width = (halved(side, 2, pool=True)[0] for side in (signal.height, signal.width))
            signal = replace(signal, height=height, width=width)
        if node.kind == "max":
            return nn.MaxPool2d(kernel, node.stride, padding), signal
        return nn.AvgPool2d(kernel, node.stride, padding, count_include_pad=False), signal

    @walk.register
    def _(self, node: words.GlobalPool, signal: Signal, scope: Scope) -> Built:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), replace(signal, height=1, width=1)

    @walk.register
    def _(self, node: words.Linear, signal: Signal, scope: Scope) -> Built:
        before, signal = self.cleaned(None, signal)
        target = self.width(node.out, signal, scope)
        module = elastic.Linear(self.decided, signal.channels, target)
        return nn.Sequential(before, module), Signal(target, not target.total.choices, 1, 1)

    @walk.register
    def _(self, node: words.Gate, signal: Signal, scope: Scope) -> Built:
        before, signal = self.cleaned(None, signal)
        squeezed = self.width(node.squeezed, signal, scope)
        return nn.Sequential(before, elastic.Gate(self.decided, signal.channels, squeezed)), signal

    @walk.register
    def _(self, node: words.Residual, signal: Signal, scope: Scope) -> Built:
        before, signal = self.cleaned(None, signal)
        body, after = self.cleaned(*self.walk(node.body, signal, scope))
        same = self._same(signal, after, scope)
        if same is None or not node.project:
            return nn.Sequential(before, elastic.Residual(self.decided, body, None, same)), after
        halves = (signal.height, signal.width) != (after.height, after.width)
        one = self.number(1, signal.channels, scope)
        conv, middle = self._conv(after.channels, one, 2 if halves else 1, signal)
        norm, _ = self.walk(words.Norm(), middle, scope)
        return nn.Sequential(before, elastic.Residual(self.decided, body, nn.Sequential(conv, norm), same)), after

    def _same(self, before: Signal, after: Signal, scope: Scope) -> Number | None:
        """Agreement of shapes, as a number 0 or 1; None if they always agree."""
        same_size = (before.height, before.width) == (after.height, after.width)
        if same_size and before.channels.key == after.channels.key:
            return None
        a, b = before.channels.total, after.channels.total
        if not same_size:
            return Number("never", (), lambda at: 0)
        choices = list((a.choices | b.choices).values())
        same = Number(("same", a.key, b.key), choices, lambda at: a.of(at) == b.of(at), scope)
        return None if same.least == 1 and before.channels.size == after.channels.size else same

    @walk.register
    def _(self, node: words.Concat, signal: Signal, scope: Scope) -> Built:
        body, grown = self.walk(node.body, signal, scope)
        before, after = signal.channels, grown.channels
        assert isinstance(before, Segments) and isinstance(after, Segments), "a concatenation of mixed channels"
        joined = Segments(*before.segments, *after.segments)
        return elastic.Concat(body), Signal(joined, signal.clean and grown.clean, signal.height, signal.width)

    @walk.register
    def _(self, node: words.Repeat, signal: Signal, scope: Scope) -> Built:
        if isinstance(node.depth, int):
            return self.walk(words.Sequence(node.blocks[: node.depth]), signal, scope)
        assert isinstance(node.depth, Choice), "a depth is a number or a choice"
        appends = all(isinstance(block, words.Concat) for block in node.blocks)
        modules, signals = [], [signal]
        for block in node.blocks[: node.depth.largest]:
            module, after = self.walk(block, signals[-1], scope)
            if not appends:
                module, after = self.cleaned(module, after)
            modules.append(module)
            signals.append(after)
        if appends:
            channels: Channels = self._appended(node.depth, [s.channels for s in signals])
        else:
            ends = [(index, signals[int(depth)].channels) for index, depth in enumerate(node.depth.values)]
            channels = _mixed(node.depth, [((index,), channels) for index, channels in ends], scope)
        repeat = elastic.Repeat(self.decided, modules, node.depth, not appends, channels.size)
        return repeat, replace(signals[-1], channels=channels, clean=not appends)

    def _appended(self, depth: Choice, steps: list[Channels]) -> Segments:
        """All segments that blocks append, each there if the depth reaches its block."""
        first, last = steps[0], steps[-1]
        assert isinstance(first, Segments) and isinstance(last, Segments)
        segments, count = list(first.segments), len(first.segments)
        for number, step in enumerate(steps[1:], start=1):
            assert isinstance(step, Segments)
            reached = tuple(i for i, value in enumerate(depth.values) if isinstance(value, int) and value >= number)
            conditions = ((depth, reached),) if len(reached) < len(depth.values) else ()
            segments += [replace(s, conditions=(*s.conditions, *conditions)) for s in step.segments[count:]]
            count = len(step.segments)
        return Segments(*segments)

    @walk.register
    def _(self, node: words.Either, signal: Signal, scope: Scope) -> Built:
        before, signal = self.cleaned(None, signal)
        allowed = scope.get(node.choice.label, tuple(range(len(node.choice.values))))
        groups: dict[int, list[int]] = {}
        for index in allowed:
            groups.setdefault(id(node.branch(node.choice.values[index])), []).append(index)
        modules, parts, after = [], [], signal
        for indices in map(tuple, groups.values()):
            branch = node.branch(node.choice.values[indices[0]])
            module, after = self.cleaned(*self.walk(branch, signal, {**scope, node.choice.label: indices}))
            modules.append(module)
            parts.append((indices, after.channels))
        mixed = Mixed(node.choice, parts, scope)
        either = elastic.Either(self.decided, modules, mixed)
        return nn.Sequential(before, either), replace(after, channels=_mixed(node.choice, parts, scope), clean=True)

    @walk.register
    def _(self, node: words.Cell, signal: Signal, scope: Scope) -> Built:
        before, signal = self.cleaned(None, signal)
        edges: dict[tuple[int, int], nn.Module] = {}
        for pair, edge in node.edges.items():
            edges[pair], after = self.cleaned(*self.walk(edge, signal, scope))
            assert after.channels.key == signal.channels.key, "an edge of a cell keeps the shape"
            self._note_skip(edge)
        return nn.Sequential(before, elastic.Cell(edges)), signal

    def _note_skip(self, edge: words.Node) -> None:
        if isinstance(edge, words.Either):
            branches = [edge.branch(value) for value in edge.choice.values]
            if words.Sequence(()) in branches:
                self.skip_choices[edge.choice.label] = tuple(
                    index
                    for index, one in enumerate(branches)
                    if one == words.Sequence(()) or isinstance(one, words.Pool)
                )


def _within(possible: Possible, scope: Scope, at: Indices) -> npt.NDArray[np.bool_]:
    return possible(at, scope)


def _mixed(choice: Choice, parts: list[tuple[tuple[int, ...], Channels]], scope: Scope) -> Channels:
    """The channels of one of several tensors: simply theirs if they all have the same."""
    keys = {channels.key for _, channels in parts}
    return parts[-1][1] if len(keys) == 1 else Mixed(choice, parts, scope)


def _choices(value: Value) -> Iterator[Choice]:
    if isinstance(value, Choice):
        yield value
    elif isinstance(value, words.Arithmetic):
        yield from _choices(value.left)
        yield from _choices(value.right)


def _uses_incoming(value: Value) -> bool:
    if isinstance(value, words.Arithmetic):
        return _uses_incoming(value.left) or _uses_incoming(value.right)
    return value is words.INCOMING


def _key(value: Value, incoming: Any) -> Any:
    """Comparable key of what an expression computes."""
    if isinstance(value, words.Arithmetic):
        return value.operator, _key(value.left, incoming), _key(value.right, incoming)
    if isinstance(value, Choice):
        return value.label
    return ("incoming", incoming) if value is words.INCOMING else value
