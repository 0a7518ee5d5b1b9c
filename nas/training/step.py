"""One step of a training, and all that it works with."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from baselines.freezing import freeze
from nas.config import Recipe
from nas.stopwatch import OFF, Watch
from nas.training.augmentation import augment
from nas.training.averaging import WeightAverage
from nas.training.class_counts import ClassCounts
from nas.training.cuda_graphs import LEAST_STEPS, CapturedStep, CudaGraphCapture, Step
from nas.training.losses import TrainingLoss, is_reweighted, make_loss
from nas.training.metric_losses import MetricTerm, make_metric_term
from nas.training.mixing import mix
from nas.training.precision import Execution, usual_execution
from nas.training.regularizers import Regularizer, make_regularizer
from nas.training.sampling import Sampler, make_sampler
from nas.training.teaching import Lesson, Teachers
from nas.training.tensor_split import JoinedSplit, TensorSplit


def class_counts(
    train_split: TensorSplit, images: TensorSplit | JoinedSplit, recipe: Recipe, num_classes: int
) -> ClassCounts:
    """The counts of the training split and of ``images``, from which the recipe samples its epochs."""
    return ClassCounts.of(train_split.labels, images.labels, num_classes, balanced=recipe.sampler == "class-balanced")


@dataclass(frozen=True)
class Learning:
    """Learning state of a network on its images by a recipe: all that an epoch works with."""

    model: nn.Module
    images: TensorSplit | JoinedSplit
    recipe: Recipe
    counts: ClassCounts
    loss_of: TrainingLoss
    regularizer: Regularizer | None
    optimizer: torch.optim.Optimizer
    sample: Sampler
    normal: tuple[Tensor, Tensor]  # mean and standard deviation per channel, on the device
    generator: torch.Generator
    execution: Execution
    watch: Watch
    average: WeightAverage | None = None  # of the weights, where the recipe keeps one
    lesson: Lesson | None = None  # of trained networks, where there are any
    frozen: Sequence[nn.Module] = ()  # parts of the network that do not learn
    metric: MetricTerm | None = None  # a loss on embeddings, where the recipe has one

    @classmethod
    def of(
        cls,
        model: nn.Module,
        images: TensorSplit | JoinedSplit,
        recipe: Recipe,
        counts: ClassCounts,
        normal: tuple[Tensor, Tensor],
        generator: torch.Generator,
        *,
        execution: Execution | None = None,
        watch: Watch = OFF,
        teachers: Teachers | None = None,
    ) -> Learning:
        """For ``model``, which lies on the generator's device. UsageError if a name in the recipe is not known, or that
        of a module to freeze, TrialError if it has a metric loss and ``model`` no last linear layer."""
        execution = execution or usual_execution(generator.device)
        frozen = freeze(model, recipe.freeze)
        lesson = Lesson(teachers, images, recipe, counts, normal, execution) if teachers else None
        return cls(
            model, images, recipe, counts, make_loss(recipe, counts), make_regularizer(recipe, model),
            make_optimizer(model, recipe), make_sampler(images, recipe), normal, generator, execution, watch,
            WeightAverage(model, recipe.ema) if recipe.ema else None, lesson, frozen,
            make_metric_term(recipe, model, len(counts.real_C), generator.device),
        )  # fmt: skip

    def train_mode(self) -> None:
        """Put the network into training mode, but for what is frozen: that stays a fixed function."""
        self.model.train()
        for part in self.frozen:
            part.eval()


@dataclass(frozen=True)
class Phase:
    """Properties that the steps of an epoch have in common, and those of another may not."""

    reweighted: bool
    penalty_weight: float  # 0: no penalty

    @classmethod
    def of(cls, learning: Learning, epoch: int) -> Phase:
        """Of epoch ``epoch``, from 1."""
        recipe, regularizer = learning.recipe, learning.regularizer
        weight = regularizer.weight_at((epoch - 1) / recipe.epochs) if regularizer is not None else 0.0
        return cls(is_reweighted(recipe, epoch, recipe.epochs), weight)


def make_step(learning: Learning, sizes: Sequence[int]) -> Step:
    """``take_step``, on a GPU from a captured CUDA graph where that pays within the epochs, whose batches are of
    ``sizes``."""
    device = learning.generator.device
    if device.type != "cuda" or learning.recipe.epochs * len(sizes) < LEAST_STEPS:
        return functools.partial(take_step, learning)
    step = functools.partial(take_step, replace(learning, watch=OFF))  # a watch would wait for what is captured
    return CapturedStep(step, CudaGraphCapture(learning.generator, learning.optimizer), size=sizes[0], device=device)


def notes_on(step: Step) -> tuple[str, ...]:
    """Notes on the steps for the log of a trial."""
    if not isinstance(step, CapturedStep) or step.failure is None:
        return ()
    return (f"the steps ran one kernel at a time, since they could not be captured as a CUDA graph: {step.failure}",)


def take_step(learning: Learning, phase: Phase, index_N: Tensor, rate: float | Tensor) -> Tensor:
    """Learn from the images at ``index_N``: the sum of their losses, without a penalty or what a teacher or a metric
    loss adds, as a tensor; of a recipe that gives the loss no weight, the sum of the metric loss.

    Waits for nothing on the device, and all that a step has of its own are ``index_N`` and ``rate``.
    """
    recipe, generator = learning.recipe, learning.generator
    learning.watch.switch("data")
    pixels, labels = learning.images.batch(index_N)
    view = augment(pixels, recipe, generator, learning.normal)
    batch, targets = mix(view, labels, recipe, learning.counts, generator)
    in_bfloat16 = learning.execution.precision == "bfloat16"
    learning.watch.switch("forward/backward")
    with torch.autocast(generator.device.type, torch.bfloat16, enabled=in_bfloat16):
        if (term := learning.metric) is None:
            logits = learning.model(batch)
        else:
            logits, embeddings = term.forward(learning.model, batch)
    total = loss = learning.loss_of(logits, targets, reweighted=phase.reweighted)
    if learning.lesson is not None:
        total = learning.lesson.added_to(loss, logits, batch, index_N)
    if term is not None:
        metric = term.of(embeddings, targets)
        total, loss = term.added_to(total, metric), loss if term.classification_weight else metric
    if learning.regularizer is not None and phase.penalty_weight:
        total = total + phase.penalty_weight * learning.regularizer.penalty()
    learning.optimizer.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    for group in learning.optimizer.param_groups:
        group["lr"] = rate
    learning.optimizer.step()
    if learning.average is not None:
        learning.average.update()
    return loss.detach() * len(index_N)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam, or SGD with the recipe's momentum; fused: small nets spend their time on many small tensors."""
    weights, rate, decay = model.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(weights, rate, weight_decay=decay, fused=True)
    momentum, nesterov = recipe.momentum, recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(weights, rate, momentum=momentum, nesterov=nesterov, weight_decay=decay, fused=True)
