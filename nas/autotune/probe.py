"""How many images a second a worker trains on: its part in the measurements of ``nas.autotune.gpu`` and of benchmarks.

A worker keeps the network that it was last asked about, ready to train, so that several start together.
"""

from __future__ import annotations

import functools
import itertools
import json
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nas.autotune.gpu import PREPARE, WAKE
from nas.config.recipe import Recipe
from nas.executors import EpochReport
from nas.training.cuda_graphs import LEAST_STEPS
from nas.training.evaluation import evaluate_split
from nas.training.precision import Execution, usual_execution
from nas.training.step import Learning, Phase, class_counts, make_step
from nas.training.tensor_split import CHUNK, TensorSplit
from nas.trials.spec import TrialResult, TrialSpec
from search_spaces import get_space

SECONDS = 0.5  # of a measurement
NUM_IMAGES = 2048
STEPS_BETWEEN_LOOKS = 8  # at the clock, for which the GPU has to have finished


def train_for_a_while(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """A ``RunTrial``: random images, and the network, recipe and shapes of ``spec``, whose batch size is given.

    Its figures on "rank" are images_per_second, free_bytes of the device's memory, and worker_bytes that it took of
    it. With the id "wake" nothing is done, with "prepare" all but the measurement; a worker that was not prepared
    prepares itself.
    """
    began = time.perf_counter()
    if spec.id == WAKE:
        return TrialResult(spec.id, "finished")
    work = work_of(spec, device)
    figures = {} if spec.id == PREPARE else {"images_per_second": work.images_per_second(SECONDS)}
    if device.startswith("cuda"):
        figures |= {"free_bytes": torch.cuda.mem_get_info(device)[0], "worker_bytes": torch.cuda.max_memory_reserved()}
    else:
        figures |= {"free_bytes": 1 << 62, "worker_bytes": 0}
    return TrialResult(spec.id, "finished", {"rank": figures}, seconds=time.perf_counter() - began)


class Work:
    """A network in training, on images that never end."""

    def __init__(
        self,
        model: nn.Module,
        images: TensorSplit,
        recipe: Recipe,
        num_classes: int,
        device: str,
        *,
        execution: Execution | None = None,
    ) -> None:
        assert recipe.batch_size is not None
        generator = torch.Generator(device).manual_seed(0)
        normal = torch.full((images.images.shape[1],), 0.5, device=device)
        counts = class_counts(images, images, recipe, num_classes)
        execution = execution or usual_execution(torch.device(device))
        execution.place(model, device)
        self.learning = Learning.of(model, images, recipe, counts, (normal, normal), generator, execution=execution)
        self.step = make_step(self.learning, [recipe.batch_size] * LEAST_STEPS)
        self.size, self._batches = recipe.batch_size, self._positions()

    def take_steps(self, number: int) -> None:
        """So many steps, and wait for them."""
        phase = Phase.of(self.learning, 1)
        for index_N in itertools.islice(self._batches, number):
            self.step(phase, index_N, 1e-4)
        self._wait()

    def images_per_second(self, seconds: float) -> float:
        """Of steps for at least so long."""
        self._wait()
        began, steps = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < seconds:
            self.take_steps(STEPS_BETWEEN_LOOKS)
            steps += STEPS_BETWEEN_LOOKS
        return steps * self.size / elapsed

    def _positions(self) -> Iterator[Tensor]:
        while True:
            order = self.learning.sample(len(self.learning.images), self.learning.generator)
            yield from (part for part in torch.split(order, self.size) if len(part) == self.size)

    def _wait(self) -> None:
        if self.learning.generator.device.type == "cuda":
            torch.cuda.synchronize()


def work_of(spec: TrialSpec, device: str) -> Work:
    """Ready to be measured; kept until another is asked for."""
    network = spec.space, json.dumps(spec.sample), spec.input_shape, spec.num_classes
    return _work(*network, spec.recipe, device, execution=spec.execution)


def forget() -> None:
    """Make the next work anew."""
    _work.cache_clear()


@functools.lru_cache(maxsize=1)
def _work(
    space: str,
    sample: str,
    shape: tuple[int, int, int],
    num_classes: int,
    recipe: Recipe,
    device: str,
    *,
    execution: Execution | None,
) -> Work:
    """Recorded, and with the memory that a trial takes, of which evaluation needs the most."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(0)
    pixels = torch.randint(256, (NUM_IMAGES, *shape), dtype=torch.uint8, device=device)
    images = TensorSplit(pixels, torch.arange(NUM_IMAGES, device=device) % num_classes)
    model = get_space(space).build(json.loads(sample), shape, num_classes)
    work = Work(model, images, recipe, num_classes, device, execution=execution)
    model.train()
    work.take_steps(STEPS_BETWEEN_LOOKS)
    normal = [0.5] * shape[0], [0.5] * shape[0]
    part = TensorSplit(images.images[:CHUNK], images.labels[:CHUNK])
    evaluate_split(model, part, normal, num_classes=num_classes, device=device)
    return work
