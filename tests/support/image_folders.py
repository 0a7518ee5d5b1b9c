"""Folders of small images, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, DataReport, describe_data, open_data
from nas.errors import DataError


def write(root: Path, *names: str, count: int = 6, called: str = "{folder}_{number}.png") -> Path:
    """``count`` images of 8x8 pixels in each of the folders ``names`` below ``root``, no two alike."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(list(name.encode()))
        for number in range(count):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            file = called.format(folder=name.rpartition("/")[2], number=number)
            Image.fromarray(pixels).save(root / name / file)
    return root


def config(data: Path, **changes: Any) -> DataConfig:
    """With a cache beside the data."""
    return DataConfig(**{"source": str(data), "cache_dir": str(data.parent / "cache"), **changes})


def described(data: Path, **changes: Any) -> DataReport:
    """The report of data without an error."""
    report = describe_data(config(data, **changes))
    assert not report.errors
    return report


def error_of(data: Path, **changes: Any) -> str:
    """Everything that is wrong with the data, a line each."""
    with pytest.raises(DataError) as caught:
        open_data(config(data, **changes))
    return "\n".join(caught.value.messages)
