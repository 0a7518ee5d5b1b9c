"""Classes of two or three images, and sets of hundreds of classes: splits, tables, the classical baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import refused, told
from PIL import Image

from baselines.classical import MOST_CLASSES, NEAREST, classical_scores
from nas.config import DataConfig
from nas.data import open_data
from nas.data.selection import HELD, in_several
from nas.data.sources.base import TRAIN
from nas.data.splits import SPLIT_NAMES, make_splits
from nas.errors import DataError
from nas.export.model_card import recall_table

CLASSES = 210
Counts = Callable[[int], int]


def image_set(path: Path, images_of: Counts = lambda label: 2 + label % 5) -> Path:
    """``CLASSES`` classes of 2 to 6 images each, a colour a class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), [images_of(label) for label in range(CLASSES)])
    colours = rng.integers(0, 256, (CLASSES, 1, 1, 3))[labels]
    images = np.clip(colours + rng.normal(0, 4, (len(labels), 8, 8, 3)), 0, 255).astype(np.uint8)
    np.savez(path, images=images, labels=labels)
    return path


def test_small_classes_are_trained_on_and_shared_out() -> None:
    labels = np.repeat(np.arange(100), 2 + np.arange(100) % 5)  # 20 classes each of 2, 3, 4, 5 and 6 images
    parts = np.full(len(labels), TRAIN, np.uint8)
    rows, other = (make_splits(labels, parts, [TRAIN], num_classes=100, seed=s, keep_small=True) for s in (0, 1))
    assert np.array_equal(np.sort(np.concatenate([rows[name] for name in SPLIT_NAMES])), np.arange(len(labels)))
    counts = {name: np.bincount(labels[rows[name]], minlength=100) for name in SPLIT_NAMES}
    assert counts["train"].min() == 2
    small = np.bincount(labels) < 5
    for name in ("select", "rank", "test"):
        assert counts[name][~small].min() >= 1 and counts[name][small].max() == 1
        assert not counts[name][np.bincount(labels) == 2].any()
    spared = {name: int(counts[name][small].sum()) for name in ("test", "select", "rank")}
    assert sum(spared.values()) == 20 + 2 * 20 and spared["select"] == spared["rank"]
    assert spared["test"] == pytest.approx(60 * 0.2 / (0.2 + 2 * 0.15), abs=1)
    other = make_splits(
        labels, np.full(len(labels), TRAIN, np.uint8), [TRAIN], num_classes=100, seed=1, keep_small=True
    )
    assert not np.array_equal(other["rank"], rows["rank"])


def test_they_are_refused_unless_kept(tmp_path: Path) -> None:
    source = str(image_set(tmp_path / "set.npz"))
    with pytest.raises(DataError, match="keep classes of 2 images or more by --keep-small-classes"):
        open_data(DataConfig(source=source, cache_dir=str(tmp_path / "cache")))
    kept = open_data(DataConfig(source=source, cache_dir=str(tmp_path / "cache"), keep_small_classes=True))
    assert len(kept.classes) == CLASSES and min(kept.counts["train"]) == 2
    assert any("of 210 classes" in each.lower() and "none in rank" in each for each in kept.remarks)
    alone = str(image_set(tmp_path / "alone.npz", lambda label: 1 if label == 7 else 6))
    with pytest.raises(DataError, match=r"7 \(1\). Every class needs at least 2 to train on"):
        open_data(DataConfig(source=alone, cache_dir=str(tmp_path / "cache"), keep_small_classes=True))


def test_classes_that_val_or_test_lacks_are_kept_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, counts in {"train": (8, 2, 3), "val": (3, 1, 0), "test": (4, 0, 1)}.items():
        for label, count in enumerate(counts):
            folder = tmp_path / "data" / part / f"c{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    config = DataConfig(source=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="or take them as they are by --keep-small-classes"):
        open_data(config)
    counts = open_data(config.model_copy(update={"keep_small_classes": True})).counts
    assert (counts["train"], counts["test"]) == ([8, 2, 3], [4, 0, 1])
    assert np.add(counts["select"], counts["rank"]).tolist() == [3, 1, 0]


def test_a_search_over_hundreds_of_classes(tmp_path: Path) -> None:
    source = image_set(tmp_path / "set.npz")
    search = ["search", "--space", "vgg", "--max-params", "20k", "--data", str(source), "--keep-small-classes",
              "--trials", "1", "--epochs", "1", "--confirm", "0", "--workers", "1", "--no-report",
              "--run", "many"]  # fmt: skip
    said = told(tmp_path, *search)
    assert "nearest neighbour on pixels" in said and "210 have none" not in said
    document = json.loads(told(tmp_path, "evaluate", "many", "--json"))
    assert document["confusion"] is None
    cells = np.array(document["cells"])
    assert cells[:, 2].sum() == document["images"] and cells[:, 2].min() > 0 and cells[:, :2].max() < CLASSES
    right = cells[cells[:, 0] == cells[:, 1]][:, 2].sum()
    assert right / document["images"] == pytest.approx(document["figures"]["accuracy"])
    message = refused(tmp_path, "evaluate", "many", "--picture", "c.png")
    assert "The confusion matrix of 210 classes is too large to draw" in message


def test_many_classes_are_compared_with_neighbours_alone() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(MOST_CLASSES + 1), 3)
    images = (labels[:, None, None, None] + rng.normal(0, 0.01, (len(labels), 1, 8, 8))) / MOST_CLASSES
    images = np.clip(images, 0, 1)
    scores = classical_scores((images, labels), (images, labels), (images, labels), MOST_CLASSES + 1)
    assert [method.name for method in scores.methods] == [NEAREST] and scores.test["accuracy"] == 1


def test_a_card_has_the_ends_of_the_classes() -> None:
    recalls = [float(label / CLASSES) for label in range(CLASSES)]
    table = recall_table([f"c{label}" for label in range(CLASSES)], {"test": {"recall_by_class": recalls}})
    assert table.startswith("The 50 best and the 50 worst of 210 classes by `test`; model.json has all.")
    rows = [line for line in table.splitlines() if line.startswith("| c")][1:]
    assert len(rows) == 100 and rows[0].startswith("| c209 |") and rows[-1].startswith("| c0 |")


def test_groups_of_rank_and_test_identities_are_told_apart() -> None:
    rank, test = HELD
    parts = np.array([TRAIN, TRAIN, rank, test, rank, rank, TRAIN, test], np.uint8)
    assert in_several(np.array([0, 0, 1, 1, 2, 2, 3, 3]), parts).tolist() == [1, 3]
