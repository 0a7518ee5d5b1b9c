"""Where N samples stand on their way through a network, as the cost reading adds them up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class State:
    """N samples on their way through the network; a slice of it shares its arrays.

    ``held`` are elements of tensors that others still need besides the current one. ``pinned`` marks, as
    its size, a current tensor that others need too: it cannot be overwritten, and stays when left.
    """

    ARRAYS = ("order", "channels", "params", "macs", "buffer_bytes", "held", "pinned", "peak")

    def __init__(self, arrays: dict[str, Ints], height: int, width: int) -> None:
        self.arrays = arrays
        self.order, self.channels = arrays["order"], arrays["channels"]
        self.params, self.macs, self.buffer_bytes = arrays["params"], arrays["macs"], arrays["buffer_bytes"]
        self.held, self.pinned, self.peak = arrays["held"], arrays["pinned"], arrays["peak"]
        self.height, self.width = height, width
        self.may_be_pinned = False

    @property
    def area(self) -> int:
        return self.height * self.width

    def part(self, rows: slice) -> State:
        state = State({name: array[rows] for name, array in self.arrays.items()}, self.height, self.width)
        state.may_be_pinned = self.may_be_pinned
        return state

    def sort(self, order: npt.NDArray[np.intp]) -> None:
        for array in self.arrays.values():
            array[:] = array[order]

    def allocate(self, elements: Ints) -> None:
        """A new tensor is made from the current one and takes its place (channels are set by the caller)."""
        alive = self.channels * self.area
        alive += self.held
        alive += elements
        np.maximum(self.peak, alive, out=self.peak)
        if self.may_be_pinned:
            self.held += self.pinned
            self.pinned[:] = 0
            self.may_be_pinned = False

    def pin(self, where: npt.NDArray[np.bool_] | None = None) -> None:
        """Others will need the current tensor after what comes next (for the samples ``where``)."""
        self.pinned[:] = self.channels * self.area
        if where is not None:
            self.pinned *= where
        self.may_be_pinned = True

    def unpin(self, held: Ints) -> None:
        """Nobody needs it any more; what others hold is ``held`` again."""
        self.pinned[:] = 0
        self.may_be_pinned = False
        self.held[:] = held

    @contextmanager
    def kept(self, *arrays: Ints) -> Iterator[Kept]:
        """Copies of ``arrays`` that follow every later sorting of the rows."""
        names = [f"kept{len(self.arrays) + number}" for number in range(len(arrays))]
        self.arrays.update({name: array.copy() for name, array in zip(names, arrays, strict=True)})
        yield Kept(self, names)
        for name in names:
            del self.arrays[name]

    def bring_first(self, active: npt.NDArray[np.bool_]) -> int:
        """Sort the rows that are ``active`` to the front, and return how many they are."""
        number = int(np.count_nonzero(active))
        if not active[:number].all():
            self.sort(np.argsort(~active, kind="stable"))
        return number


@dataclass(frozen=True)
class Kept:
    state: State
    names: list[str]

    def arrays(self) -> list[Ints]:
        return [self.state.arrays[name] for name in self.names]
