"""Time and memory of every oversampler on grey 28x28 images of 62 unequal classes, as many as EMNIST ByClass has.

.venv/bin/python benchmarks/oversampling.py                            10,000, 50,000 and 697,932 images
.venv/bin/python benchmarks/oversampling.py --images 10000 --methods smote
.venv/bin/python benchmarks/oversampling.py --agreement 2000           how often the approximate search is right

The images are scikit-learn's digits, enlarged, in 62 of the 8 positions of a square, each slightly turned, shifted,
scaled and noisy; the counts fall from 38,374 to 1,896 at full size and in proportion below. Every method runs in a
process of its own with one thread. "private" is the most anonymous memory beyond what the imports took, "all" is
the most resident memory beyond it, with the pages of the mapped input; both in multiples of the images' bytes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch.nn import functional

from nas.data.dataset import Split
from nas.data.oversampling import M_NEIGHBORS, OVERSAMPLERS, oversample
from nas.data.oversampling.neighbors import nearest, nearest_of_all

NUM_CLASSES, MOST, LEAST, TOTAL = 62, 38_374, 1_896, 697_932  # EMNIST ByClass
PLACE = Path("images.npy"), Path("labels.npy")


def class_sizes(num_images: int) -> NDArray[np.int64]:
    """Counts that fall along a power from MOST to LEAST and sum to TOTAL, scaled to ``num_images``."""
    low, high = 0.1, 10.0
    place = np.linspace(1, 0, NUM_CLASSES)
    for _ in range(60):
        power = (low + high) / 2
        sizes = LEAST + (MOST - LEAST) * place**power
        low, high = (power, high) if sizes.sum() > TOTAL else (low, power)
    counts = np.maximum(np.rint(sizes * num_images / TOTAL), 2).astype(np.int64)
    counts[NUM_CLASSES // 2] += num_images - counts.sum()
    return counts


def write_images(folder: Path, num_images: int) -> None:
    """The images (N, 1, 28, 28) and labels of a benchmark, in random order."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(NUM_CLASSES), class_sizes(num_images)))
    digits = load_digits()
    small = torch.from_numpy(digits.images / 16).float()[:, None]
    base = functional.interpolate(small, (20, 20), mode="bicubic").clamp(0, 1)
    base = functional.pad(base, (4, 4, 4, 4))
    of_digit = [np.flatnonzero(digits.target == digit) for digit in range(10)]
    images = np.lib.format.open_memmap(folder / PLACE[0], "w+", np.uint8, (num_images, 1, 28, 28))
    for start in range(0, num_images, 10_000):
        part = labels[start : start + 10_000]
        chosen = np.array([rng.choice(of_digit[label % 10]) for label in part])
        position = part // 10  # 0 to 6: quarter turns, and mirrored from 4 on
        quarter = position % 4 * np.pi / 2
        angle, scale = quarter + rng.normal(0, 0.15, len(part)), rng.uniform(0.8, 1.2, len(part))
        theta = np.zeros((len(part), 2, 3))
        theta[:, 0, 0] = np.cos(angle) * scale * np.where(position < 4, 1, -1)
        theta[:, 1, 0] = np.sin(angle) * scale * np.where(position < 4, 1, -1)
        theta[:, 0, 1], theta[:, 1, 1] = -np.sin(angle) * scale, np.cos(angle) * scale
        theta[:, :, 2] = rng.uniform(-0.1, 0.1, (len(part), 2))
        grid = functional.affine_grid(torch.from_numpy(theta).float(), [len(part), 1, 28, 28], align_corners=False)
        pixels = 255 * functional.grid_sample(base[chosen], grid, align_corners=False).numpy()
        noisy = pixels + rng.normal(0, 8, pixels.shape)
        images[start : start + len(part)] = np.clip(np.rint(noisy), 0, 255)
    images.flush()
    np.save(folder / PLACE[1], labels)


def read_split(folder: Path) -> Split:
    """As a trial opens a split: the images stay in their file."""
    labels = np.load(folder / PLACE[1])
    return Split(np.load(folder / PLACE[0], mmap_mode="c"), np.arange(len(labels)), labels)


def memory() -> dict[str, int]:
    """Bytes by the names of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.endswith("kB")}


def measure(folder: Path, name: str) -> None:
    """Print what one method takes on the images in ``folder``, and what reading its result again takes."""
    for library in ("imblearn.over_sampling", "sklearn.cluster"):  # which the methods import when they run
        importlib.import_module(library)
    before = memory()
    peak = {"RssAnon": 0, "VmRSS": 0}
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(0.01):
            now = memory()
            for kind in peak:
                peak[kind] = max(peak[kind], now[kind] - before[kind])

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    made = oversample(name, read_split(folder), cache=folder, key=folder.name)
    seconds = time.perf_counter() - started
    finished.set()
    watcher.join()
    started = time.perf_counter()
    oversample(name, read_split(folder), cache=folder, key=folder.name)
    again = time.perf_counter() - started
    result = {"made": len(made.labels), "seconds": seconds, "again": again, "warnings": len(made.warnings)}
    print(json.dumps(result | {"private": peak["RssAnon"], "all": peak["VmRSS"]}))


def agreement(folder: Path, num_queries: int) -> str:
    """Share of the exact neighbours that the approximate search finds, and how often both agree on the border."""
    split = read_split(folder)
    everything = np.arange(len(split.labels))
    asked = np.random.default_rng(1).choice(everything, num_queries, replace=False)
    exact, found = (
        search[:, 1:]
        for search in (
            nearest(split, asked, everything, M_NEIGHBORS + 1),
            nearest_of_all(split, asked, M_NEIGHBORS + 1),
        )
    )
    shared = np.mean([len(np.intersect1d(*pair)) / M_NEIGHBORS for pair in zip(exact, found, strict=True)])
    others = [(split.labels[rows] != split.labels[asked][:, None]).sum(1) for rows in (exact, found)]
    border = [(number >= M_NEIGHBORS / 2) & (number < M_NEIGHBORS) for number in others]
    same, both, either = (border[0] == border[1]).mean(), (border[0] & border[1]).sum(), (border[0] | border[1]).sum()
    return (
        f"{shared:.1%} of the {M_NEIGHBORS} nearest found; {border[0].mean():.1%} at the border exactly, "
        f"{border[1].mean():.1%} as found; equal decisions {same:.1%}; both / either {both / max(either, 1):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 50_000, TOTAL])
    methods = [name for name in OVERSAMPLERS if name != "none"]
    parser.add_argument("--methods", nargs="+", default=methods, choices=methods)
    parser.add_argument("--agreement", type=int, metavar="QUERIES", help="compare the searches instead")
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "METHOD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(Path(arguments.measure[0]), arguments.measure[1])
        return
    for num_images in arguments.images:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_images(folder, num_images)
            size = num_images * 28 * 28
            print(f"{num_images:,} images, {size / 1e6:,.0f} MB", flush=True)
            if arguments.agreement:
                print(f"  {agreement(folder, arguments.agreement)}", flush=True)
                continue
            for method in arguments.methods:
                command = [sys.executable, __file__, "--measure", name, method]
                done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                print(
                    f"  {method:17} {done['made']:>9,} made in {done['seconds']:7.1f} s, again {done['again']:5.2f} s; "
                    f"private {done['private'] / size:5.2f} x ({done['private'] / 1e6:,.0f} MB), "
                    f"all {done['all'] / size:5.2f} x ({done['all'] / 1e6:,.0f} MB); {done['warnings']} warnings",
                    flush=True,
                )


if __name__ == "__main__":
    main()
