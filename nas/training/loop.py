"""The training of one network, from data on the device to the weights of its best epoch.

No files, no printing, no global state but torch's default generator; runs on a CPU as on a GPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from baselines.metrics import EQUAL_TO_ACCURACY
from nas.config import Recipe
from nas.config.objectives import DEFAULT
from nas.config.recipe import judged_at_the_end
from nas.stopwatch import OFF, Watch
from nas.training.classifier_head import Classifier
from nas.training.cuda_graphs import Step
from nas.training.early_stopping import Stop, why_stopped
from nas.training.evaluation import check_finite, evaluate_split
from nas.training.precision import Execution, usual_execution
from nas.training.sampling import epoch_plan
from nas.training.schedules import learning_rates
from nas.training.step import Learning, Phase, class_counts, make_step, notes_on
from nas.training.svm_head import with_svm_head
from nas.training.teaching import Teachers
from nas.training.tensor_split import JoinedSplit, TensorSplit


@dataclass(frozen=True)
class Training:
    """Result of a training: the weights of the epoch it keeps, its curves, and its normalization."""

    best_state: dict[str, Tensor]  # on the CPU, contiguous; by ``recipe.keep_epoch`` of the best or the last epoch
    best_epoch: int  # from 1; the one that is kept
    history: list[dict[str, float]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stopped_by: Stop | None = None  # None: all epochs were trained
    notes: tuple[str, ...] = ()  # what the user may want to know of how it ran; nothing about the result


def train(
    model: nn.Module,
    train_split: TensorSplit,
    select_split: TensorSplit | JoinedSplit,
    recipe: Recipe,
    *,
    num_classes: int,
    device: torch.device | str,
    seed: int,
    objective: str = DEFAULT,
    synthetic: TensorSplit | None = None,
    execution: Execution | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    watch: Watch = OFF,
    threshold: Sequence[float] = (),
    teachers: Teachers | None = None,
) -> Training:
    """Train ``model`` in place by ``recipe``; keep the epoch with the best ``objective`` on ``select_split``.

    ``synthetic`` is what an oversampler adds to ``train_split``; each epoch then sees a random
    ``recipe.oversampled_share`` of both together, while the normalization comes from ``train_split`` alone. What
    ``teachers`` answer is learned beside the labels.
    ``on_epoch`` receives each record of the history: epoch (from 1), train_loss (without a regularizer's penalty),
    learning_rate (the largest of the epoch), seconds, and, if it is scored (``recipe.select_every``), select_<metric>
    for every scalar (see ``_on_select``). A scored epoch ends the training after ``recipe.patience`` epochs without a
    lower select_loss, and below ``threshold`` (see ``early_stopping``). ``keep_epoch`` "last" keeps the last; ``ema``
    averages; ``svm_head`` sets another last layer. TrialError if a metric is not finite. Equal seeds, equal bits.
    """
    learning, sizes, (mean, std) = prepared(
        model, train_split, synthetic, recipe, num_classes=num_classes, device=torch.device(device), seed=seed,
        execution=execution, watch=watch, teachers=teachers,
    )  # fmt: skip
    classifier, kept = Classifier.of(recipe, learning.counts), Kept(objective)
    keeps_last, threshold, patience = _judged(recipe, threshold)
    history: list[dict[str, float]] = []
    step, stopped_by = make_step(learning, sizes), None
    with classifier.attached(model, num_classes):
        for epoch in range(1, recipe.epochs + 1):
            started, record = time.perf_counter(), _trained(learning, epoch, sizes, step)
            if is_scored := epoch % recipe.select_every == 0 or epoch == recipe.epochs:
                watch.switch("evaluation")
                with learning.average.in_place() if learning.average else nullcontext():
                    record |= _on_select(model, select_split, (mean, std), num_classes, objective, recipe)
                    check_finite(record, "select_loss")
                    watch.switch("rest")
                    kept.see(record, model, always=keeps_last)
            watch.switch("rest")
            record["seconds"] = time.perf_counter() - started
            history.append(record)
            if on_epoch is not None:
                on_epoch(record)
            waited = kept.epochs_without_lower_loss
            if is_scored:
                stopped_by = why_stopped(history, objective, threshold, patience=patience, waited=waited)
            if stopped_by:
                break

    state = classifier.folded(kept.state, model, num_classes)
    if recipe.svm_head:
        state = with_svm_head(state, model, (train_split, select_split), (mean, std), num_classes, recipe, objective)
    return Training(_on_cpu(state), kept.epoch, history, mean, std, stopped_by, notes_on(step))


def _judged(recipe: Recipe, threshold: Sequence[float]) -> tuple[bool, Sequence[float], int | None]:
    """True if the last epoch is kept, whatever its metrics; the threshold and the patience that stop a training."""
    if judged_at_the_end(recipe):
        return True, (), None
    return recipe.keep_epoch == "last", threshold, recipe.patience


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.cpu().contiguous() for name, each in state.items()}


def prepared(
    model: nn.Module,
    train_split: TensorSplit,
    synthetic: TensorSplit | None,
    recipe: Recipe,
    *,
    num_classes: int,
    device: torch.device,
    seed: int,
    execution: Execution | None = None,
    watch: Watch = OFF,
    teachers: Teachers | None = None,
) -> tuple[Learning, list[int], tuple[tuple[float, ...], tuple[float, ...]]]:
    """Prepare what the steps of a training need, the sizes of an epoch's batches, and mean and standard deviation of
    pixels."""
    torch.manual_seed(seed)  # for dropout; everything sampled here comes from the generator
    generator = torch.Generator(device).manual_seed(seed)
    mean, std = train_split.mean_and_std
    images, sizes = epoch_plan(train_split, synthetic, recipe)
    counts = class_counts(train_split, images, recipe, num_classes)
    execution = execution or usual_execution(device)
    execution.place(model, device)
    normal = torch.tensor(mean, device=device), torch.tensor(std, device=device)
    learning = Learning.of(
        model, images, recipe, counts, normal, generator, execution=execution, watch=watch, teachers=teachers
    )
    return learning, sizes, (mean, std)


def _trained(learning: Learning, epoch: int, sizes: Sequence[int], step: Step) -> dict[str, float]:
    """Record of epoch ``epoch``, from 1, in which ``learning`` learns from batches of ``sizes``."""
    rates = learning_rates(learning.recipe, epoch, len(sizes))
    train_loss = run_epoch(learning, epoch, list(zip(rates, sizes, strict=True)), step)
    record = {"epoch": epoch, "train_loss": train_loss, "learning_rate": max(rates)}
    check_finite(record, "train_loss")
    return record


def _on_select(
    model: nn.Module, split: TensorSplit | JoinedSplit, normal: tuple[Sequence[float], Sequence[float]],
    num_classes: int, objective: str, recipe: Recipe,
) -> dict[str, float]:  # fmt: skip
    """Metrics of an epoch that a history has: of those that equal the accuracy the objective alone."""
    device = next(model.parameters()).device
    metrics = evaluate_split(
        model, split, normal, num_classes=num_classes, device=device, objective=objective, test_flip=recipe.test_flip
    )
    return {
        f"select_{name}": metric
        for name, metric in metrics.items()
        if isinstance(metric, float) and (name == objective or name not in EQUAL_TO_ACCURACY)
    }


@dataclass
class Kept:
    """The weights to keep, as epochs come."""

    objective: str
    epoch: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)
    epochs_without_lower_loss: int = 0  # those that are not scored among them
    _best: tuple[float, float] = (-math.inf, -math.inf)
    _lowest_loss: float = math.inf
    _lowest_epoch: int = 0

    def see(self, record: dict[str, float], model: nn.Module, *, always: bool) -> None:
        """Copy the weights of ``model`` if they are the best so far, or ``always``."""
        loss = record["select_loss"]
        score = (record[f"select_{self.objective}"], -loss)  # small splits tie: then the more confident
        if score > self._best or always:
            self._best, self.epoch = score, int(record["epoch"])
            self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        if loss < self._lowest_loss:
            self._lowest_loss, self._lowest_epoch = loss, int(record["epoch"])
        self.epochs_without_lower_loss = int(record["epoch"]) - self._lowest_epoch


def run_epoch(learning: Learning, epoch: int, plan: list[tuple[float, int]], step: Step) -> float:
    """Epoch ``epoch``, from 1: ``plan`` has each batch's learning rate and size. Returns the mean loss."""
    phase, sizes = Phase.of(learning, epoch), [size for _, size in plan]
    loss_sum = torch.zeros((), device=learning.generator.device)  # there: reading it at every step would stall a GPU
    learning.watch.switch("data")
    order = learning.sample(sum(sizes), learning.generator)
    learning.watch.switch("forward/backward")  # with its data, where a step is replayed whole as a CUDA graph
    learning.train_mode()
    for (rate, _), index_N in zip(plan, torch.split(order, sizes), strict=True):
        loss_sum += step(phase, index_N, rate)
    return loss_sum.item() / sum(sizes)
