"""Work of the workers of ``benchmarks/gpu.py``; each function is a ``RunTrial``."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.autotune.probe import forget, probe, work_of
from nas.executors import EpochReport
from nas.executors.devices import count_cores
from nas.training import step as training
from nas.training.cuda_graphs import CudaGraphCapture
from nas.training.precision import use_bfloat16
from nas.trials.spec import TrialResult, TrialSpec
from search_spaces import get_space

NEVER = 10**12  # steps: a training shorter than that is not captured
TIMES = 50  # that a step is repeated to be timed


def naive(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """The training loop of a tutorial, for ``spec.seed`` batches after the first."""
    if spec.probe != "measure":
        return TrialResult(spec.id, "finished")
    size = spec.recipe.batch_size or 128
    model = get_space(spec.space).build(spec.sample, spec.input_shape, spec.num_classes).to(device)
    optimizer, loss_of = torch.optim.Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss()
    batches, began, loss_sum = endless(loader(size, spec.input_shape, spec.num_classes)), 0.0, 0.0
    model.train()
    for step in range(spec.seed + 2):
        if step == 2:  # the first two are warm-up
            began = time.perf_counter()
        images, labels = next(batches)
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
    speed = spec.seed * size / (time.perf_counter() - began)
    return TrialResult(spec.id, "finished", {"probe": {"images_per_second": speed}})


@functools.cache
def loader(size: int, shape: tuple[int, int, int], num_classes: int) -> Any:
    """Random images like CIFAR's through torchvision's usual transforms, in processes that stay."""
    from torchvision import transforms
    from torchvision.transforms.functional import to_pil_image

    change = transforms.Compose(
        [
            transforms.RandomCrop(shape[1:], padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.25,) * 3),
        ]
    )
    pixels = torch.randint(256, (10_000, *shape), dtype=torch.uint8)
    stored = [(to_pil_image(image), number % num_classes) for number, image in enumerate(pixels)]
    return torch.utils.data.DataLoader(
        Changed(stored, change), size, shuffle=True, drop_last=True, pin_memory=torch.cuda.is_available(),
        num_workers=min(8, count_cores()), persistent_workers=True,
        multiprocessing_context="fork",  # children of a fork server would outlive this worker
    )  # fmt: skip


class Changed(torch.utils.data.Dataset[Any]):
    def __init__(self, stored: Sequence[tuple[Any, int]], change: Callable[[Any], Tensor]) -> None:
        self.stored, self.change = stored, change

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.stored[index]
        return self.change(image), label


@functools.cache
def endless(batches: Any) -> Iterator[Any]:
    def again() -> Iterator[Any]:
        while True:
            yield from batches

    return again()


def eager(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Ours, one kernel at a time."""
    training.LEAST_STEPS = NEVER
    return probe(spec, device, report)


def compiled(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Ours, one kernel at a time, of a network that torch.compile made faster; and the seconds that took."""
    if spec.probe == "wake":
        return TrialResult(spec.id, "finished")
    training.LEAST_STEPS = NEVER
    forget()
    work, began = work_of(spec, device), time.perf_counter()
    work.learning.model.compile()
    work.take_steps(2)
    seconds = time.perf_counter() - began
    values = {"images_per_second": work.images_per_second(), "seconds": seconds}
    return TrialResult(spec.id, "finished", {"probe": values})


def peaks(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Peaks of the device: FLOP/s, bytes/s, time of a kernel."""
    values = {} if spec.probe == "wake" else peak_values(device)
    return TrialResult(spec.id, "finished", {"probe": values})


def limits(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Limits of one step of ``spec``."""
    values = {} if spec.probe == "wake" else step_values(spec, device)
    return TrialResult(spec.id, "finished", {"probe": values})


def peak_values(device: str) -> dict[str, float]:
    """Operations and bytes a second of a large product and a large copy; seconds a kernel, alone and in a graph."""
    on_gpu = device.startswith("cuda")
    side, kind = (8192, torch.bfloat16) if on_gpu else (1024, torch.float32)
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    source = torch.empty((1 << 30 if on_gpu else 1 << 26) // 4, device=device)
    target, one = torch.empty_like(source), torch.zeros(1, device=device)

    def tiny() -> Tensor:
        for _ in range(500):
            one.add_(1)
        return one

    return {
        "flops": 2 * side**3 / seconds_of(lambda: left @ right, device),
        "bytes": 2 * source.nbytes / seconds_of(lambda: target.copy_(source), device),
        "launch": seconds_of(tiny, device, 5) / 500,
        "in_graph": seconds_of(captured(tiny, device), device, 5) / 500,
    }


def step_values(spec: TrialSpec, device: str) -> dict[str, float]:
    """Of the bare step, forward to optimizer, on images that are there: its time, kernels and bytes."""
    forget()
    learning = work_of(spec, device).learning
    images = torch.randn(spec.recipe.batch_size or 128, *spec.input_shape, device=device)
    labels = torch.arange(len(images), device=device) % spec.num_classes
    place = torch.device(device)

    def step() -> Tensor:
        with torch.autocast(place.type, torch.bfloat16, enabled=use_bfloat16(place)):
            logits = learning.model(images)
        loss = learning.loss_of(logits, labels)
        learning.optimizer.zero_grad()
        loss.backward()
        for group in learning.optimizer.param_groups:
            group["lr"] = 1e-4
        learning.optimizer.step()
        return loss.detach()

    step()
    with Traffic() as traffic:
        step()
    times = TIMES if device.startswith("cuda") else 3
    alone = seconds_of(step, device, times)
    kernels = count_kernels(step) or traffic.operations
    in_graph = seconds_of(captured(step, device, learning.optimizer), device, times)
    return {"alone": alone, "in_graph": in_graph, "kernels": float(kernels), "bytes": float(traffic.bytes)}


def captured(work: Callable[[], Tensor], device: str, optimizer: torch.optim.Optimizer | None = None) -> Any:
    """``work``, which may step ``optimizer``, from a CUDA graph; on a CPU as it is."""
    if not device.startswith("cuda"):
        return work
    graphs = CudaGraphCapture(torch.Generator(device), optimizer or torch.optim.SGD([torch.zeros(1, device=device)]))
    for _ in range(3):
        graphs.run(work)
    return graphs.capture(work)


def seconds_of(work: Callable[[], Any], device: str, times: int = 10) -> float:
    """Of one call, of many in a row."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    work()
    wait()
    began = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return (time.perf_counter() - began) / times


def count_kernels(step: Callable[[], Any]) -> int:
    """Number of kernels of a step on the GPU, by torch's profiler; 0 where it sees none."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if not torch.cuda.is_available():
        return 0
    with torch.profiler.profile(activities=[*activities, torch.profiler.ProfilerActivity.CUDA]) as profiler:
        step()
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profiler.events())


class Traffic(TorchDispatchMode):
    """The bytes that operations read and write, each operand once; views are free."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        read = {t.data_ptr(): t.nbytes for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        written = {t.data_ptr(): t.nbytes for t in tree_leaves(given) if isinstance(t, Tensor)}
        if any(pointer not in read for pointer in written) or func._schema.is_mutable:
            self.bytes += sum(read.values()) + sum(written.values())
            self.operations += 1
        return given
