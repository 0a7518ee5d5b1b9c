"""The training of one network, from data on the device to the weights of its best epoch.

No files, no printing, no global state but torch's default generator; runs on a CPU as on a GPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.augmentation import augment, normalize
from nas.errors import TrialError
from nas.losses import get_loss
from nas.metrics import Figures, evaluate
from nas.recipe import Recipe

WARM_UP = 0.25  # share of a one-cycle schedule in which the learning rate rises
START = 0.1  # of the maximum learning rate, where a one-cycle schedule begins
CHUNK = 1024  # images that are read at once where a whole split is


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
        split = cls(
            torch.from_numpy(images), torch.from_numpy(labels), None if rows is None else torch.from_numpy(rows)
        )
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
        return self.images[place], self.labels[index]

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """All images in order, ``size`` at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def __getitem__(self, part: slice) -> Tensor:
        """The images of a part of the split."""
        return self.images[part] if self.rows is None else self.images[self.rows[part]]

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
    images, sizes = epoch_plan(train_split, synthetic, recipe)
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
        figures = evaluate_split(model, select_split, (mean, std), num_classes=num_classes, device=device)
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
    images: TensorSplit | JoinedSplit,
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
        pixels, labels = images.batch(index)
        batch = augment(normalize(pixels, *normal), recipe, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16(device)):
            logits = model(batch)
        loss = loss_of(logits, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        loss_sum += loss.detach() * len(index)
    return loss_sum.item() / sum(sizes)


def evaluate_split(
    model: nn.Module,
    split: TensorSplit,
    normalization: tuple[Sequence[float], Sequence[float]],
    *,
    num_classes: int,
    device: torch.device | str,
    batch_size: int = CHUNK,
    confusion: bool = False,
) -> Figures:
    """The figures of ``model`` on a split, which is read a batch at a time (see ``nas.metrics.evaluate``)."""
    images = cast(Tensor, split)  # all that is asked of the images is their number, and slices of them
    return evaluate(
        model, images, split.labels, normalization, num_classes=num_classes, device=device, batch_size=batch_size,
        confusion=confusion,
    )  # fmt: skip


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


def epoch_plan(
    train_split: TensorSplit, synthetic: TensorSplit | None, recipe: Recipe
) -> tuple[TensorSplit | JoinedSplit, list[int]]:
    """The images that an epoch draws from, and the sizes of its batches."""
    images: TensorSplit | JoinedSplit = train_split
    if synthetic is not None and len(synthetic):
        images = JoinedSplit(train_split, synthetic)
    num_seen = images_seen(len(images), recipe, oversampled=images is not train_split)
    return images, batch_sizes(num_seen, recipe.batch_size or default_batch_size(num_seen))


def images_seen(num_images: int, recipe: Recipe, *, oversampled: bool) -> int:
    """How many of the images an epoch sees: a share of an oversampled set, all of any other."""
    return max(2, math.ceil((recipe.oversampled_share if oversampled else 1.0) * num_images))


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
