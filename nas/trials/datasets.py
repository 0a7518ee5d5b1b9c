"""The splits as training reads them: opened once in a process, and kept for the next trial.

A search's own process lets go of them with ``forget`` when its supernet is trained.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from nas.data import DataConfig, Dataset, open_data
from nas.data.dataset import SplitName
from nas.data.oversampling import oversample
from nas.training.tensor_split import TensorSplit


@functools.lru_cache(maxsize=1)
def open_dataset(config: DataConfig) -> Dataset:
    """The data set, opened once."""
    return open_data(config)


@functools.lru_cache(maxsize=4)  # the four splits of one data set: a second trial loads nothing
def split_on_device(config: DataConfig, device: str, name: SplitName) -> TensorSplit:
    """A split on the device; on a CPU its pixels stay in the cache's memory map, which all workers share."""
    split = open_dataset(config).split(name)
    return TensorSplit.of(split.stored, split.labels, device, rows=split.rows)


@functools.lru_cache(maxsize=1)
def synthetic_on_device(
    config: DataConfig, device: str, oversampling: str, *, mirrored: bool = True
) -> tuple[TensorSplit | None, tuple[str, ...]]:
    """What the oversampler adds to the training split, on the device, and its warnings; ``mirrored``: whether it may
    mirror colour images.

    On a CPU its pixels stay in a memory map, which all workers share; the first of them makes it, others wait.
    """
    if oversampling == "none":
        return None, ()
    dataset = open_dataset(config)
    train = replace(dataset.split("train"), mirrored=mirrored)
    made = oversample(oversampling, train, cache=dataset.cache_path, key=dataset.key)
    return TensorSplit.of(made.images, made.labels, device, rows=made.rows), made.warnings


def forget() -> None:
    """Let go of everything that was opened."""
    for opened in (open_dataset, split_on_device, synthetic_on_device):
        opened.cache_clear()
