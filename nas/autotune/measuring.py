"""How many images a second one worker trains: a few real steps on made-up images. Run by executors as a trial is."""

from __future__ import annotations

import math
import time

import torch

from nas.executors import EpochReport
from nas.training.class_counts import ClassCounts
from nas.training.classifier_head import Classifier
from nas.training.precision import usual_execution
from nas.training.step import Learning, Phase, take_step
from nas.training.tensor_split import TensorSplit
from nas.trials.run_trial import build
from nas.trials.spec import TrialResult, TrialSpec

MEASURED = "nas.autotune.measuring:measure"
SLICE = 0.2  # seconds of steps after the first


def measure(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Train ``spec`` for a moment: metrics "steps" has "images_per_second", of the fastest step.

    Reads no data and writes nothing. ``spec.recipe.batch_size`` must be set. Whatever else runs on the machine only
    makes steps slower, so the fastest is the one to compare.
    """
    at, size, classes = torch.device(device), spec.recipe.batch_size, spec.num_classes
    assert size is not None
    execution = spec.execution or usual_execution(at)
    torch.manual_seed(spec.seed)
    model = build(spec)
    execution.place(model, at)
    place_N = torch.arange(max(size, classes), device=at)  # an image of every class, as losses ask for
    pixels = torch.randint(256, (size, *spec.input_shape), dtype=torch.uint8, device=at)
    images = TensorSplit(pixels, place_N % classes, place_N % size)
    counts = ClassCounts.of(images.labels, images.labels, classes, balanced=False)
    normal = torch.full((spec.input_shape[0],), 0.5, device=at), torch.full((spec.input_shape[0],), 0.25, device=at)
    generator = torch.Generator(at).manual_seed(spec.seed)
    learning = Learning.of(model, images, spec.recipe, counts, normal, generator, execution=execution)
    phase, fastest, steps, began = Phase.of(learning, 1), math.inf, 0, 0.0
    model.train()
    with Classifier.of(spec.recipe, counts).attached(model, classes):
        while steps < 2 or time.perf_counter() - began < SLICE:
            started = time.perf_counter()
            take_step(learning, phase, place_N[:size], spec.recipe.learning_rate).item()
            if steps == 0:  # libraries prepare themselves in it
                began = time.perf_counter()
            else:
                fastest = min(fastest, time.perf_counter() - started)
            steps += 1
    return TrialResult(spec.id, "finished", {"steps": {"images_per_second": size / fastest}})
