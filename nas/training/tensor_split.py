"""The images of a split as tensors on the device, and two splits read as one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 512  # images that are read at once where a whole split is: a GPU scores hardly more a second of more
CPU_CHUNK = 128  # that a CPU scores at once: what a layer leaves is then still in its cache, twice as fast


@dataclass(frozen=True)
class TensorSplit:
    """A split as tensors, read a batch at a time on the device it trains on.

    With ``rows``, image i of the split is ``images[rows[i]]``: on a CPU the pixels stay in a memory map that
    processes share, and only a batch of them is ever copied.
    """

    images: Tensor  # uint8 (N, C, H, W); with rows, of any number
    labels: Tensor  # int64 (N,)
    rows: Tensor | None = None  # int64 (N,)

    @classmethod
    def of(
        cls,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        device: torch.device | str,
        rows: NDArray[np.int64] | None = None,
    ) -> TensorSplit:
        """Put arrays on ``device``. On a CPU nothing is copied; elsewhere only ``rows`` of the images are."""
        # numpy is free in the stride of a single channel, from which torch would guess another order of memory.
        pixels = torch.from_numpy(images).reshape(-1).view(images.shape)
        split = cls(pixels, torch.from_numpy(labels), None if rows is None else torch.from_numpy(rows))
        if torch.device(device).type == "cpu":
            return split
        on_device = torch.empty(len(split), *images.shape[1:], dtype=torch.uint8, device=device)
        for part, chunk in zip(torch.split(on_device, CHUNK), split.chunks(), strict=True):
            part.copy_(chunk)
        return cls(on_device, split.labels.to(device))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of the split's positions ``index`` (n,), on the split's device."""
        place = index if self.rows is None else self.rows[index]
        return self.images.index_select(0, place), self.labels[index]  # whole images, not pixel by pixel

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """All images in order, ``size`` at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def __getitem__(self, part: slice) -> Tensor:
        """The images of a part of the split."""
        return self.images[part] if self.rows is None else self.images.index_select(0, self.rows[part])

    @cached_property
    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Per channel on a scale of 0 to 1, exactly, from a histogram; a std of 0 becomes 1."""
        level = torch.arange(256, dtype=torch.float64) / 255
        counts = [
            torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in chunk.unbind(1)])
            for chunk in self.chunks()
        ]
        means, stds = [], []
        for count in torch.stack(counts).sum(0).double().cpu():
            share = count / count.sum()
            means.append(mean := float(share @ level))
            stds.append(math.sqrt(float(share @ (level - mean).square())) or 1.0)
        return tuple(means), tuple(stds)


@dataclass(frozen=True)
class JoinedSplit:
    """Two splits as one, without a copy of either."""

    first: TensorSplit
    second: TensorSplit  # continues the count of the first; neither is empty

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @cached_property
    def labels(self) -> Tensor:
        """Of both, (N,)."""
        return torch.cat([self.first.labels, self.second.labels])

    def __getitem__(self, part: slice) -> Tensor:
        """The images of a part of both, in their order."""
        return self.batch(torch.arange(*part.indices(len(self)), device=self.labels.device))[0]

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of the positions ``index`` (n,)."""
        images, labels = self.first.batch(index.clamp(max=len(self.first) - 1))
        index = index - len(self.first)
        if index.is_cuda:  # counting the positions in each would stall it: read both, choose afterwards
            more_images, more_labels = self.second.batch(index.clamp(min=0))
            is_first = index < 0
            return torch.where(is_first.view(-1, 1, 1, 1), images, more_images), labels.where(is_first, more_labels)
        (place,) = (index >= 0).nonzero(as_tuple=True)
        images[place], labels[place] = self.second.batch(index[place])
        return images, labels
