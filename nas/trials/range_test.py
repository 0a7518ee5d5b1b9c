"""The learning-rate range test of a trial's network, on the images and by the recipe that it would be trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from nas.training.classifier_head import Classifier
from nas.training.loop import prepared
from nas.training.range_test import RangeTest, range_test
from nas.training.step import Learning, Phase, take_step
from nas.trials.run_trial import build, check_data, training_images
from nas.trials.spec import TrialSpec

FIRST_EPOCH = 1  # whose phase the steps are of


def rate_curve(
    spec: TrialSpec, device: str, rates: Sequence[float], *, on_step: Callable[[int], None] | None = None
) -> RangeTest:
    """Train the network of ``spec`` for a step at each of the growing ``rates``; nothing is kept but the curve.

    Batches, losses, oversampling and augmentation are the recipe's, its schedule is not. ``on_step`` is told how many
    steps are taken. Equal specifications give equal curves. UsageError, TrialError as a trial would have it.
    """
    torch.manual_seed(spec.seed)
    model = build(spec)
    check_data(spec)
    real, synthetic, _ = training_images(spec, device)
    learning, sizes, _ = prepared(
        model, real, synthetic, spec.recipe, num_classes=spec.num_classes, device=torch.device(device), seed=spec.seed,
        execution=spec.execution,
    )  # fmt: skip
    phase, batches, taken = Phase.of(learning, FIRST_EPOCH), _batches(learning, sizes), 0

    def step(rate: float) -> float:
        nonlocal taken
        index_N = next(batches)
        loss = take_step(learning, phase, index_N, rate).item() / len(index_N)
        taken += 1
        if on_step is not None:
            on_step(taken)
        return loss

    learning.train_mode()
    with Classifier.of(spec.recipe, learning.counts).attached(model, spec.num_classes):
        return range_test(step, rates)


def _batches(learning: Learning, sizes: list[int]) -> Iterator[Tensor]:
    """Whole batches, epoch after epoch: one that is shorter has a noisier loss."""
    whole = [size for size in sizes if size == sizes[0]]
    while True:
        order = learning.sample(sum(sizes), learning.generator)
        yield from torch.split(order, sizes)[: len(whole)]
