"""Splits as the origin study made them, after oversampling: what is in which, and what is left as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_folders import config as folder_config
from image_folders import write

from nas.config.recipe import Recipe
from nas.data import DataConfig, open_data
from nas.data.published import MixedSplit, split_after_oversampling
from nas.trials.datasets import published_on_device, split_on_device
from nas.trials.run_trial import _scored_split
from nas.trials.spec import TrialSpec

DIGITS = DataConfig(imbalance=20)


def labels_of(split: MixedSplit) -> np.ndarray:
    return np.concatenate([split.real.labels, split.made.labels])


@pytest.mark.parametrize("name", ["random", "smote"])
def test_everything_but_test_is_oversampled_and_then_split(name: str) -> None:
    dataset = open_data(DIGITS)
    splits = split_after_oversampling(name, DIGITS, dataset)
    counts = {split: np.bincount(labels_of(part)) for split, part in splits.items()}
    total = sum(counts.values())
    assert len(set(total.tolist())) == 1  # even classes, and evenly split:
    assert np.ptp(counts["train"]) <= 2 and np.abs(counts["train"] / total - 0.85).max() < 0.01
    assert np.abs(counts["select"] - counts["rank"]).max() == 0
    assert all(len(part.real.labels) and len(part.made.labels) for part in splits.values())

    real = np.concatenate([part.real.rows for part in splits.values()])
    assert len(np.unique(real)) == len(real) and not np.isin(real, dataset.rows["test"]).any()
    kept = np.bincount(dataset.labels[real])
    assert kept.max() == total[0] and kept.min() == kept.max() // 20  # long-tailed, as training images are
    made = [part.made.rows for part in splits.values()]
    if name == "random":  # whose copies are rows of the data
        assert np.isin(np.concatenate(made), real).all()
        own = np.isin(splits["rank"].made.rows, splits["train"].real.rows)
        assert own.any()  # copies that validate, of images that are trained on
    else:
        assert sorted(np.concatenate(made)) == list(range(len(np.concatenate(made))))


def test_splits_are_the_same_again_and_others_by_another_seed() -> None:
    dataset = open_data(DIGITS)
    first, again = (split_after_oversampling("smote", DIGITS, dataset) for _ in range(2))
    for name, part in first.items():
        np.testing.assert_array_equal(part.real.rows, again[name].real.rows)
        np.testing.assert_array_equal(part.made.rows, again[name].made.rows)
        np.testing.assert_array_equal(part.made.images, again[name].made.images)
    other = DIGITS.model_copy(update={"split_seed": 1})
    parts = split_after_oversampling("smote", other, open_data(other))
    assert not np.array_equal(parts["rank"].real.rows, first["rank"].real.rows)


def test_a_sets_own_validation_images_are_in_it_too(tmp_path: Path) -> None:
    config = folder_config(write(tmp_path / "set", "train/a", "train/b", "val/a", "val/b", "test/a", "test/b", count=9))
    dataset = open_data(config)
    splits = split_after_oversampling("random", config, dataset)  # adds nothing: classes are even
    real = np.sort(np.concatenate([part.real.rows for part in splits.values()]))
    np.testing.assert_array_equal(real, np.sort(np.concatenate([dataset.rows[n] for n in ("train", "select", "rank")])))
    on_device = published_on_device(config, "cpu", "random")
    assert len(on_device.synthetic) == 0 and len(on_device.select) == len(splits["select"].real.rows) > 0


def test_a_trial_reads_them_image_by_image() -> None:
    """Real images, then those that were made; of test the same as ever."""
    recipe = Recipe(oversampling="smote")
    spec = TrialSpec(
        id="1", space="vgg", sample={}, input_shape=(1, 8, 8), num_classes=10, data=DIGITS, recipe=recipe, seed=0,
        split_after_oversampling=True,
    )  # fmt: skip
    parts = split_after_oversampling("smote", DIGITS, open_data(DIGITS))
    for name in ("select", "rank"):
        split, part = _scored_split(spec, "cpu", name), parts[name]
        np.testing.assert_array_equal(split.labels, labels_of(part))
        pixels = np.concatenate([part.real.images, part.made.images[part.made.rows]])
        np.testing.assert_array_equal(np.concatenate([split[:50], split[50:10_000]]), pixels)
    assert _scored_split(spec, "cpu", "test") is split_on_device(DIGITS, "cpu", "test")
