"""The training of one network, from data on the device to the weights of its best epoch.

No files, no printing, no global state but torch's default generator; runs on a CPU as on a GPU.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn

from nas.augmentation import augment
from nas.class_counts import ClassCounts
from nas.classifier import Classifier
from nas.cuda_graphs import LEAST_STEPS, CudaRecorder, RecordedStep, Step
from nas.errors import TrialError
from nas.execution import Execution, usual_execution
from nas.losses import TrainingLoss, is_reweighted, make_loss
from nas.metrics import Figures, evaluate
from nas.mixing import mix
from nas.profiling import OFF, Watch
from nas.pruning import why_pruned
from nas.recipe import Recipe
from nas.regularizers import Regularizer, make_regularizer
from nas.sampling import Sampler, epoch_plan, make_sampler
from nas.schedules import learning_rates
from nas.tensor_split import JoinedSplit, TensorSplit


@dataclass(frozen=True)
class Training:
    """What a training leaves: the weights of the epoch it keeps, its curves, and its normalization."""

    best_state: dict[str, Tensor]  # on the CPU, contiguous; by ``recipe.keep_epoch`` of the best or the last epoch
    best_epoch: int  # from 1; the one that is kept
    history: list[dict[str, float]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()  # what the user may want to know of how it ran; nothing about the result


def train(
    model: nn.Module,
    train_split: TensorSplit,
    select_split: TensorSplit,
    recipe: Recipe,
    *,
    num_classes: int,
    device: torch.device | str,
    seed: int,
    objective: str = "balanced_accuracy",
    synthetic: TensorSplit | None = None,
    execution: Execution | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    watch: Watch = OFF,
    floor: Sequence[float] = (),
) -> Training:
    """Train ``model`` in place by ``recipe``; keep the epoch with the best ``objective`` on ``select_split``.

    ``synthetic`` is what an oversampler adds to ``train_split``; each epoch then sees a random
    ``recipe.oversampled_share`` of both together, while the normalization comes from ``train_split`` alone.
    ``on_epoch`` receives each record of the history: epoch (from 1), train_loss (without a regularizer's
    penalty), learning_rate (the largest of the epoch), seconds, and select_<figure> for every scalar of
    ``nas.metrics.evaluate``. With ``recipe.patience`` the training stops early: when that many epochs in a row
    brought no lower select_loss; and when a network falls below ``floor`` (see ``nas.pruning``). With ``keep_epoch``
    "last" the last trained epoch is kept instead of the best. The weights that are kept need nothing of the recipe
    (see ``nas.classifier``). TrialError if a loss is not finite. Equal seeds, equal bits on a CPU with equal threads.
    """
    device = torch.device(device)
    torch.manual_seed(seed)  # for dropout; everything drawn here comes from the generator
    generator = torch.Generator(device).manual_seed(seed)
    mean, std = train_split.mean_and_std
    images, sizes = epoch_plan(train_split, synthetic, recipe)
    counts = class_counts(train_split, images, recipe, num_classes)
    execution = execution or usual_execution(device)
    execution.place(model, device)
    normal = torch.tensor(mean, device=device), torch.tensor(std, device=device)
    learning = Learning.of(model, images, recipe, counts, normal, generator, execution=execution, watch=watch)
    classifier, kept = Classifier.of(recipe, counts), Kept(objective)
    history: list[dict[str, float]] = []
    step = make_step(learning, sizes)

    with classifier.attached(model, num_classes):
        for epoch in range(1, recipe.epochs + 1):
            started = time.perf_counter()
            rates = learning_rates(recipe, epoch, len(sizes))
            train_loss = run_epoch(learning, epoch, list(zip(rates, sizes, strict=True)), step)
            record = {"epoch": epoch, "train_loss": train_loss, "learning_rate": max(rates)}
            check_finite(record, "train_loss")
            watch.switch("evaluation")
            figures = evaluate_split(model, select_split, (mean, std), num_classes=num_classes, device=device)
            record |= {f"select_{name}": figure for name, figure in figures.items() if isinstance(figure, float)}
            check_finite(record, "select_loss")
            watch.switch("rest")
            kept.see(record, model, always=recipe.keep_epoch == "last")
            record["seconds"] = time.perf_counter() - started
            history.append(record)
            if on_epoch is not None:
                on_epoch(record)
            patient = recipe.patience is None or kept.epochs_without_lower_loss < recipe.patience
            if not patient or why_pruned(history, objective, floor):
                break

    state = classifier.folded(kept.state, model, num_classes)
    state = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
    return Training(state, kept.epoch, history, mean, std, notes_on(step))


def class_counts(
    train_split: TensorSplit, images: TensorSplit | JoinedSplit, recipe: Recipe, num_classes: int
) -> ClassCounts:
    """The counts of the training split and of ``images``, from which the recipe draws its epochs."""
    return ClassCounts.of(train_split.labels, images.labels, num_classes, balanced=recipe.sampler == "class-balanced")


@dataclass
class Kept:
    """The weights to keep, as epochs come."""

    objective: str
    epoch: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)
    epochs_without_lower_loss: int = 0
    _best: tuple[float, float] = (-math.inf, -math.inf)
    _lowest_loss: float = math.inf

    def see(self, record: dict[str, float], model: nn.Module, *, always: bool) -> None:
        """Copy the weights of ``model`` if they are the best so far, or ``always``."""
        loss = record["select_loss"]
        score = (record[f"select_{self.objective}"], -loss)  # small splits tie: then the surer
        if score > self._best or always:
            self._best, self.epoch = score, int(record["epoch"])
            self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.epochs_without_lower_loss = 0 if loss < self._lowest_loss else self.epochs_without_lower_loss + 1
        self._lowest_loss = min(loss, self._lowest_loss)


@dataclass(frozen=True)
class Learning:
    """What a recipe makes of a network and its images: all that an epoch works with."""

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
    ) -> Learning:
        """For ``model``, which lies on the generator's device. UsageError if a name in the recipe is not known."""
        return cls(
            model, images, recipe, counts, make_loss(recipe, counts), make_regularizer(recipe, model),
            make_optimizer(model, recipe), make_sampler(images, recipe), normal, generator,
            execution or usual_execution(generator.device), watch,
        )  # fmt: skip


