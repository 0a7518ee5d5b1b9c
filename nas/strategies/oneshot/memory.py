"""Estimate of the memory that a supernet's training takes.

A supernet on torch's meta device, which computes shapes alone, goes through a forward pass; what autograd keeps
for the backward pass is added up, each storage once. To it come the weights, their gradients and the optimizer's
moments. Measured on a CPU at 32x32 (growth of the resident set, torch 2.15): with one mapping an allocation the
peak was 0.97 (vgg) and 1.01 (resnet) of that sum; the C library's heap, which keeps what is freed for sizes that
do not come again, makes it up to 1.7 (in 2 steps as in 8). With the room for that, the peak was 0.93 of the estimate
for resnet, 0.88 for vgg, 0.75 for densenet, 0.66 for cell and 0.61 for mobilenet; a path stays far below, since
gradients and moments come only for what is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from budgets import Budget
from budgets.sampling import sample_feasible
from budgets.usable import Reach
from nas.config import SearchConfig
from nas.errors import UsageError
from nas.units import memory
from search_spaces import SearchSpace, Task
from search_spaces.supernet import Supernet

COPIES = {"adam": 4, "sgd": 3}  # of the weights: themselves, gradients, and the optimizer's moments
HEAP = {"cpu": 1.75, "cuda": 1.0}  # room for what a heap does not give back; torch's own on a GPU can
PROBES = (2, 4)  # batch sizes whose difference is what one image takes
CONTROL_GROUPS = (  # Linux, version 2 and 1: limit, use, statistics, what of the use is a cache of files
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)

Choices = Mapping[str, Tensor | int]


@dataclass(frozen=True)
class Need:
    """Memory that a supernet's training takes, in bytes."""

    num_params: int
    fixed: int
    per_image: int

    def peak(self, batch_size: int) -> int:
        """In the middle of a step."""
        return self.fixed + self.per_image * batch_size

    def largest_batch(self, free: int) -> int:
        """The largest batch that fits into ``free`` bytes; 0 or less if none does."""
        return (free - self.fixed) // max(1, self.per_image)


def memory_need(config: SearchConfig, space: SearchSpace, task: Task, budget: Budget, *, device: str) -> Need:
    """Estimate the memory that training the supernet of a search takes. NotRepresentable if the space has none.

    Counts in float32: on a GPU with bfloat16 it is an upper bound.
    """
    passes = _passes(config.strategy, space, task, budget)
    with torch.device("meta"):
        supernet = Supernet(space, task, lambda: {}, Reach(space, task, budget))
    small, large = (
        max(kept_for_backward(supernet, choices, batch, learn=learn) for choices, learn in passes) for batch in PROBES
    )
    heap = HEAP[torch.device(device).type]
    per_image = int(heap * (large - small) / (PROBES[1] - PROBES[0]))
    num_params = sum(weight.numel() for weight in supernet.parameters())
    weights = 4 * num_params * COPIES[config.recipe.optimizer]
    return Need(num_params, weights + int(heap * small) - PROBES[0] * per_image, per_image)


def check_memory(
    config: SearchConfig, space: SearchSpace, task: Task, budget: Budget, *, device: str, batch_size: int
) -> Need:
    """Check the memory that the training needs; UsageError with what to change if ``device`` has less."""
    need, free = memory_need(config, space, task, budget, device=device), free_memory(device)
    lack = shortage(need, space, task, device=device, batch_size=batch_size)
    if not lack:
        return need
    _, height, width = task.input_shape
    cures = []
    if (largest := need.largest_batch(free)) >= 2:
        cures.append(f"--batch-size {largest}, the largest that fits")
    if min(height, width) > 8:
        cures.append("a smaller --image-size")
    if config.strategy != "random-oneshot":
        path = config.model_copy(update={"strategy": "random-oneshot"})
        other = memory_need(path, space, task, budget, device=device)
        cures.append(f"--strategy random-oneshot, which needs about {memory(other.peak(batch_size))}")
    cures.append("--strategy evolution, which trains no supernet")
    raise UsageError(f"{lack} Use {'; or '.join(cures)}.")


def shortage(need: Need, space: SearchSpace, task: Task, *, device: str, batch_size: int) -> str | None:
    """A sentence if ``device`` has less free memory than the training needs."""
    if need.peak(batch_size) <= (free := free_memory(device)):
        return None
    return (
        f"The supernet of {space.name} needs about {memory(need.peak(batch_size))} of memory for batches of "
        f"{batch_size} images ({'x'.join(map(str, task.input_shape))}), and {memory(free)} are free on {device}."
    )


def kept_for_backward(supernet: Supernet, choices: Choices, batch_size: int, *, learn: str) -> int:
    """Bytes that one forward pass keeps until its backward pass, weights apart.

    ``learn`` is "weights" or "alphas": gradients go to one of them, as in training.
    """
    weights = list(supernet.parameters())
    for weight in weights:
        weight.requires_grad_(learn == "weights")
    supernet.decide = lambda: {
        label: choice.detach().requires_grad_(learn == "alphas") if isinstance(choice, Tensor) else choice
        for label, choice in choices.items()
    }
    supernet.train()
    images = torch.zeros(batch_size, *supernet.task.input_shape, device=weights[0].device)
    with _kept(apart_from=weights) as sizes:
        supernet(images)
    return sum(sizes.values())


def free_memory(device: str) -> int:
    """Bytes that this process can still take on ``device``; of a CPU's container if it has a limit."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(torch.device(device))[0]
    return min([_available(), *_left_in_container(Path("/sys/fs/cgroup"))])


@contextmanager
def _kept(*, apart_from: list[torch.nn.Parameter]) -> Iterator[dict[int, int]]:
    """The sizes of the storages that autograd saves inside the context, by storage."""
    known = {weight.untyped_storage()._cdata for weight in apart_from}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            sizes[storage._cdata] = storage.nbytes()
        return tensor  # the graph holds it, so that no other storage gets its place

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def _passes(strategy: str, space: SearchSpace, task: Task, budget: Budget) -> list[tuple[Choices, str]]:
    """The forward passes of a training that may need most, on the meta device."""
    if strategy != "random-oneshot":
        uniform = {c.label: torch.full((len(c.values),), 1 / len(c.values), device="meta") for c in space.choices}
        return [(uniform, "weights"), (uniform, "alphas")]
    rows, costs = sample_feasible(space, task, budget, np.random.default_rng(0))
    heaviest = {int(np.argmax(values)) for values in (costs.params, costs.macs, costs.peak_memory)}
    labels = [choice.label for choice in space.choices]
    return [(dict(zip(labels, map(int, rows[index]), strict=True)), "weights") for index in sorted(heaviest)]


def _available() -> int:
    """Of the machine's memory."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in_container(root: Path) -> list[int]:
    """Of what control groups grant; nothing where there is no limit."""
    for limit, use, statistics, cache in CONTROL_GROUPS:
        try:
            most, used = int((root / limit).read_text()), int((root / use).read_text())
            lines = dict(line.split() for line in (root / statistics).read_text().splitlines())
            return [max(0, most - used + int(lines.get(cache, 0)))]
        except (OSError, ValueError):  # not there, or "max"
            continue
    return []
