"""Photos for tests: CIFAR-10 where its archive lies beside the repository (or NASCTL_CIFAR10 names it), else
stripes made here. The last lines of a run of tests say which were used."""

from __future__ import annotations

import os
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

ARCHIVE = Path(os.environ.get("NASCTL_CIFAR10", Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.xz"))
PER_CLASS = {"train": 60, "test": 12}


def source() -> str:
    """Source of the photos that ``write_photos`` writes, in words."""
    return f"CIFAR-10 from {ARCHIVE.name}" if ARCHIVE.is_file() else f"stripes made here (no {ARCHIVE})"


def write_photos(folder: Path) -> None:
    """Ten classes of 32x32 colour images in ``folder``/train and ``folder``/test."""
    if ARCHIVE.is_file():
        _unpack_cifar(ARCHIVE, folder)
    else:
        _make_photos(folder)


def _unpack_cifar(archive: Path, folder: Path) -> None:
    for path, content in _first_of_each_class(archive):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


@cache
def _first_of_each_class(archive: Path) -> list[tuple[Path, bytes]]:
    """Files and what is in them; kept, since to walk through the archive takes seconds."""
    found: list[tuple[Path, bytes]] = []
    counts: dict[str, int] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            folder, _, name = member.name.rpartition("/")  # no Path: there are 60,000
            part = folder.rpartition("/")[0].rpartition("/")[2]
            if counts.get(folder, 0) < PER_CLASS.get(part, 0) and member.isfile():
                counts[folder] = counts.get(folder, 0) + 1
                path = Path(part, folder.rpartition("/")[2], name)
                found.append((path, tar.extractfile(member).read()))  # type: ignore[union-attr]
    return found


def _make_photos(folder: Path) -> None:
    """Ten classes of stripes, told apart by colour and direction."""
    rng = np.random.default_rng(0)
    for part, count in PER_CLASS.items():
        for label in range(10):
            (folder / part / f"class{label}").mkdir(parents=True)
            for number in range(count):
                wave = np.sin(np.arange(32) * (1 + label % 5) / 3 + rng.random() * 6)
                plane = np.tile(wave, (32, 1)) if label < 5 else np.tile(wave[:, None], (1, 32))
                pixels = 128 + 60 * plane[..., None] * [1, -1, 0.5] + rng.normal(0, 25, (32, 32, 3))
                path = folder / part / f"class{label}" / f"{number}.png"
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
