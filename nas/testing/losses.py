"""Contract tests of losses: one finite number an image, its gradient, and nothing infinite at any limit.

``make`` is what ``register_loss`` decorates: a recipe and class counts in, a function of logits and labels out.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.config import Recipe
from nas.training.class_counts import ClassCounts, class_balanced_weights
from nas.training.losses.registry import MakeLoss, TrainingLoss
from nas.training.mixing import Mixed

RECIPE = Recipe()
EXTREMES = (30.0, 1e3, 1e4)  # logits


def check_loss(make: MakeLoss, *, recipe: Recipe = RECIPE) -> None:
    """Check every promise of this module, for few and many classes.

    Args:
        make: The loss, as ``register_loss`` takes it: recipe and class counts to a function of logits (N, C) and labels
            (N,) that gives the loss of each image (N,).
        recipe: Settings of the loss.

    Raises:
        AssertionError: With the promise that was broken.
    """
    for num_classes in (2, 10):
        check_images_count_alone(make, recipe, num_classes)
        check_gradient(make, recipe, num_classes)
        for extreme in EXTREMES:
            check_extreme_logits(make, recipe, num_classes, extreme)
    check_empty_class(make, recipe)
    check_autocast(make, recipe)
    check_deferred_weights(make, recipe)
    check_mixtures(make, recipe)


def long_tail(num_classes: int, *, empty: bool = False) -> ClassCounts:
    """Counts that fall from 500 to 10; those sampled differ from the real ones. ``empty``: the last class has none."""
    real = np.maximum(1, 500 * 0.02 ** np.linspace(0, 1, num_classes)).round()
    sampled = np.sqrt(real).round() * 3
    if empty:
        real[-1] = sampled[-1] = 0
    return ClassCounts(torch.tensor(real), torch.tensor(sampled))


def random_batch(num_classes: int, scale: float, size: int = 16) -> tuple[Tensor, Tensor]:
    """Normal logits (size, num_classes) of that scale, float64, and labels (size,)."""
    generator = torch.Generator().manual_seed(0)
    logits_NC = scale * torch.randn(size, num_classes, generator=generator, dtype=torch.float64)
    return logits_NC, torch.randint(num_classes, (size,), generator=generator)


def training_loss(make: MakeLoss, recipe: Recipe, counts: ClassCounts) -> TrainingLoss:
    """The loss as a training has it, with deferred weights."""
    return TrainingLoss(make(recipe, counts), class_balanced_weights(counts.sampled_C, recipe.beta))


def check_images_count_alone(make: MakeLoss, recipe: Recipe, num_classes: int) -> None:
    """Each image gets one finite number, the same alone as in a batch."""
    per_image = make(recipe, long_tail(num_classes))
    logits_NC, labels_N = random_batch(num_classes, 2.0)
    losses_N = per_image(logits_NC, labels_N)
    assert losses_N.shape == labels_N.shape, f"16 images have losses of shape {tuple(losses_N.shape)}, not (16,)"
    assert losses_N.isfinite().all(), "ordinary logits have losses that are not finite"
    alone_N = torch.cat([per_image(logits_NC[i : i + 1], labels_N[i : i + 1]) for i in range(len(labels_N))])
    assert torch.allclose(losses_N, alone_N), "the loss of an image depends on the other images of its batch"


def check_gradient(make: MakeLoss, recipe: Recipe, num_classes: int) -> None:
    """The gradient is that of the value."""
    loss = training_loss(make, recipe, long_tail(num_classes))
    logits_NC, labels_N = random_batch(num_classes, 2.0)
    right = torch.autograd.gradcheck(
        lambda x: loss(x, labels_N), (logits_NC.requires_grad_(),), raise_exception=False
    )  # its own exception is no AssertionError
    assert right, "the gradient is not the derivative of the value"


def check_extreme_logits(make: MakeLoss, recipe: Recipe, num_classes: int, extreme: float) -> None:
    """At logits of +-``extreme`` in float32, right or wrong, the loss is finite and not negative; its gradient is
    finite, and not 0 for all images."""
    logits_NC = torch.zeros(6, num_classes)
    logits_NC[0, 0], logits_NC[1, 1], logits_NC[2, 0], logits_NC[3, 1] = extreme, extreme, -extreme, -extreme
    logits_NC[4], logits_NC[5] = extreme, -extreme
    logits_NC[5, 1] = extreme
    loss = training_loss(make, recipe, long_tail(num_classes))
    for label in (0, 1):
        x = logits_NC.clone().requires_grad_()
        value = loss(x, torch.full((6,), label))
        value.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(value), f"logits of {extreme:g} give a loss of {value.item()}"
        assert value >= 0, f"logits of {extreme:g} give a negative loss, {value.item()}"
        assert x.grad is not None and torch.isfinite(x.grad).all(), f"logits of {extreme:g} give no finite gradient"
        assert x.grad.abs().max() > 0, f"logits of {extreme:g} give no gradient at all"


def check_empty_class(make: MakeLoss, recipe: Recipe) -> None:
    """A class without training images makes nothing infinite, not even where an image of another split is of it."""
    logits_NC, labels_N = random_batch(10, 1.0)
    labels_N[0] = 9
    loss = training_loss(make, recipe, long_tail(10, empty=True))
    for some_N in (labels_N, torch.full_like(labels_N, 9)):
        for reweighted in (False, True):
            x = logits_NC.clone().requires_grad_()
            value = loss(x, some_N, reweighted=reweighted)
            value.backward()  # type: ignore[no-untyped-call]
            finite = torch.isfinite(value) and x.grad is not None and torch.isfinite(x.grad).all()
            assert finite, "a class without training images makes the loss or its gradient infinite"


def check_autocast(make: MakeLoss, recipe: Recipe) -> None:
    """Logits that arrive as bfloat16 under autocast are computed with in float32."""
    logits_NC, labels_N = random_batch(10, 1.0)
    loss = training_loss(make, recipe, long_tail(10))
    expected = loss(logits_NC.bfloat16().float(), labels_N)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits_NC.bfloat16(), labels_N)
    assert value.dtype == torch.float32, f"under autocast the loss is {value.dtype}, not float32"
    assert torch.allclose(value, expected, rtol=1e-6, atol=0), "under autocast the loss is less exact than float32"


def check_deferred_weights(make: MakeLoss, recipe: Recipe) -> None:
    """Deferred re-weighting is the mean of the losses of single images, weighted by class."""
    counts = long_tail(10)
    weights_C = class_balanced_weights(counts.sampled_C, recipe.beta)
    logits_NC, labels_N = random_batch(10, 1.0)
    loss = training_loss(make, recipe, counts)
    alone_N = torch.stack([loss(logits_NC[i : i + 1], labels_N[i : i + 1]) for i in range(len(labels_N))])
    expected = (alone_N * weights_C[labels_N]).sum() / weights_C[labels_N].sum()
    assert torch.allclose(loss(logits_NC, labels_N), alone_N.mean()), "a batch's loss is not the mean of its images'"
    assert torch.allclose(loss(logits_NC, labels_N, reweighted=True), expected), (
        "a re-weighted batch's loss is not the weighted mean of its images'"
    )


def check_mixtures(make: MakeLoss, recipe: Recipe) -> None:
    """A mixed image has a loss between those of its two labels, by their shares."""
    logits_NC, first_N = random_batch(10, 1.0)
    second_N = first_N.roll(1)
    loss = training_loss(make, recipe, long_tail(10))
    for reweighted in (False, True):
        one, two = (loss(logits_NC, labels_N, reweighted=reweighted) for labels_N in (first_N, second_N))
        for share, expected in ((1.0, one), (0.0, two)) if reweighted else ((1.0, one), (0.0, two), (0.25, None)):
            mixed = Mixed(first_N, second_N, torch.full((16,), share))
            wanted = 0.25 * one + 0.75 * two if expected is None else expected
            assert torch.allclose(loss(logits_NC, mixed, reweighted=reweighted), wanted), (
                f"with a share of {share} the loss of mixed images is not that mixture of the losses of both labels"
            )
