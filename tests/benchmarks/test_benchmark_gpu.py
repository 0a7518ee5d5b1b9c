"""The benchmark of a GPU: what its workers measure, on the CPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from nas.config.recipe import Recipe
from nas.data import DataConfig
from nas.executors import InlineExecutor
from nas.trials.spec import TrialSpec
from search_spaces import get_space

pytestmark = pytest.mark.usefixtures("one_thread")
SAMPLE = {choice.label: choice.values[0] for choice in get_space("vgg").choices}
SPEC = TrialSpec("1", "vgg", SAMPLE, (1, 8, 8), 10, DataConfig(), Recipe(batch_size=16), seed=1, probe="measure")


@pytest.fixture
def gpu_work() -> ModuleType:
    """The functions of the script's workers, as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "gpu_work.py"
    spec = importlib.util.spec_from_file_location("gpu_work", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_metrics_of_a_step(gpu_work: ModuleType) -> None:
    with InlineExecutor(gpu_work.limits) as executor:
        executor.submit(SPEC)
        (result,) = executor.wait()
    assert result.status == "finished", result.error
    metrics = result.metrics["probe"]
    assert all(isinstance(metric, float) for metric in metrics.values())  # others would not reach the table
    weights = 4 * sum(parameter.numel() for parameter in get_space("vgg").build(SAMPLE, (1, 8, 8), 10).parameters())
    assert metrics["kernels"] > 20 and metrics["alone"] > 0
    assert metrics["bytes"] > 9 * weights  # Adam alone reads a weight, its gradient and two averages, and writes three
