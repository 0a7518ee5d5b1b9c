"""Capture on the CPU as CUDA captures: every operation again on the same memory, and nothing of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What a GPU cannot answer without waiting for it, and so cannot be captured.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2", "item"}


class OperationCapture:
    """A ``nas.training.cuda_graphs.GraphCapture`` for tests.

    Capturing leaves every tensor that was there, and ``generators``, as they were, as capturing a CUDA graph does.
    """

    def __init__(self, *generators: torch.Generator) -> None:
        self.generators = [torch.default_generator, *generators]
        self.num_captures = 0

    def run(self, work: Callable[[], Tensor]) -> Tensor:
        return work()

    def capture(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        states = [generator.get_state() for generator in self.generators]
        operations = _Operations()
        try:
            with operations:
                result = work()
        finally:
            with torch.no_grad():
                for tensor, content in operations.before.values():
                    tensor.copy_(content)
            for generator, state in zip(self.generators, states, strict=True):
                generator.set_state(state)
        self.num_captures += 1

        def replay() -> Tensor:
            operations.replay()
            return result

        return replay


class _Operations(TorchDispatchMode):
    """Keeps what was called, on what, and what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}  # of tensors from outside, by id
        self._made: dict[int, Tensor] = {}  # kept alive, as a graph keeps its memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket.__name__ in WAITS or _has_mask(func, args):
            raise RuntimeError(f"{func} waits for the device")
        for tensor in _tensors((args, kwargs)):
            if id(tensor) not in self._made and id(tensor) not in self.before:
                self.before[id(tensor)] = (tensor, tensor.detach().clone())
        given = func(*args, **kwargs)
        self._made |= {id(tensor): tensor for tensor in _tensors(given)}
        self.calls.append((func, args, kwargs, given))
        return given

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, given in self.calls:
                again = func(*args, **kwargs)
                for old, new in zip(_tensors(given), _tensors(again), strict=True):
                    if old.data_ptr() != new.data_ptr():  # neither written in place nor a view
                        old.copy_(new)


def _tensors(tree: Any) -> Iterable[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _has_mask(func: Any, args: Any) -> bool:
    """True if tensors are indexed by booleans: how many are chosen only the device knows."""
    if func.overloadpacket.__name__ not in ("index", "index_put", "index_put_"):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
