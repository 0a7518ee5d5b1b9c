"""The cost of samples: parameters, multiply-accumulates, bytes and peak activation memory, no module built.

``Costs`` are those of N samples in one call. Definitions:

* ``params``: ``sum(p.numel())`` of the built module.
* ``macs``: multiply-accumulates of convolutions and linear layers for one image, as thop counts them.
* ``size_bytes``: the state dict in float32: parameters, running statistics, and batch norm's counters.
* ``peak_memory``: bytes of float32 activations alive at once for one image, executed layer by layer in
  order, with normalization, activation, addition and scaling done in place where nothing else still needs
  the tensor. For cells it is an upper bound: a skip edge counts as a tensor of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from budgets.reading import read, read_params
from search_spaces.space import Rows, Sample, SearchSpace, Task

CHUNK = 16_384  # rows read at once: its arrays stay in the second-level cache of one core
BYTES_A_PARAM = 4  # float32
COST_NAMES = ("params", "macs", "size_bytes", "peak_memory")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cost:
    """The cost of one architecture."""

    params: int
    macs: int
    size_bytes: int
    peak_memory: int


@dataclass(frozen=True)
class Costs:
    """The costs of N architectures; each field is an int64 array (N,)."""

    params: Ints
    macs: Ints
    size_bytes: Ints
    peak_memory: Ints

    def __len__(self) -> int:
        return len(self.params)

    def __getitem__(self, index: int) -> Cost:
        return Cost(*(int(getattr(self, name)[index]) for name in COST_NAMES))

    def __iter__(self) -> Iterator[Cost]:
        return (self[index] for index in range(len(self)))

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Costs:
        """The costs at the given indices or where the mask is true."""
        return Costs(*(getattr(self, name)[which] for name in COST_NAMES))


def costs_of(space: SearchSpace, rows: Rows, task: Task) -> Costs:
    """Return the costs of N samples in one call.

    Args:
        space: The space of the samples.
        rows: Samples as indices (N, number of choices), see ``SearchSpace.encode``.
        task: Shape of an image (C, H, W) and number of classes.

    Returns:
        Arrays (N,) of parameters, MACs, bytes of weights, and bytes of peak activation memory.
    """
    if (known := space.known_costs(rows)) is not None:
        return Costs(*known.T)
    out = Costs(*(np.empty(len(rows), np.int64) for _ in COST_NAMES))
    definition = space.definition(task)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        totals = read(definition, space.choices, rows[part], task.input_shape)
        out.params[part] = totals.params
        out.macs[part] = totals.macs
        out.size_bytes[part] = BYTES_A_PARAM * totals.params + totals.buffer_bytes
        out.peak_memory[part] = 4 * totals.peak
    return out


def params_of(space: SearchSpace, rows: Rows, task: Task) -> Ints:
    """Return the parameters (N,) alone of N samples: as ``costs_of`` counts them, in a fraction of its time.

    Args:
        space: The space of the samples.
        rows: Samples as indices (N, number of choices).
        task: Shape of an image (C, H, W) and number of classes.
    """
    if (known := space.known_costs(rows)) is not None:
        return known[:, COST_NAMES.index("params")]
    out = np.empty(len(rows), np.int64)
    definition = space.definition(task)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = read_params(definition, space.choices, rows[part], task.input_shape)
    return out


def cost_of(space: SearchSpace, sample: Sample, task: Task) -> Cost:
    """Return the cost of one sample: parameters, MACs, bytes of weights, bytes of peak activation memory.

    Args:
        space: The space of the sample.
        sample: Value of every choice, by label.
        task: Shape of an image (C, H, W) and number of classes.

    Raises:
        UsageError: If ``sample`` is not one of ``space``.
    """
    space.validate(sample)
    return costs_of(space, space.encode(sample)[None], task)[0]
