"""The benchmark of the oversamplers: its classes are EMNIST ByClass's in number, and its images differ by class."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def oversampling() -> ModuleType:
    """The script as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "oversampling.py"
    spec = importlib.util.spec_from_file_location("oversampling_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_class_sizes_are_those_of_emnist(oversampling: ModuleType) -> None:
    sizes = oversampling.class_sizes(oversampling.TOTAL)
    assert (len(sizes), sizes.sum()) == (62, 697_932)
    assert (sizes.max(), sizes.min()) == (38_374, 1_896)
    small = oversampling.class_sizes(5_000)
    assert small.sum() == 5_000 and small.max() < 38_374 * 5_000 / 697_932 + 1


def test_a_small_measurement(oversampling: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oversampling.write_images(tmp_path, 1_000)
    split = oversampling.read_split(tmp_path)
    assert split.images.shape == (1_000, 1, 28, 28) and len(np.unique(split.images, axis=0)) == 1_000
    oversampling.measure(tmp_path, "augment")
    measured = json.loads(capsys.readouterr().out)
    assert measured["made"] == 62 * np.bincount(split.labels).max() - 1_000
    assert measured["seconds"] > measured["again"] and measured["all"] >= 0
    assert oversampling.agreement(tmp_path, 50).startswith("100.0%")  # so few are searched whole
