"""The splits of the origin study, which oversampled before it split: to show how far off its validation metrics are.

An image that was made between two others is then trained on while one of the two validates, or the other way round.
No search reads these splits: ``nasctl baseline run --as-published`` alone does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nas.config import DataConfig
from nas.data.dataset import Dataset, Split, SplitName
from nas.data.loading import open_data
from nas.data.oversampling import Synthetic, oversample
from nas.data.splits import NOT_TEST, long_tail, split_anew


@dataclass(frozen=True)
class MixedSplit:
    """The real images of a split, and those that an oversampler made; either may be none."""

    real: Split
    made: Synthetic


def split_after_oversampling(
    name: str, config: DataConfig, dataset: Dataset, *, mirrored: bool = True
) -> dict[SplitName, MixedSplit]:
    """Train, select and rank, where ``name`` first evened out the classes of all their images together.

    ``dataset`` is that of ``config``; its test split stays as it is. ``mirrored``: whether colour images may be
    mirrored. What is made is kept on disk, as ever; all is the same for equal ``dataset.key``. UsageError as from
    ``oversample``.
    """
    pool = replace(_pool(config, len(dataset.classes)), mirrored=mirrored)
    made = oversample(name, pool, cache=dataset.cache_path, key=f"{dataset.key}|before splitting")
    made_rows = np.arange(len(made.labels)) if made.rows is None else made.rows
    labels, num_real = np.concatenate([pool.labels, made.labels]), len(pool.labels)
    splits: dict[SplitName, MixedSplit] = {}
    for split, chosen in split_anew(labels, num_classes=len(dataset.classes), seed=config.split_seed).items():
        real, added = chosen[chosen < num_real], chosen[chosen >= num_real] - num_real
        splits[split] = MixedSplit(
            replace(pool, rows=pool.rows[real], labels=pool.labels[real]),
            Synthetic(made.images, made.labels[added], made.warnings, made_rows[added]),
        )
    return splits


def _pool(config: DataConfig, num_classes: int) -> Split:
    """Every image but those of test, with as few of the rare classes as ``config.imbalance`` leaves to train on."""
    whole = open_data(config.model_copy(update={"imbalance": 1.0}))
    rows = np.sort(np.concatenate([whole.rows[name] for name in NOT_TEST]))
    if config.imbalance_factor > 1:
        factor, seed = config.imbalance_factor, config.split_seed
        rows = long_tail(rows, whole.labels, num_classes=num_classes, factor=factor, seed=seed)
    return replace(whole.split("train"), rows=rows, labels=whole.labels[rows])
