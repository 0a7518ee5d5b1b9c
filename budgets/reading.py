"""The cost reading: one walk through a definition adds up N samples at once.

Depths and branches differ between samples, so the walk keeps its rows sorted: before a ``Repeat`` by depth,
deepest first, before an ``Either`` by branch. The samples that take part in a block are then one slice, and
everything is arithmetic in place on views; the rows' first order is restored once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, singledispatchmethod
from typing import Any

import numpy as np

from budgets.state import FullState, Ints, Mask, State, stable_order
from search_spaces.space import Rows
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


@dataclass
class Totals:
    """Sums for N samples; ``peak`` counts tensor elements."""

    params: Ints
    macs: Ints
    buffer_bytes: Ints
    peak: Ints


def read(definition: Node, choices: tuple[Choice, ...], rows: Rows, input_shape: tuple[int, int, int]) -> Totals:
    """Totals of ``rows`` (N, number of choices) for one image of (channels, height, width)."""
    return Totals(**_walked(FullState, definition, choices, rows, input_shape))


def read_params(definition: Node, choices: tuple[Choice, ...], rows: Rows, input_shape: tuple[int, int, int]) -> Ints:
    """Parameters alone (N,): the same walk, which then has less to add up."""
    return _walked(State, definition, choices, rows, input_shape)["params"]


def _walked(
    kind: type[State],
    definition: Node,
    choices: tuple[Choice, ...],
    rows: Rows,
    input_shape: tuple[int, int, int],
) -> dict[str, Ints]:
    number = len(rows)
    arrays = {name: np.zeros(number, np.int64) for name in kind.ARRAYS}
    arrays["order"][:] = np.arange(number)
    arrays["channels"][:] = input_shape[0]
    state = kind(arrays, *input_shape[1:])
    _Reader(choices, rows).walk(definition, state)
    restored = {name: np.empty(number, np.int64) for name in kind.RESULTS}
    for name, array in restored.items():
        array[state.order] = arrays[name]
    return restored


class _Reader:
    def __init__(self, choices: tuple[Choice, ...], rows: Rows) -> None:
        columns = np.ascontiguousarray(rows.T)
        self.indices = {choice.label: columns[k] for k, choice in enumerate(choices)}
        self.values = {
            choice.label: np.array(choice.values, np.int64).take(self.indices[choice.label])
            for choice in choices
            if all(isinstance(value, int) for value in choice.values)
        }

    def number(self, value: Value, state: State) -> Any:
        return evaluate(value, lambda choice: self.values[choice.label].take(state.order), state.channels)

    def walk(self, node: Node, state: State) -> None:
        kind: type = type(node)
        _word(kind)(self, node, state)

    @singledispatchmethod
    def word(self, node: Node, state: State) -> None:
        raise TypeError(f"not a word of the vocabulary: {node!r}")

    @word.register
    def _(self, node: Conv, state: State) -> None:
        if node.out is None:
            out, weights = state.channels, state.channels.copy()
        else:
            out = self.number(node.out, state)
            if not isinstance(node.out, (int, Choice)):
                out = np.maximum(out, 1)
            weights = state.channels * out
        kernel = self.number(kernel_in_sight(node.kernel, state.height, state.width), state)
        weights *= kernel * kernel
        self._convolve(state, out, weights, node.stride)

    def _convolve(self, state: State, out: Ints, weights: Ints, stride: int) -> None:
        used = stride if min(state.height, state.width) >= 4 else 1
        height, width = halved(state.height, used)[0], halved(state.width, used)[0]
        state.allocate(out, height * width)
        state.channels[:] = out
        state.height, state.width = height, width
        state.weigh(weights, height * width)

    @word.register
    def _(self, node: Norm, state: State) -> None:
        state.normalize()
        state.overwrite()

    @word.register
    def _(self, node: Act, state: State) -> None:
        state.overwrite()

    @word.register
    def _(self, node: Pool, state: State) -> None:
        if node.stride == 1:
            state.allocate(state.channels, state.area)
        elif min(state.height, state.width) >= 4:
            height, width = halved(state.height, 2, pool=True)[0], halved(state.width, 2, pool=True)[0]
            state.allocate(state.channels, height * width)
            state.height, state.width = height, width

    @word.register
    def _(self, node: GlobalPool, state: State) -> None:
        state.allocate(state.channels, 1)
        state.height = state.width = 1

    @word.register
    def _(self, node: Linear, state: State) -> None:
        out = self.number(node.out, state)
        weights = state.channels * out
        state.allocate(out, 1)
        state.channels[:] = out
        state.weigh(weights, 1, biases=out)

    @word.register
    def _(self, node: Sequence, state: State) -> None:
        for child in node.body:
            self.walk(child, state)

    @word.register
    def _(self, node: Residual, state: State) -> None:
        assert not state.may_be_pinned, "the first step of another block's body cannot be a residual block"
        with state.kept("channels", "held") if node.project else state.kept("held") as kept:
            height, width = state.height, state.width
            state.pin() if node.project else state.pin(where=lambda: self._keeps_shape(node.body, state))
            self.walk(node.body, state)
            state.unpin(kept)
            if node.project:
                channels, same_size = kept["channels"], (height, width) == (state.height, state.width)
                self._project(state, channels, height * width, np.asarray(state.channels != channels) | (not same_size))

    def _project(self, state: State, channels: Ints, area: int, where: Mask) -> None:
        """The 1x1 convolution and normalization of a shortcut, for the samples ``where`` shapes differ."""
        if not where.any():
            return
        state.reach(lambda: channels * area + 2 * state.channels * state.area, where)
        state.weigh(channels * state.channels * where, state.area)
        state.normalize(where)

    def _keeps_shape(self, body: Node, state: State) -> Mask:
        """True if ``body``, a sequence, gives back the channels and the size that it gets."""
        assert isinstance(body, Sequence)
        convs = [node for node in flattened(body) if isinstance(node, Conv)]
        last = convs[-1].out
        assert isinstance(last, (int, Choice)), "a body without projection must end in a chosen width"
        halves = any(conv.stride == 2 for conv in convs) and min(state.height, state.width) >= 4
        return np.asarray((self.number(last, state) == state.channels) & (not halves))

    @word.register
    def _(self, node: Concat, state: State) -> None:
        with state.kept("channels", "held") as kept:
            state.pin()
            self.walk(node.body, state)
            state.unpin(kept)
            state.channels += kept["channels"]
            state.reach(lambda: 2 * state.channels * state.area)

    @word.register
    def _(self, node: Gate, state: State) -> None:
        assert not state.may_be_pinned
        squeezed = np.maximum(self.number(node.squeezed, state), 1)
        weights = 2 * squeezed * state.channels
        vectors = squeezed + state.channels
        state.reach(lambda: state.channels * state.area + vectors)
        state.weigh(weights, 1, biases=vectors)

    @word.register
    def _(self, node: Repeat, state: State) -> None:
        if isinstance(node.depth, int):
            self.walk(Sequence(node.blocks[: node.depth]), state)
            return
        for index, block, following in _runs(node.blocks):
            active = state.bring_first(self.number(node.depth, state), index)
            if active == 0:
                return
            part = state.part(slice(0, active))
            with part.kept("channels", *(part.TOTALS if following else ())) as kept:
                self.walk(block, part)
                unchanged = following and (kept["channels"] == part.channels).all() and part.area == state.area
                if unchanged:  # the equal blocks that follow cost the same and need no walk
                    again = np.minimum(self.number(node.depth, part) - index - 1, following)
                    for name in part.TOTALS:
                        total = part.arrays[name]
                        total += (total - kept[name]) * again
            assert not part.may_be_pinned
            state.height, state.width, state.may_be_pinned = part.height, part.width, False
            if unchanged:
                return

    @word.register
    def _(self, node: Either, state: State) -> None:
        branches = {id(branch): branch for branch in map(node.branch, node.choice.values)}
        numbers = list(branches)
        branch_of_value = np.array([numbers.index(id(node.branch(value))) for value in node.choice.values], np.uint8)
        chosen = branch_of_value.take(self.indices[node.choice.label].take(state.order))
        if (chosen[1:] < chosen[:-1]).any():
            order = stable_order(chosen)
            chosen = chosen.take(order)
            state.sort(order)
        bounds = np.searchsorted(chosen, np.arange(len(numbers) + 1))
        height, width = state.height, state.width
        sizes = set()
        pinned = False
        for number, branch in enumerate(branches.values()):
            if bounds[number] == bounds[number + 1]:
                continue
            part = state.part(slice(bounds[number], bounds[number + 1]))
            self.walk(branch, part)
            sizes.add((part.height, part.width))
            pinned |= part.may_be_pinned
        assert len(sizes) == 1, f"branches of {node.choice.label} differ in size: {sizes} from {height}x{width}"
        state.height, state.width = sizes.pop()
        state.may_be_pinned = pinned

    @word.register
    def _(self, node: Cell, state: State) -> None:
        last = node.num_nodes - 1
        with state.kept("held") as kept:
            for source, target in sorted(node.edges, key=lambda edge: (edge[1], edge[0])):
                needed_later = range(source + 1, target) if target == last else set(range(target)) - {source}
                state.hold(kept, len(needed_later) + (source > 0))
                if target < last:
                    state.pin()
                self.walk(node.edges[source, target], state)
                if source == 0 and state.may_be_pinned:  # a first skip: the sum needs a tensor of its own
                    state.reach(lambda: 2 * state.arrays["pinned"])
                state.unpin(kept)


@cache
def _word(kind: type) -> Callable[[_Reader, Node, State], None]:
    """The method that walks nodes of this kind, found once: a walk looks it up a thousand times."""
    method: Callable[[_Reader, Node, State], None] = _Reader.__dict__["word"].dispatcher.dispatch(kind)
    return method


def flattened(node: Sequence) -> Iterator[Node]:
    """The nodes of a sequence and of the sequences in it."""
    for child in node.body:
        if isinstance(child, Sequence):
            yield from flattened(child)
        else:
            yield child


def _runs(blocks: tuple[Node, ...]) -> Iterator[tuple[int, Node, int]]:
    """(index, block, how many blocks to the end are the same object, if all that follow are, else 0)."""
    for index, block in enumerate(blocks):
        rest = blocks[index + 1 :]
        yield index, block, len(rest) if all(other is block for other in rest) else 0