@dataclass(frozen=True)
class Phase:
    """What the steps of an epoch have in common, and those of another may not."""

    reweighted: bool
    penalty_weight: float  # 0: no penalty

    @classmethod
    def of(cls, learning: Learning, epoch: int) -> Phase:
        """Of epoch ``epoch``, from 1."""
        recipe, regularizer = learning.recipe, learning.regularizer
        weight = regularizer.weight_at((epoch - 1) / recipe.epochs) if regularizer is not None else 0.0
        return cls(is_reweighted(recipe, epoch, recipe.epochs), weight)


def make_step(learning: Learning, sizes: Sequence[int]) -> Step:
    """``take_step``, on a GPU from a recording where that pays within the epochs, whose batches are of ``sizes``."""
    device = learning.generator.device
    if device.type != "cuda" or learning.recipe.epochs * len(sizes) < LEAST_STEPS:
        return functools.partial(take_step, learning)
    step = functools.partial(take_step, replace(learning, watch=OFF))  # a watch would wait for what is recorded
    return RecordedStep(step, CudaRecorder(learning.generator, learning.optimizer), size=sizes[0], device=device)


def notes_on(step: Step) -> tuple[str, ...]:
    """What the log of a trial should say of its steps."""
    if not isinstance(step, RecordedStep) or step.failure is None:
        return ()
    return (f"the steps ran one kernel at a time, since they could not be recorded as a CUDA graph: {step.failure}",)


def run_epoch(learning: Learning, epoch: int, plan: list[tuple[float, int]], step: Step) -> float:
    """Epoch ``epoch``, from 1: ``plan`` has each batch's learning rate and size. Returns the mean loss."""
    phase, sizes = Phase.of(learning, epoch), [size for _, size in plan]
    loss_sum = torch.zeros((), device=learning.generator.device)  # there: reading it at every step would stall a GPU
    learning.watch.switch("data")
    order = learning.sample(sum(sizes), learning.generator)
    learning.watch.switch("forward/backward")  # with its data, where a step is replayed whole from a recording
    learning.model.train()
    for (rate, _), index_N in zip(plan, torch.split(order, sizes), strict=True):
        loss_sum += step(phase, index_N, rate)
    return loss_sum.item() / sum(sizes)


def take_step(learning: Learning, phase: Phase, index_N: Tensor, rate: float | Tensor) -> Tensor:
    """Learn from the images at ``index_N``: the sum of their losses, without a penalty, as a tensor.

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
        logits = learning.model(batch)
    total = loss = learning.loss_of(logits, targets, reweighted=phase.reweighted)
    if learning.regularizer is not None and phase.penalty_weight:
        total = loss + phase.penalty_weight * learning.regularizer.penalty()
    learning.optimizer.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    for group in learning.optimizer.param_groups:
        group["lr"] = rate
    learning.optimizer.step()
    return loss.detach() * len(index_N)


def evaluate_split(
    model: nn.Module,
    split: TensorSplit,
    normalization: tuple[Sequence[float], Sequence[float]],
    *,
    num_classes: int,
    device: torch.device | str,
    batch_size: int | None = None,
    confusion: bool = False,
) -> Figures:
    """The figures of ``model`` on a split, which is read a batch at a time (see ``nas.metrics.evaluate``)."""
    images = cast(Tensor, split)  # all that is asked of the images is their number, and slices of them
    return evaluate(
        model, images, split.labels, normalization, num_classes=num_classes, device=device, batch_size=batch_size,
        confusion=confusion,
    )  # fmt: skip


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov momentum 0.9; fused: small nets spend their time on many small tensors."""
    weights, rate, decay = model.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(weights, rate, weight_decay=decay, fused=True)
    return torch.optim.SGD(weights, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=True)


def check_finite(record: dict[str, float], name: str) -> None:
    """TrialError with the epoch and the learning rate if ``record[name]`` is not a finite number."""
    if not math.isfinite(record[name]):
        raise TrialError(
            f"{name} is {record[name]} in epoch {record['epoch']:.0f}, "
            f"where the learning rate reached {record['learning_rate']:.3g}"
        )
