"""The splits as training reads them: opened once in a process, and kept for the next trial.

A search's own process lets go of them with ``forget`` when its supernet is trained.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from nas.data import DataConfig, Dataset, open_data
from nas.data.dataset import SplitName
from nas.data.oversampling import oversample
from nas.data.published import MixedSplit, split_after_oversampling
from nas.training.tensor_split import JoinedSplit, TensorSplit


@functools.lru_cache(maxsize=1)
def open_dataset(config: DataConfig) -> Dataset:
    """The data set, opened once."""
    return open_data(config)


@functools.lru_cache(maxsize=6)  # the splits of one data set: a second trial loads nothing
def split_on_device(config: DataConfig, device: str, name: SplitName) -> TensorSplit:
    """A split on the device; on a CPU its pixels stay in the cache's memory map, which all workers share."""
    split = open_dataset(config).split(name)
    return TensorSplit.of(split.stored, split.labels, device, rows=split.rows)


@functools.lru_cache(maxsize=1)
def synthetic_on_device(
    config: DataConfig, device: str, oversampling: str, *, mirrored: bool = True
) -> tuple[TensorSplit | None, tuple[str, ...]]:
    """Images that the oversampler adds to the training split, on the device, and its warnings; ``mirrored``: whether it
    may mirror colour images.

    On a CPU its pixels stay in a memory map, which all workers share; the first of them makes it, others wait.
    """
    if oversampling == "none":
        return None, ()
    dataset = open_dataset(config)
    train = replace(dataset.split("train"), mirrored=mirrored)
    made = oversample(oversampling, train, cache=dataset.cache_path, key=dataset.key)
    return TensorSplit.of(made.images, made.labels, device, rows=made.rows), made.warnings


@dataclass(frozen=True)
class PublishedSplits:
    """Splits that were made after oversampling, as a trial reads them on one device; ``synthetic`` is train's."""

    train: TensorSplit
    synthetic: TensorSplit
    select: TensorSplit | JoinedSplit
    rank: TensorSplit | JoinedSplit
    warnings: tuple[str, ...]  # of the oversampler


@functools.lru_cache(maxsize=1)
def published_on_device(
    config: DataConfig, device: str, oversampling: str, *, mirrored: bool = True
) -> PublishedSplits:
    """The splits as the origin study made them (see ``nas.data.published``); on a CPU in memory maps, as others."""
    splits = split_after_oversampling(oversampling, config, open_dataset(config), mirrored=mirrored)

    def parts(split: MixedSplit) -> tuple[TensorSplit, TensorSplit]:
        real, made = split.real, split.made
        return (
            TensorSplit.of(real.stored, real.labels, device, rows=real.rows),
            TensorSplit.of(made.images, made.labels, device, rows=made.rows),
        )

    def whole(split: MixedSplit) -> TensorSplit | JoinedSplit:
        real, made = parts(split)
        return JoinedSplit(real, made) if len(real) and len(made) else real if len(real) else made

    train, synthetic = parts(splits["train"])
    warnings = splits["train"].made.warnings
    return PublishedSplits(train, synthetic, whole(splits["select"]), whole(splits["rank"]), warnings)


def forget() -> None:
    """Let go of everything that was opened."""
    for opened in (open_dataset, split_on_device, synthetic_on_device, published_on_device):
        opened.cache_clear()
