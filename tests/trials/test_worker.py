"""Whole trials on the real digits and the real search spaces, and every way a trial may fail."""

from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_samples import SHORT, SMALL
from torch import nn

from baselines.metrics import METRICS
from nas.config.auto_recipe import resolve_recipe
from nas.config.recipe import RECIPES, Recipe
from nas.data import DataConfig, open_data
from nas.data.dataset import SPLIT_NAMES
from nas.training.metrics import evaluate
from nas.trials import datasets as trial_data
from nas.trials import run_trial as worker
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialSpec
from search_spaces import get_space, space_names

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    return DataConfig(cache_dir=str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def spec(data: DataConfig, tmp_path: Path) -> TrialSpec:
    return TrialSpec(
        id="t0001",
        space="resnet",
        sample=get_space("resnet").canonical,
        input_shape=(1, 8, 8),
        num_classes=10,
        data=data,
        recipe=SHORT,
        seed=3,
        weights_path=str(tmp_path / "weights" / "t0001.safetensors"),
        log_path=str(tmp_path / "logs" / "t0001.log"),
    )


def log_of(spec: TrialSpec) -> str:
    return Path(spec.log_path or "").read_text()


def weights_of(spec: TrialSpec) -> Path:
    return Path(spec.weights_path or "")


def test_a_trial_from_specification_to_files(spec: TrialSpec) -> None:
    seen: list[dict[str, float]] = []
    result = run_trial(spec, "cpu", seen.append)
    assert (result.id, result.status, result.error) == ("t0001", "finished", None)
    assert result.history == seen and len(seen) == 2
    assert result.seconds > sum(record["seconds"] for record in seen)
    assert set(result.metrics) == {"select", "rank"}
    for metrics in result.metrics.values():
        assert set(metrics) == {*METRICS, "recall_by_class", "loss"}
        assert len(metrics["recall_by_class"]) == 10
    json.dumps(asdict(result))  # plain data: it goes into a log

    log = log_of(spec)
    for line in ("trial t0001", "device cpu, 1 threads", "seed 3", "parameters 176258", "best epoch"):
        assert line in log
    assert sum(line.startswith("epoch ") for line in log.splitlines()) == 2

    dataset = open_data(spec.data)
    pixels = dataset.split("train").images / 255
    rank = dataset.split("rank")
    model = get_space("resnet").build(spec.sample, (1, 8, 8), 10)
    model.load_state_dict(load_file(weights_of(spec)))
    metrics = evaluate(
        model,
        torch.from_numpy(rank.images),
        torch.from_numpy(rank.labels),
        ([pixels.mean()], [pixels.std()]),
        num_classes=10,
        device="cpu",
    )
    assert metrics == result.metrics["rank"]
    assert [path.name for path in weights_of(spec).parent.iterdir()] == ["t0001.safetensors"]


def test_the_memory_at_the_peak_is_that_of_one_training(spec: TrialSpec) -> None:
    first = run_trial(spec, "cpu").training_memory
    ballast = b"x" * 300_000_000
    second = run_trial(spec, "cpu").training_memory
    del ballast
    third = run_trial(spec, "cpu").training_memory
    if first is None:
        pytest.skip("this system does not tell the memory of a part of a process's life")
    assert second and third
    assert second - first > 200_000_000 and second - third > 200_000_000


@pytest.mark.parametrize("space", space_names())
def test_every_space_trains(spec: TrialSpec, space: str) -> None:
    result = run_trial(replace(spec, space=space, sample=SMALL[space], recipe=Recipe(epochs=1, batch_size=64)), "cpu")
    assert result.status == "finished", result.error


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_trains_the_same_twice(spec: TrialSpec, name: str) -> None:
    recipe = RECIPES[name].model_copy(update={"epochs": 1, "batch_size": 64})
    spec = replace(spec, sample=SMALL["resnet"], recipe=recipe)
    first = run_trial(spec, "cpu")
    weights = weights_of(spec).read_bytes()
    second = run_trial(spec, "cpu")
    assert first.status == "finished"
    assert first.metrics == second.metrics
    assert weights == weights_of(spec).read_bytes()
    assert first.metrics != run_trial(replace(spec, seed=4), "cpu").metrics
    if recipe.oversampling == "borderline-smote":
        assert "warning: borderline-smote: class 9 has 5 training images" in log_of(spec)


def test_the_test_split_is_scored_only_when_asked(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = worker.split_on_device

    def watched(config: DataConfig, device: str, name: Any) -> Any:
        opened.append(name)
        return original(config, device, name)

    monkeypatch.setattr(worker, "split_on_device", watched)
    first = run_trial(spec, "cpu")
    assert "test" not in opened
    before = Path(spec.weights_path or "").read_bytes()
    opened.clear()
    scored = run_trial(replace(spec, test=True), "cpu")
    assert set(scored.metrics) == {"test"}
    assert opened == ["test"]  # and nothing is trained
    assert scored.history == []
    assert Path(spec.weights_path or "").read_bytes() == before
    assert first.metrics["rank"].keys() == scored.metrics["test"].keys()


def test_the_second_trial_loads_nothing(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    run_trial(spec, "cpu")
    monkeypatch.setattr(trial_data, "open_data", lambda _: pytest.fail("opened again"))
    assert run_trial(spec, "cpu").status == "finished"


def test_nothing_is_written_where_no_path_is_given(spec: TrialSpec, tmp_path: Path) -> None:
    assert run_trial(replace(spec, weights_path=None, log_path=None), "cpu").status == "finished"
    assert not list(tmp_path.iterdir())


def failed(spec: TrialSpec, reason: str) -> None:
    result = run_trial(spec, "cpu")
    assert result.status == "failed" and result.metrics == {}
    assert result.error is not None and reason in result.error and "\n" not in result.error
    assert not weights_of(spec).exists()
    if Path(spec.log_path or "").is_file():
        assert f"failed: {result.error}" in log_of(spec)
        assert "Traceback (most recent call last)" in log_of(spec)


def test_divergence_fails_with_its_epoch(spec: TrialSpec) -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=1e30, epochs=3)
    failed(replace(spec, recipe=recipe), "in epoch 1, where the learning rate reached")


def test_unknown_names_and_missing_data_fail(spec: TrialSpec, tmp_path: Path) -> None:
    failed(replace(spec, space="resnett"), "Did you mean 'resnet'")
    failed(replace(spec, recipe=SHORT.model_copy(update={"loss": "custom"})), "There is no loss 'custom'")
    failed(replace(spec, data=DataConfig(source=str(tmp_path / "absent"))), "absent")


def test_data_of_another_shape_fail(spec: TrialSpec) -> None:
    failed(replace(spec, num_classes=9), "images of 9 classes, but the data are (1, 8, 8) images of 10")
    failed(replace(spec, input_shape=(1, 16, 16)), "the network takes (1, 16, 16)")


def test_data_that_changed_since_the_search_began_fail(tmp_path: Path, spec: TrialSpec) -> None:
    def write(seed: int) -> None:
        images = np.random.default_rng(seed).integers(0, 256, (100, 8, 8), dtype=np.uint8)
        np.savez(tmp_path / "set.npz", images=images, labels=np.arange(100) % 10)

    data = DataConfig(source=str(tmp_path / "set.npz"), cache_dir=str(tmp_path / "cache"))
    write(0)
    planned = replace(spec, data=data, data_key=open_data(data).key)
    write(1)
    reason = "set.npz changed since the search began"
    failed(planned, reason)
    failed(replace(planned, test=True), reason)
    assert run_trial(replace(planned, data_key=""), "cpu").status == "finished"
    write(0)  # what this process opened meanwhile does not count
    assert run_trial(planned, "cpu").status == "finished"
    write(1)
    later = replace(planned, data_key=open_data(data).key)
    assert run_trial(later, "cpu").status == "finished"


@pytest.mark.parametrize("name", ["select", "rank", "test"])
def test_metrics_that_are_not_finite_fail(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name == "test":
        assert run_trial(spec, "cpu").status == "finished"
        spec = replace(spec, test=True)
    original = worker.evaluate_split

    def overflowing(model: nn.Module, split: Any, *rest: Any, **options: Any) -> Any:
        metrics = original(model, split, *rest, **options)
        return metrics | {"loss": math.inf} if split is worker.split_on_device(spec.data, "cpu", name) else metrics

    monkeypatch.setattr(worker, "evaluate_split", overflowing)
    result = run_trial(spec, "cpu")
    assert (result.status, result.metrics) == ("failed", {})
    assert result.error == f"loss is inf on the {name} split"
    if not spec.test:
        assert not weights_of(spec).exists()


def test_workers_share_the_pixels_of_the_cache(spec: TrialSpec) -> None:
    run_trial(spec, "cpu")
    splits = [worker.split_on_device(spec.data, "cpu", name) for name in SPLIT_NAMES]
    assert len({split.images.data_ptr() for split in splits}) == 1
    images = str(open_data(spec.data).cache_path / "images.npy")
    mapped = Path("/proc/self/maps")
    if mapped.exists():
        ranges = [line.split()[0].split("-") for line in mapped.read_text().splitlines() if line.endswith(images)]
        assert any(int(low, 16) <= splits[0].images.data_ptr() < int(high, 16) for low, high in ranges)


def test_a_run_folder_that_was_removed_stays_removed(spec: TrialSpec, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    logged = replace(spec, log_path=str(gone / "logs" / "t.log"), weights_path=None)
    saved = replace(spec, log_path=None, weights_path=str(gone / "weights" / "t.safetensors"))
    for one in (logged, saved):
        result = run_trial(one, "cpu")
        assert result.status == "failed" and "No such file" in (result.error or "")
        assert not gone.exists()


def test_weights_have_the_usual_mode(spec: TrialSpec, tmp_path: Path) -> None:
    run_trial(spec, "cpu")
    (tmp_path / "plain").write_text("")
    assert weights_of(spec).stat().st_mode == (tmp_path / "plain").stat().st_mode


class Failing:
    """A search space whose network raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def build(self, *_: object) -> nn.Module:
        raise self.error


def test_a_real_allocation_failure_is_named_as_such(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy:
        def build(self, *_: object) -> nn.Module:
            return nn.Linear(2**22, 2**22)  # 64 TiB

    monkeypatch.setattr(worker, "get_space", lambda _: Greedy())
    failed(spec, "out of memory on cpu: ")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"), "out of memory on cpu: CUDA out of"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "out of memory on cpu"),
        (MemoryError(), "out of memory on cpu: no details"),
        (KeyError("width1"), "KeyError: 'width1'"),
        (ValueError(), "ValueError"),
    ],
)
def test_other_errors_name_their_type(
    spec: TrialSpec, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.setattr(worker, "get_space", lambda _: Failing(error))
    failed(spec, reason)


def test_an_interrupt_is_not_swallowed(spec: TrialSpec) -> None:
    def interrupt(_: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(spec, "cpu", interrupt)


def test_a_failed_trial_keeps_its_curve(spec: TrialSpec) -> None:
    def fail(record: dict[str, float]) -> None:
        if record["epoch"] == 2:
            raise ValueError("enough")

    result = run_trial(spec, "cpu", fail)
    assert result.error == "ValueError: enough"
    assert [record["epoch"] for record in result.history] == [1, 2]


def test_a_log_that_cannot_be_written_fails_the_trial(spec: TrialSpec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed(replace(spec, log_path=str(tmp_path / "file" / "t.log")), "Error: ")


def test_a_full_disk_is_no_error_of_the_trial(spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        run_trial(replace(spec, log_path="/dev/full"), "cpu")
    monkeypatch.setattr(worker, "save_weights", full_disk)
    log = tmp_path / "t.log"
    with pytest.raises(OSError, match="No space left on device"):
        run_trial(replace(spec, log_path=str(log)), "cpu")
    assert log.read_text().splitlines()[-1] == "stopped: No space left on device (weights)"


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights")


def test_weights_that_cannot_be_written_fail_the_trial(spec: TrialSpec, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    (blocked / "kept").mkdir(parents=True)  # a folder that is not empty cannot be replaced by a file
    result = run_trial(replace(spec, weights_path=str(blocked)), "cpu")
    assert result.status == "failed" and "blocked" in (result.error or "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocked", "logs"]


@pytest.mark.slow
def test_default_recipe_learns_the_long_tailed_digits(spec: TrialSpec) -> None:
    """About as an RBF SVM on pixels (0.94) or better; the bound leaves room for other processors."""
    data = DataConfig(imbalance=20)
    recipe, _ = resolve_recipe(RECIPES["auto"], list(map(int, open_data(data).counts["train"])), "balanced_accuracy")
    hand_made = replace(spec, space="vgg", sample=get_space("vgg").canonical, data=data, recipe=recipe, test_after=True)
    result = run_trial(hand_made, "cpu")
    assert result.status == "finished"
    metrics = result.metrics["test"]
    assert math.isfinite(metrics["loss"]) and metrics["balanced_accuracy"] > 0.92
