"""Thousands of classes: the time to open their folders, and the cost of metrics with and without a confusion matrix.

.venv/bin/python benchmarks/many_classes.py --folder ~/data/many-classes            # makes the set where there is none
.venv/bin/python benchmarks/many_classes.py --folder ~/data/many --classes 1000 --images 5

A class is a random picture of 16 pixels, an image of it that picture with noise. Every opening is a process of its own,
which imports nasctl first: "opened" is the time of ``nas.data.open_data`` alone. The first time files are decoded into
the cache (a new one, in ``--folder`` too), later only the index is read: names, sizes and times of all files. Metrics
are those of one pass over the answers to 28,000 images; beside them the same from a whole confusion matrix.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hardware import hardware
from PIL import Image

from baselines.metrics import metrics_of
from nas.export.evaluate import confusion_cells

SIDE, ANSWERED = 16, 28_000
OPEN = """
import sys, time
from nas.config import DataConfig
from nas.data import open_data
began = time.perf_counter()
data = open_data(DataConfig(source=sys.argv[1], cache_dir=sys.argv[2]))
print(time.perf_counter() - began, len(data.classes), sum(map(sum, data.counts.values())))
"""


def make(folder: Path, classes: int, images: int) -> None:
    """Write the set: a folder for each class."""
    rng = np.random.default_rng(0)
    for number in range(classes):
        place = folder / f"person_{number:05d}"
        place.mkdir(parents=True)
        picture = rng.integers(0, 256, (SIDE, SIDE, 3))
        for image in range(images):
            pixels = np.clip(picture + rng.normal(0, 40, picture.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{image:03d}.png", compress_level=1)


def opened(folder: Path, cache: Path) -> tuple[float, int, int]:
    """Seconds, classes and images of one opening in a new process."""
    command = [sys.executable, "-c", OPEN, str(folder), str(cache)]
    seconds, classes, images = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), int(classes), int(images)


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the fastest of three, and megabytes at the peak."""
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(spent), peak / 1e6


def from_matrix(labels: np.ndarray, answers: np.ndarray, classes: int) -> float:
    """Balanced accuracy by way of the whole matrix."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, answers), 1)
    return float(np.mean(np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--classes", type=int, default=7_000)
    parser.add_argument("--images", type=int, default=20)
    args = parser.parse_args()
    print(hardware())
    images = args.folder / f"{args.classes}x{args.images}"
    if not images.is_dir():
        make(images, args.classes, args.images)
    cache = args.folder / "cache"
    times = [opened(images, cache) for _ in range(4)]
    print(f"{times[0][1]:,} classes, {times[0][2]:,} images")
    print(f"opened the first time: {times[0][0]:.1f} s; again: {', '.join(f'{each:.2f} s' for each, *_ in times[1:])}")

    rng = np.random.default_rng(0)
    labels = np.arange(ANSWERED) % args.classes
    answers = np.where(rng.random(ANSWERED) < 0.8, labels, rng.integers(0, args.classes, ANSWERED))
    for name, work in (
        ("all metrics, from counts by class", lambda: metrics_of(answers, labels, args.classes)),
        ("cells of the confusion matrix that are not zero", lambda: confusion_cells(labels, answers, args.classes)),
        ("balanced accuracy, from the whole matrix", lambda: from_matrix(labels, answers, args.classes)),
    ):
        seconds, megabytes = cost(work)
        print(f"{name}: {1e3 * seconds:.1f} ms, {megabytes:,.1f} MB")


if __name__ == "__main__":
    main()
