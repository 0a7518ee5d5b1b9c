"""Throughput probe of one worker: real training steps on made-up images. Executors run it as they run a trial.

Where ways to train are compared, on a CPU the fastest step counts: whatever else runs on the machine only makes steps
slower. On a GPU it is steps over a while, which is what workers that share one compete for; they start together, each
with its network ready. Steps over a while also count where it is asked how long trials take.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nas.config.recipe import Metrics
from nas.executors import EpochReport
from nas.training.classifier_head import Classifier
from nas.training.cuda_graphs import LEAST_STEPS
from nas.training.evaluation import evaluate_split
from nas.training.precision import usual_execution
from nas.training.step import Learning, Phase, class_counts, make_step
from nas.training.tensor_split import CHUNK, CPU_CHUNK, TensorSplit
from nas.trials import TrialResult, TrialSpec
from nas.trials.run_trial import build

CPU_SECONDS = 0.2  # of a measurement: steps after the first
GPU_SECONDS = 0.5
LEAST_SCORED = 16  # half of the images scored on a CPU, at least: batches of one say little of scoring
NUM_IMAGES = 2048  # on a GPU; on a CPU those of a batch do
STEPS_BETWEEN_LOOKS = 8  # at the clock, for which the GPU has to have finished
LEARNING_RATE = 1e-4  # so small that weights stay usual over any number of steps
MEAN, STD = 0.5, 0.25  # of the images, about


def probe(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """A ``RunTrial``: what ``spec.probe`` asks for, of the network, recipe and shapes of ``spec``.

    "wake": nothing. "prepare": the network's first steps. "measure": values "probe", with images_per_second and on a
    GPU free_bytes of its memory, and worker_bytes that this worker took of it; a worker that was not prepared for
    ``spec`` prepares itself. "time": trained_per_second and scored_per_second, in images. Reads no data and writes
    nothing. ``spec.recipe.batch_size`` must be set.
    """
    began = time.perf_counter()
    if spec.probe == "wake":
        return TrialResult(spec.id, "finished")
    work = work_of(spec, device)
    values: Metrics = {}
    if spec.probe == "measure":
        values["images_per_second"] = work.images_per_second()
        if work.on_gpu:
            values["free_bytes"] = float(torch.cuda.mem_get_info(device)[0])
            values["worker_bytes"] = float(torch.cuda.max_memory_reserved())
    if spec.probe == "time":
        values |= {"trained_per_second": work.trained_per_second(), "scored_per_second": work.scored_per_second()}
    return TrialResult(spec.id, "finished", {"probe": values}, seconds=time.perf_counter() - began)


class Work:
    """A network in training, on images that never end."""

    def __init__(self, spec: TrialSpec, device: str) -> None:
        at, recipe, self.num_classes = torch.device(device), spec.recipe, spec.num_classes
        assert recipe.batch_size is not None
        self.size, self.on_gpu = recipe.batch_size, at.type == "cuda"
        torch.manual_seed(spec.seed)
        self.model = build(spec)
        execution = spec.execution or usual_execution(at)
        execution.place(self.model, at)
        self.images = self._made_up(spec.input_shape, at)
        counts = class_counts(self.images, self.images, recipe, self.num_classes)
        normal = torch.full((spec.input_shape[0],), MEAN, device=at), torch.full((spec.input_shape[0],), STD, device=at)
        generator = torch.Generator(at).manual_seed(spec.seed)
        self.learning = Learning.of(self.model, self.images, recipe, counts, normal, generator, execution=execution)
        self._classifier = Classifier.of(recipe, counts)
        self._step = make_step(self.learning, [recipe.batch_size] * LEAST_STEPS)
        self._phase, self._batches = Phase.of(self.learning, 1), self._positions()
        self.learning.train_mode()

    def _made_up(self, shape: tuple[int, int, int], at: torch.device) -> TensorSplit:
        """Random images, of every class at least one, as losses ask for; on a CPU read by rows, as data are."""
        number = max(self.size, self.num_classes, NUM_IMAGES if self.on_gpu else 0)
        held = number if self.on_gpu else self.size
        pixels = torch.randint(256, (held, *shape), dtype=torch.uint8, device=at)
        place_N = torch.arange(number, device=at)
        return TensorSplit(pixels, place_N % self.num_classes, None if self.on_gpu else place_N % held)

    def take_steps(self, number: int) -> None:
        """So many steps, and wait for them."""
        with self._classifier.attached(self.model, self.num_classes):
            self._take(number)

    def score(self) -> int:
        """Evaluate some images, and say how many: on a GPU it takes the most memory of a trial."""
        few = 2 * max(LEAST_SCORED, self.size)  # where a step of many would be long
        number = CHUNK if self.on_gpu else min(CPU_CHUNK, few)
        channels, device = self.images.images.shape[1], self.images.labels.device
        images = TensorSplit(*self.images.batch(torch.arange(number, device=device) % len(self.images)))
        normal = [MEAN] * channels, [STD] * channels
        evaluate_split(self.model, images, normal, num_classes=self.num_classes, device=device)
        return number

    def images_per_second(self) -> float:
        """Of the fastest step on a CPU, of many on a GPU."""
        with self._classifier.attached(self.model, self.num_classes):
            return self.size / (self._seconds_of_many() if self.on_gpu else self._seconds_of_fastest())

    def trained_per_second(self) -> float:
        """Images, in steps over a while."""
        with self._classifier.attached(self.model, self.num_classes):
            return self.size / self._seconds_of_many()

    def scored_per_second(self) -> float:
        """Images, in one evaluation."""
        began = time.perf_counter()
        return self.score() / (time.perf_counter() - began)

    def _seconds_of_fastest(self) -> float:
        fastest, began = math.inf, time.perf_counter()
        while fastest == math.inf or time.perf_counter() - began < CPU_SECONDS:
            index_N = next(self._batches)
            started = time.perf_counter()
            self._step(self._phase, index_N, LEARNING_RATE)
            fastest = min(fastest, time.perf_counter() - started)
        return fastest

    def _seconds_of_many(self) -> float:
        self._wait()
        until, at_once = (GPU_SECONDS, STEPS_BETWEEN_LOOKS) if self.on_gpu else (CPU_SECONDS, 1)
        began, steps = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < until:
            self._take(at_once)
            steps += at_once
        return elapsed / steps

    def _take(self, number: int) -> None:
        for index_N in itertools.islice(self._batches, number):
            self._step(self._phase, index_N, LEARNING_RATE)
        self._wait()

    def _positions(self) -> Iterator[Tensor]:
        while True:
            order = self.learning.sample(len(self.images), self.learning.generator)
            yield from (part for part in torch.split(order, self.size) if len(part) == self.size)

    def _wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()


@dataclass(frozen=True)
class _Asked:
    """Inputs of a work."""

    spec: TrialSpec = field(hash=False)  # it holds a dictionary
    device: str


def work_of(spec: TrialSpec, device: str) -> Work:
    """Ready to be measured; kept until another is asked for."""
    return _work(_Asked(replace(spec, id="", probe=None), device))


def forget() -> None:
    """Make the next work anew."""
    _work.cache_clear()


@functools.lru_cache(maxsize=1)
def _work(asked: _Asked) -> Work:
    """After its first step, in which libraries prepare themselves.

    On a GPU also recorded, and with the memory that a trial takes.
    """
    on_gpu = asked.device.startswith("cuda")
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    work = Work(asked.spec, asked.device)
    work.take_steps(STEPS_BETWEEN_LOOKS if on_gpu else 1)
    if on_gpu:
        work.score()
    return work
