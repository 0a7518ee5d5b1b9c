"""State of the cost reading: the tensors of N samples at one place of a network, and the costs so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NORM_BUFFER_BYTES = 8  # num_batches_tracked, one int64 a layer


class State:
    """N samples on their way through the network, adding up parameters alone; a slice of it shares its arrays.

    The reading tells it everything that happens. What happens to tensors does nothing here: see ``FullState``.
    """

    TOTALS: ClassVar[tuple[str, ...]] = ("params",)  # sums over layers; equal layers add equal amounts
    RESULTS: ClassVar[tuple[str, ...]] = TOTALS
    ARRAYS: ClassVar[tuple[str, ...]] = ("order", "channels", *TOTALS)

    def __init__(self, arrays: dict[str, Ints], height: int, width: int) -> None:
        self.arrays = arrays
        self.order, self.channels, self.params = arrays["order"], arrays["channels"], arrays["params"]
        self.height, self.width = height, width
        self.may_be_pinned = False

    @property
    def area(self) -> int:
        return self.height * self.width

    def part(self, rows: slice) -> State:
        state = type(self)({name: array[rows] for name, array in self.arrays.items()}, self.height, self.width)
        state.may_be_pinned = self.may_be_pinned
        return state

    def sort(self, order: npt.NDArray[np.intp]) -> None:
        for array in self.arrays.values():
            array[:] = array.take(order)

    def bring_first(self, depth: Ints, index: int) -> int:
        """Bring the rows with a ``depth`` above ``index`` to the front, and return how many they are."""
        active = depth > index
        number = int(np.count_nonzero(active))
        if not active[:number].all():
            self.sort(stable_order(depth.max() - depth))  # deepest first: the blocks to come need not sort
        return number

    @contextmanager
    def kept(self, *names: str) -> Iterator[dict[str, Ints]]:
        """Copies of the arrays ``names`` that follow every later sorting of the rows; those not kept here left out."""
        copies = {name: f"{name} {len(self.arrays)}" for name in names if name in self.arrays}
        copied = {key: self.arrays[name].copy() for name, key in copies.items()}
        self.arrays.update(copied)
        yield {name: copied[key] for name, key in copies.items()}
        for key in copied:
            del self.arrays[key]

    def weigh(self, weights: Ints, area: int, biases: Ints | int = 0) -> None:
        """A layer of ``weights``, each used once for every one of ``area`` pixels, and ``biases``."""
        self.params += weights
        if not isinstance(biases, int) or biases:
            self.params += biases

    def normalize(self, where: Mask | None = None) -> None:
        """A batch normalization of the current tensor (for the samples ``where``)."""
        added = 2 * self.channels
        self.params += added if where is None else added * where

    def reach(self, elements: Callable[[], Ints], where: Mask | None = None) -> None:
        """So many elements are needed at once, besides what others hold (for the samples ``where``)."""

    def overwrite(self) -> None:
        """The current tensor changes in place, or into one of the same size where others need it."""

    def allocate(self, channels: Ints | int, area: int) -> None:
        """A new tensor is made from the current one and takes its place (channels are set by the caller)."""

    def pin(self, where: Callable[[], Mask] | None = None) -> None:
        """Others will need the current tensor after what comes next (for the samples ``where``)."""

    def unpin(self, kept: dict[str, Ints]) -> None:
        """Nobody needs it any more; what others hold is ``kept["held"]`` again."""

    def hold(self, kept: dict[str, Ints], tensors: int) -> None:
        """Others hold ``kept["held"]`` and so many tensors of the current one's size."""


class FullState(State):
    """Adds up all costs.

    ``held`` are elements of tensors that others still need besides the current one. ``pinned`` marks, as
    its size, a current tensor that others need too: it cannot be overwritten, and stays when left.
    """

    TOTALS = ("params", "macs", "buffer_bytes")
    RESULTS = (*TOTALS, "peak")
    ARRAYS = ("order", "channels", *RESULTS, "held", "pinned")

    def __init__(self, arrays: dict[str, Ints], height: int, width: int) -> None:
        super().__init__(arrays, height, width)
        self.macs, self.buffer_bytes = arrays["macs"], arrays["buffer_bytes"]
        self.held, self.pinned, self.peak = arrays["held"], arrays["pinned"], arrays["peak"]

    def weigh(self, weights: Ints, area: int, biases: Ints | int = 0) -> None:
        super().weigh(weights, area, biases)
        self.macs += weights * area

    def normalize(self, where: Mask | None = None) -> None:
        super().normalize(where)
        added = 8 * self.channels + NORM_BUFFER_BYTES
        self.buffer_bytes += added if where is None else added * where

    def reach(self, elements: Callable[[], Ints], where: Mask | None = None) -> None:
        alive = self.held + elements()
        np.maximum(self.peak, alive if where is None else alive * where, out=self.peak)

    def overwrite(self) -> None:
        if self.may_be_pinned:
            self.allocate(self.pinned.copy(), 1)

    def allocate(self, channels: Ints | int, area: int) -> None:
        alive = self.channels * self.area
        alive += self.held
        alive += channels * area
        np.maximum(self.peak, alive, out=self.peak)
        if self.may_be_pinned:
            self.held += self.pinned
            self.pinned[:] = 0
            self.may_be_pinned = False

    def pin(self, where: Callable[[], Mask] | None = None) -> None:
        self.pinned[:] = self.channels * self.area
        if where is not None:
            self.pinned *= where()
        self.may_be_pinned = True

    def unpin(self, kept: dict[str, Ints]) -> None:
        self.pinned[:] = 0
        self.may_be_pinned = False
        self.held[:] = kept["held"]

    def hold(self, kept: dict[str, Ints], tensors: int) -> None:
        self.held[:] = kept["held"] + self.channels * (self.area * tensors)


def stable_order(keys: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """The order that sorts small non-negative ``keys`` (N,), equal ones as they were.

    In 16 bits numpy sorts them by digits, several times faster than by comparison.
    """
    return np.argsort(keys.astype(np.uint16 if keys.max(initial=0) > 255 else np.uint8), kind="stable")
