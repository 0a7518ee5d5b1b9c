"""Share of a training step spent on data, against a DataLoader, and the time to open a data set again.

.venv/bin/python benchmarks/data.py                              # about a minute
.venv/bin/python benchmarks/data.py --data ~/data/cifar10        # also opens it: the first time it is decoded
.venv/bin/python benchmarks/data.py --steps 2 --spaces vgg

A step's data: gathering the batch, crop, mirror, normalization; the rest is forward, backward and optimizer. One
thread, as trials have. The DataLoader does the same to the same images, one at a time, by torchvision's transforms
(RandomCrop with 4 pixels, RandomHorizontalFlip, ToTensor, Normalize), in the training process as it does by default.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from cpu import specification
from hardware import hardware
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from nas.data import DataConfig, open_data
from nas.training.augmentation import augment
from nas.training.class_counts import ClassCounts
from nas.training.precision import Execution
from nas.training.step import Learning, Phase, take_step
from nas.training.tensor_split import TensorSplit
from nas.trials.run_trial import build
from search_spaces import space_names

NORMAL = torch.tensor([0.49, 0.48, 0.45]), torch.tensor([0.25, 0.24, 0.26])
BATCH = 128
IMAGES = 10_000


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """The same images, one at a time."""

    def __init__(self, pixels_NHWC: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
        self.pixels_NHWC = pixels_NHWC
        mean, std = (value.tolist() for value in NORMAL)
        self.view = transforms.Compose([
            transforms.RandomCrop(32, padding=4, padding_mode="edge"), transforms.RandomHorizontalFlip(),
            transforms.ToTensor(), transforms.Normalize(mean, std),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.pixels_NHWC)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.view(Image.fromarray(self.pixels_NHWC[index])), index % 10


def seconds(work: Callable[[], object], times: int) -> float:
    """The fastest of several, after one that does not count."""
    work()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def step_seconds(space: str, params: int, split: TensorSplit, execution: Execution, times: int) -> float:
    """Of a whole training step of the space's network."""
    spec = specification(space, 32, params, BATCH)
    model = build(spec)
    execution.place(model, "cpu")
    counts = ClassCounts.of(split.labels, split.labels, 10, balanced=False)
    generator = torch.Generator().manual_seed(0)
    learning = Learning.of(model, split, spec.recipe, counts, NORMAL, generator, execution=execution)
    model.train()
    index_N = torch.arange(BATCH)
    return seconds(lambda: take_step(learning, Phase.of(learning, 1), index_N, 0.01).item(), times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=space_names(), choices=space_names())
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--data", help="a data set to open three times")
    args = parser.parse_args()
    print(hardware())
    torch.set_num_threads(1)
    pixels = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = TensorSplit(pixels, torch.arange(IMAGES) % 10)
    recipe, generator = specification("vgg", 32, 100_000, BATCH).recipe, torch.Generator().manual_seed(0)

    def ours() -> None:
        index_N = torch.randint(IMAGES, (BATCH,), generator=generator)
        augment(split.batch(index_N)[0], recipe, generator, NORMAL)

    batches = iter(DataLoader(Pictures(pixels.permute(0, 2, 3, 1).numpy()), BATCH, shuffle=True, drop_last=True))
    ours_took, theirs_took = seconds(ours, 10 * args.steps), seconds(partial(next, batches), min(args.steps, 20))
    print(
        f"\nA batch of {BATCH} images of 3x32x32: {1e3 * ours_took:.2f} ms; by a DataLoader {1e3 * theirs_took:.1f} ms,"
        f" {theirs_took / ours_took:.0f} times as long\n"
    )
    heads = f"{'space':<10} {'parameters':>10} {'step ms':>8} {'data':>7}"
    print(f"{heads} {'with a DataLoader: ms':>22} {'data':>7} {'ratio':>6}")
    for space in args.spaces:
        for params in (100_000, 20_000):
            step = min(
                step_seconds(space, params, split, execution, args.steps)
                for execution in (Execution(), Execution("channels_last"))
            )
            theirs = step - ours_took + theirs_took
            print(
                f"{space:<10} {'up to ' + str(params // 1000) + 'k':>10} {1e3 * step:>8.1f} {ours_took / step:>7.1%} "
                f"{1e3 * theirs:>22.1f} {theirs_took / theirs:>7.1%} {theirs / step:>6.2f}"
            )
    if args.data:
        print()
        for time_number in ("first", "second", "third"):
            began = time.perf_counter()
            open_data(DataConfig(source=args.data)).split("train")
            print(f"{args.data} opened the {time_number} time: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
