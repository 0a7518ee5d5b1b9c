"""Tables of labels beside tiny images that hold their own number, for tests of what is read from them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, Dataset, open_data
from nas.data.dataset import SPLIT_NAMES
from nas.errors import DataError

Line = tuple[object, ...]


def write_set(folder: Path, *lines: Line, suffix: str = ".png", below: str = "") -> list[str]:
    """An image each for the first cell of every line but the first; the image's pixels are all its line's number."""
    names = [str(line[0]) for line in lines[1:]]
    for number, name in enumerate(dict.fromkeys(names)):
        path = folder / below / (name + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, dtype=np.uint8)).save(path, format="PNG")
    write_table(folder / "labels.csv", *lines)
    return names


def write_table(path: Path, *lines: Line, separator: str = ",", encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows(lines)


def config(folder: Path, name: str = "labels.csv", **changes: Any) -> DataConfig:
    settings = {"source": str(folder / name), "cache_dir": str(folder / "cache"), "allow_duplicates": True}
    return DataConfig(**{**settings, **changes})


def labels(opened: Dataset) -> dict[int, str]:
    """The class of every image by the grey value it holds."""
    found = {}
    for split in map(opened.split, SPLIT_NAMES):
        for image, label in zip(split.images, split.labels, strict=True):
            found[int(image[0, 0, 0])] = opened.classes[label]
    return found


def errors_of(folder: Path, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        open_data(config(folder, **changes))
    return caught.value.messages


# Eighteen images, a third of them dogs, and what ``labels`` gives of them
PETS = [(f"im{number:02}", "cat" if number % 3 else "dog") for number in range(18)]
EXPECTED = {number: label for number, (_, label) in enumerate(PETS)}
