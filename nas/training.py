"""The training of one network, from data on the device to the weights of its best epoch.

No files, no printing, no global state but torch's default generator; runs on a CPU as on a GPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.augmentation import augment, normalize
from nas.errors import TrialError
from nas.losses import get_loss
from nas.metrics import evaluate
from nas.recipe import Recipe

WARM_UP = 0.25  # share of a one-cycle schedule in which the learning rate rises
START = 0.1  # of the maximum learning rate, where a one-cycle schedule begins


@dataclass(frozen=True)
class TensorSplit:
    """A split as tensors, ready to be indexed on the device it trains on."""

    images: Tensor  # uint8 (N, C, H, W)
    labels: Tensor  # int64 (N,)

    @classmethod
    def of(cls, images: NDArray[np.uint8], labels: NDArray[np.int64], device: torch.device | str) -> TensorSplit:
        """Put arrays on ``device``. On a CPU nothing is copied: memory-mapped pixels stay shared."""
        return cls(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: TensorSplit) -> TensorSplit:
        return TensorSplit(torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels]))

    @cached_property
    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Per channel on a scale of 0 to 1, exactly, from a histogram; a std of 0 becomes 1."""
        level = torch.arange(256, dtype=torch.float64) / 255
        means, stds = [], []
        for channel in self.images.unbind(1):
            share = torch.bincount(channel.flatten(), minlength=256).double().cpu() / channel.numel()
            means.append(mean := float(share @ level))
            stds.append(math.sqrt(float(share @ (level - mean).square())) or 1.0)
        return tuple(means), tuple(stds)


@dataclass(frozen=True)
class Training:
    """What a training leaves: the weights of its best epoch, its curves, and its normalization."""

    best_state: dict[str, Tensor]  # on the CPU, contiguous
    best_epoch: int  # from 1
    history: list[dict[str, float]]
    mean: tuple[float, ...]
    std: tuple[float, ...]


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
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Training:
    """Train ``model`` in place by ``recipe``; keep the epoch with the best ``objective`` on ``select_split``.

    ``synthetic`` is what an oversampler adds to ``train_split``; each epoch then sees a random
    ``recipe.oversampled_share`` of both together, while the normalization comes from ``train_split`` alone.
    ``on_epoch`` receives each record of the history: epoch (from 1), train_loss, learning_rate (the largest
    of the epoch), seconds, and select_<figure> for every scalar of ``nas.metrics.evaluate``.
    TrialError if a loss is not finite. Equal seeds give equal bits on a CPU with equal threads.
    """
    device = torch.device(device)
    torch.manual_seed(seed)  # for dropout; everything drawn here comes from the generator
    generator = torch.Generator(device).manual_seed(seed)
    mean, std = train_split.mean_and_std
    normal = torch.tensor(mean, device=device), torch.tensor(std, device=device)
    images, share = train_split, 1.0
    if synthetic is not None and len(synthetic):
        images, share = train_split + synthetic, recipe.oversampled_share
    num_seen = max(2, math.ceil(share * len(images)))
    sizes = batch_sizes(num_seen, recipe.batch_size or default_batch_size(num_seen))
    model.to(device)
    if use_bfloat16(device):
        model.to(memory_format=torch.channels_last)  # the order that tensor cores read
    optimizer = make_optimizer(model, recipe)
    history: list[dict[str, float]] = []
    best_score, best_epoch, best_state = (-math.inf, -math.inf), 0, dict[str, Tensor]()

    for epoch in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        progress = [(epoch - 1 + step / len(sizes)) / recipe.epochs for step in range(len(sizes))]
        rates = [learning_rate(share_done, recipe) for share_done in progress]
        plan = list(zip(rates, sizes, strict=True))
        train_loss = run_epoch(model, images, optimizer, recipe, plan, normal=normal, generator=generator)
        record = {"epoch": epoch, "train_loss": train_loss, "learning_rate": max(rates)}
        check_finite(record, "train_loss")
        figures = evaluate(
            model, select_split.images, select_split.labels, (mean, std), num_classes=num_classes, device=device
        )
        record |= {f"select_{name}": figure for name, figure in figures.items() if isinstance(figure, float)}
        check_finite(record, "select_loss")
        score = (record[f"select_{objective}"], -record["select_loss"])  # small splits tie: then the surer
        if score > best_score:
            best_score, best_epoch = score, epoch
            best_state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        record["seconds"] = time.perf_counter() - started
        history.append(record)
        if on_epoch is not None:
            on_epoch(record)

    best_state = {name: tensor.cpu().contiguous() for name, tensor in best_state.items()}
    return Training(best_state, best_epoch, history, mean, std)


def run_epoch(
    model: nn.Module,
    images: TensorSplit,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    plan: list[tuple[float, int]],
    *,
    normal: tuple[Tensor, Tensor],
    generator: torch.Generator,
) -> float:
    """One pass over random images: ``plan`` has each batch's rate and size. Returns the mean loss."""
    device, loss_of = generator.device, get_loss(recipe.loss)
    sizes = [size for _, size in plan]
    loss_sum = torch.zeros((), device=device)  # on the device: reading it at every step would stall the GPU
    order = torch.randperm(len(images), generator=generator, device=device)[: sum(sizes)]
    model.train()
    for (rate, _), index in zip(plan, torch.split(order, sizes), strict=True):
        batch = augment(normalize(images.images[index], *normal), recipe, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16(device)):
            logits = model(batch)
        loss = loss_of(logits, images.labels[index])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        loss_sum += loss.detach() * len(index)
    return loss_sum.item() / sum(sizes)


def use_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32: a GPU with such tensor cores."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov momentum 0.9; fused: small nets spend their time on many small tensors."""
    weights, rate, decay = model.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(weights, rate, weight_decay=decay, fused=True)
    return torch.optim.SGD(weights, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=True)


def learning_rate(progress: float, recipe: Recipe) -> float:
    """The rate at ``progress`` (0 to below 1) of a training.

    "cosine" falls from the maximum to 0 along half a cosine (Loshchilov and Hutter 2017); "one-cycle" climbs
    in a line to the maximum first (Smith and Topin 2019), without their last phase.
    """
    if recipe.schedule == "one-cycle":
        if progress < WARM_UP:
            return recipe.learning_rate * (START + (1 - START) * progress / WARM_UP)
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def default_batch_size(num_images: int) -> int:
    """The power of two, from 16 to 128, that gives an epoch about 20 steps or more: small sets need steps."""
    return min(max(16, 1 << (num_images // 20).bit_length() >> 1), 128)


def batch_sizes(num_images: int, batch_size: int) -> list[int]:
    """How an epoch divides. A last batch of one image is left out: batch normalization cannot train on it."""
    whole, rest = divmod(num_images, batch_size)
    return [batch_size] * whole + ([rest] if rest > 1 else [])


def check_finite(record: dict[str, float], name: str) -> None:
    """TrialError with the epoch and the learning rate if ``record[name]`` is not a finite number."""
    if not math.isfinite(record[name]):
        raise TrialError(
            f"{name} is {record[name]} in epoch {record['epoch']:.0f}, "
            f"where the learning rate reached {record['learning_rate']:.3g}"
        )
