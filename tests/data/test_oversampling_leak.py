"""No image outside the training split, nor a neighbour made from one, reaches a network while it trains.

Training images are grey, all others coloured. Mixing, turning, blurring and scaling grey images gives grey ones,
and so does normalization if its values come from grey images alone; a trace of a coloured one shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from nas.config.recipe import Recipe
from nas.data import DataConfig, Dataset, open_data
from nas.data.dataset import SPLIT_NAMES
from nas.data.oversampling import OVERSAMPLERS
from nas.trials import datasets as trial_data
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialSpec
from search_spaces import get_space

ADDING = [name for name in OVERSAMPLERS if name != "none"]
NUM_CLASSES, PER_CLASS = 4, 90

pytestmark = pytest.mark.usefixtures("one_thread")


def is_grey(images: Tensor | NDArray[np.uint8]) -> bool:
    """True if the channels of every image (N, 3, H, W) are equal."""
    return bool((images[:, 0] == images[:, 1]).all()) and bool((images[:, 0] == images[:, 2]).all())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Four overlapping classes, long-tailed, coloured wherever a row is not one to train on."""
    folder = tmp_path_factory.mktemp("leak")
    config = DataConfig(source=str(folder / "marked.npz"), imbalance=8, cache_dir=str(folder / "cache"))
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(NUM_CLASSES), PER_CLASS))
    middle = rng.integers(90, 130, (NUM_CLASSES, 8, 8))
    grey = np.clip(middle[labels] + rng.normal(0, 30, (len(labels), 8, 8)), 0, 255).astype(np.uint8)

    def dataset_of(images: NDArray[np.uint8]) -> Dataset:
        np.savez(config.source, images=images, labels=labels)
        return open_data(config)

    images = np.stack([grey] * 3, axis=-1)
    train = dataset_of(images).rows["train"]
    others = np.setdiff1d(np.arange(len(labels)), train)
    images[others] = np.stack([grey[others], 255 - grey[others], grey[others] // 2], axis=-1)
    marked = dataset_of(images)
    np.testing.assert_array_equal(marked.rows["train"], train)  # which row serves what hangs on labels alone
    for name in SPLIT_NAMES:
        assert is_grey(marked.split(name).images) == (name == "train")
    return config


@pytest.fixture(autouse=True)
def opened_anew() -> Iterator[None]:
    trial_data.forget()
    yield
    trial_data.forget()


def seen_in_training(config: DataConfig, oversampling: str, **changes: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Every batch of images that the network of a trial gets: while it trains, and while it is scored."""
    batches: dict[bool, list[Tensor]] = {True: [], False: []}

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].ndim == 4 and inputs[0].shape[1] == 3:
            batches[module.training].append(inputs[0].detach().clone())

    spec = TrialSpec(
        id="t0001",
        space="resnet",
        sample=get_space("resnet").canonical,
        input_shape=(3, 8, 8),
        num_classes=NUM_CLASSES,
        data=config,
        recipe=Recipe(epochs=2, oversampling=oversampling, oversampled_share=1, batch_size=64),
        seed=0,
        **changes,
    )
    hook = register_module_forward_pre_hook(note)
    try:
        result = run_trial(spec, "cpu")
    finally:
        hook.remove()
    assert result.status == "finished", result.error
    return batches[True], batches[False]


@pytest.mark.parametrize("name", ADDING)
def test_training_sees_nothing_made_from_other_splits(name: str, config: DataConfig) -> None:
    synthetic, _ = trial_data.synthetic_on_device(config, "cpu", name)
    assert synthetic is not None and len(synthetic) > PER_CLASS
    assert is_grey(synthetic[:])
    training, scoring = seen_in_training(config, name)
    num_train = len(open_data(config).rows["train"])
    assert sum(map(len, training)) >= 2 * (num_train + len(synthetic) - 1)
    assert all(map(is_grey, training))
    assert not any(map(is_grey, scoring))


@pytest.mark.parametrize("name", ADDING)
def test_oversampling_before_splitting_is_seen(name: str, config: DataConfig) -> None:
    """The error of the study, committed."""
    training, _ = seen_in_training(config, name, split_after_oversampling=True)
    assert not all(map(is_grey, training))


def test_normalization_from_another_split_would_be_seen(config: DataConfig) -> None:
    train, select = (trial_data.split_on_device(config, "cpu", name) for name in ("train", "select"))
    assert len(set(train.mean_and_std[0])) == 1
    assert len(set(select.mean_and_std[0])) == 3
    assert torch.equal(train[:][:, 0], train[:][:, 1])
