"""Photos of three classes of uneven size and many shapes, cut from CIFAR-10, for the study ``photo-grid``.

    python benchmarks/photo_grid.py ~/data/cifar10 three-classes --most 400

writes 10 to 2 to 1 images of bird, cat and deer (--classes), and 30 more of each to set aside for test, as PNG files
in class folders. Each is cut to a random part of at least --least pixels a side, so that most have a shape of their
own, as photos do. Then:

    nasctl baseline run photo-grid --data three-classes --image-size 32 --fit pad --from-scratch --sample 10 --epochs 5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

RATIOS, TEST = (10, 2, 1), 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with train/CLASS/*.jpg or CLASS/*.jpg")
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument("--classes", default="bird,cat,deer", help="the largest first")
    parser.add_argument("--most", type=int, default=200, help="images of the largest class beside those for test")
    parser.add_argument("--least", type=int, default=20, help="pixels of a side")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    source = asked.source / "train" if (asked.source / "train").is_dir() else asked.source
    for name, ratio in zip(asked.classes.split(","), RATIOS, strict=True):
        count = asked.most * ratio // RATIOS[0] + TEST
        folder = asked.target / name
        folder.mkdir(parents=True)
        files = sorted((source / name).iterdir())
        for number, place in enumerate(rng.choice(len(files), count, replace=False).tolist()):
            image = Image.open(files[place]).convert("RGB")
            width, height = (int(rng.integers(min(asked.least, side), side + 1)) for side in image.size)
            left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
            image.crop((left, top, left + width, top + height)).save(folder / f"{number:04}.png")
        print(f"{name}: {count} images")


if __name__ == "__main__":
    main()
