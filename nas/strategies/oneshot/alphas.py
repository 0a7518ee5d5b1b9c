"""The distribution over architectures that alphas stand for: every choice independent, by its probabilities.

``Probabilities`` hold one array per choice, in the order of the space's choices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from search_spaces import SearchSpace
from search_spaces.space import Rows

TINY = 1e-300  # a log holds no infinite numbers

Probabilities = Sequence[npt.NDArray[np.float64]]


def as_arrays(space: SearchSpace, probabilities: Mapping[str, Tensor]) -> Probabilities:
    """Probabilities by label as arrays in the order of ``space.choices``, each summing to 1 in float64."""
    arrays = [probabilities[choice.label].detach().double().cpu().numpy() for choice in space.choices]
    return [array / array.sum() for array in arrays]


def sample(probabilities: Probabilities, rng: np.random.Generator, count: int) -> Rows:
    """``count`` rows; a value with probability 0 never comes."""
    rows = np.empty((count, len(probabilities)), np.int16)
    for column, values in enumerate(probabilities):
        ends = np.cumsum(values)
        ends[np.flatnonzero(values)[-1] :] = np.inf  # rounding must not lead beyond the last that is possible
        rows[:, column] = np.searchsorted(ends, rng.random(count), side="right")
    return rows


def log_likelihood(probabilities: Probabilities, rows: Rows) -> npt.NDArray[np.float64]:
    """The logarithm of each row's probability, in nats (N,); finite, very low, where it cannot come."""
    total = np.zeros(len(rows))
    for column, values in enumerate(probabilities):
        total += np.log(np.maximum(values, TINY))[rows[:, column]]
    return total


def likeliest(probabilities: Probabilities) -> Rows:
    """The row (choices,) of the most probable architecture."""
    return np.array([values.argmax() for values in probabilities], np.int16)


def entropy(probabilities: Probabilities) -> float:
    """Entropy of the choices: the mean of H / log n over them, 0 (all decided) to 1 (all uniform).

    A choice of one value is decided; of such alone the entropy is 0.
    """
    shares = []
    for values in probabilities:
        if len(values) > 1:
            positive = values[values > 0]
            shares.append(float(-(positive * np.log(positive)).sum()) / math.log(len(values)))
    return sum(shares) / len(shares) if shares else 0.0
