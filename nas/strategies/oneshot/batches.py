"""The splits as a supernet reads them: its batches, and the metrics of networks on whole splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from nas.config import Recipe, SearchConfig
from nas.config.objectives import DEFAULT
from nas.config.recipe import Metrics
from nas.training.augmentation import augment, normalize
from nas.training.class_counts import ClassCounts
from nas.training.evaluation import evaluate_split
from nas.training.mixing import Mixed, mix
from nas.training.sampling import epoch_plan, make_sampler
from nas.training.step import class_counts
from nas.training.tensor_split import JoinedSplit, TensorSplit
from nas.trials.datasets import split_on_device, synthetic_on_device

CALIBRATION_BATCHES = 8  # of training images, from which statistics of batch normalization are estimated
SCORED_AT_ONCE = 4  # times the batches of training: without gradients few layers' outputs are kept

Batch = tuple[Tensor, Tensor | Mixed]  # normalized images (n, C, H, W), labels (n,)


@dataclass(frozen=True)
class Images:
    """Training images with what an oversampler adds, ``select`` and ``rank``, all on one device."""

    train: TensorSplit | JoinedSplit
    select: TensorSplit
    rank: TensorSplit
    sizes: list[int]  # of an epoch's batches
    normalization: tuple[tuple[float, ...], tuple[float, ...]]
    num_classes: int
    device: torch.device
    recipe: Recipe

    @classmethod
    def of(cls, config: SearchConfig, num_classes: int, device: str) -> Images:
        """Those of a search, loaded and divided as for its trials."""
        train = split_on_device(config.data, device, "train")
        synthetic, _ = synthetic_on_device(
            config.data, device, config.recipe.oversampling, mirrored=config.recipe.flip is not False
        )
        images, sizes = epoch_plan(train, synthetic, config.recipe)
        select, rank = (split_on_device(config.data, device, name) for name in ("select", "rank"))
        return cls(images, select, rank, sizes, train.mean_and_std, num_classes, torch.device(device), config.recipe)

    @cached_property
    def counts(self) -> ClassCounts:
        """Of the classes in training, as a trial has them."""
        first = self.train.first if isinstance(self.train, JoinedSplit) else self.train
        return class_counts(first, self.train, self.recipe, self.num_classes)

    @cached_property
    def _normal(self) -> tuple[Tensor, Tensor]:
        mean, std = self.normalization
        return torch.tensor(mean, device=self.device), torch.tensor(std, device=self.device)

    def training_batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """An epoch's batches for the weights: sampled, augmented and mixed by the recipe, as in a trial."""
        order = make_sampler(self.train, self.recipe)(sum(self.sizes), generator)
        for index in torch.split(order, self.sizes):
            images, labels = self._augmented(self.train, index, generator)
            images, targets = mix(images, labels, self.recipe, self.counts, generator)
            yield images.contiguous(memory_format=torch.channels_last), targets

    def batches(self, split: TensorSplit, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch's batches of augmented images of ``split``, in random order; again from its start, in
        another order, where the split is smaller than an epoch."""
        total = sum(self.sizes)
        order = [self._order(len(split), generator) for _ in range(-(-total // len(split)))]
        for index in torch.split(torch.cat(order)[:total], self.sizes):
            images, labels = self._augmented(split, index, generator)
            yield images.contiguous(memory_format=torch.channels_last), labels

    def _augmented(
        self, split: TensorSplit | JoinedSplit, index: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        pixels, labels = split.batch(index)
        return augment(pixels, self.recipe, generator, self._normal), labels

    def calibration(self, generator: torch.Generator) -> list[Tensor]:
        """A few batches of training images as they are evaluated, without augmentation."""
        largest = max(self.sizes)
        index = self._order(len(self.train), generator)[: CALIBRATION_BATCHES * largest]
        parts = [index[start:end] for start, end in pairwise([*range(0, len(index), largest), len(index)])]
        return [normalize(self.train.batch(part)[0], *self._normal) for part in parts if len(part) > 1]

    def _order(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randperm(count, generator=generator, device=self.device)

    def metrics(self, model: nn.Module, split: TensorSplit, objective: str = DEFAULT) -> Metrics:
        """The metrics of ``model`` on ``split``, ``objective`` among them; its mode is restored."""
        batch_size = SCORED_AT_ONCE * max(self.sizes)  # of a supernet 1024 images would take more than training does
        return evaluate_split(
            model, split, self.normalization,
            num_classes=self.num_classes, device=self.device, batch_size=batch_size, objective=objective,
            test_flip=self.recipe.test_flip,
        )  # fmt: skip


def calibrate(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Estimate the statistics of batch normalization anew: their means over ``batches``. Leaves training mode on.

    The statistics that a network inherits are those of a mixture of architectures, or of none; with them even
    good weights guess (Yu and Huang 2019, "Universally Slimmable Networks", section 3.1).
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    model.train()
    with torch.no_grad():
        for number, batch in enumerate(batches, start=1):
            for norm in norms:
                norm.momentum = 1 / number  # the running mean becomes the mean of all so far
            model(batch)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
