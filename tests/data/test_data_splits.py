"""Splits: disjoint, complete, stratified, the same every time, with every class in each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from nas.data import DataConfig, open_data
from nas.data.dataset import SPLIT_NAMES
from nas.data.sources.base import TEST, TRAIN, VAL
from nas.data.splits import least_images, long_tail, make_splits

CIFAR_LONG_TAIL = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]  # the field's benchmark, factor 100


@st.composite
def sources(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int], int]:
    """Labels, parts, the source's own parts, number of classes; each class has just enough images or more."""
    own = draw(st.sampled_from([[TRAIN], [TRAIN, TEST], [TRAIN, VAL], [TRAIN, VAL, TEST]]))
    num_classes = draw(st.integers(2, 12))
    labels, parts = [], []
    for part, least in least_images(own).items():
        for label in range(num_classes):
            count = draw(st.integers(least, least + 60))
            labels += [label] * count
            parts += [part] * count
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))
    return np.array(labels)[order], np.array(parts, dtype=np.uint8)[order], own, num_classes


@given(sources(), st.integers(0, 99))
def test_disjoint_complete_and_every_class_everywhere(
    source: tuple[np.ndarray, np.ndarray, list[int], int], seed: int
) -> None:
    labels, parts, own, num_classes = source
    rows = make_splits(labels, parts, own, num_classes=num_classes, seed=seed)
    dealt = np.concatenate(list(rows.values()))
    assert sorted(dealt) == list(range(len(labels)))  # none twice, none left out
    for name, chosen in rows.items():
        counts = np.bincount(labels[chosen], minlength=num_classes)
        assert counts.min() >= (2 if name == "train" else 1)
        assert (np.diff(chosen) > 0).all()
    if TEST in own:
        assert (parts[rows["test"]] == TEST).all()
    if VAL in own:
        halves = [np.bincount(labels[rows[name]], minlength=num_classes) for name in ("select", "rank")]
        assert np.abs(halves[0] - halves[1]).max() <= 1 and abs(len(rows["select"]) - len(rows["rank"])) <= 1
        assert (parts[np.concatenate([rows["select"], rows["rank"]])] == VAL).all()
    assert (parts[rows["train"]] == TRAIN).all()
    again = make_splits(labels, parts, own, num_classes=num_classes, seed=seed)
    assert all((again[name] == rows[name]).all() for name in rows)


def test_shares_agree_with_scikit_learn() -> None:
    labels = np.repeat(np.arange(5), [400, 300, 200, 77, 23])
    parts = np.full(len(labels), TRAIN, dtype=np.uint8)
    rows = make_splits(labels, parts, [TRAIN], num_classes=5, seed=0)
    shuffle = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=0)
    _, theirs = next(shuffle.split(np.zeros(len(labels)), labels))
    assert len(rows["test"]) == 200
    assert np.abs(np.bincount(labels[rows["test"]]) - np.bincount(labels[theirs])).max() <= 1
    assert len(rows["select"]) == len(rows["rank"]) == 120  # 15 % of 800


@pytest.mark.parametrize(("count", "each"), [(9_990, 1_498), (20_000, 2_000), (100_000, 5_000)])
def test_select_and_rank_of_large_sets(count: int, each: int) -> None:
    labels = np.tile(np.arange(10), count // 10 + 100)
    parts = np.repeat(np.array([TRAIN, TEST], dtype=np.uint8), [count, 1000])
    rows = make_splits(labels, parts, [TRAIN, TEST], num_classes=10, seed=0)
    assert len(rows["select"]) == len(rows["rank"]) == each


def test_seed_changes_splits_and_small_classes_still_work() -> None:
    labels = np.repeat(np.arange(3), [5, 7, 100])
    parts = np.full(len(labels), TRAIN, dtype=np.uint8)
    first, second = (make_splits(labels, parts, [TRAIN], num_classes=3, seed=seed) for seed in (0, 1))
    assert (first["test"] != second["test"]).any()
    assert [int((labels[first[name]] == 0).sum()) for name in ("train", "select", "rank", "test")] == [
        2,
        1,
        1,
        1,
    ]


def test_long_tail_is_the_benchmark_formula() -> None:
    labels = np.repeat(np.arange(10), 5000)
    everything = np.arange(len(labels))
    for factor, total in ((100, 12_406), (50, 13_996), (10, 20_431)):
        kept = long_tail(everything, labels, num_classes=10, factor=factor, seed=0)
        assert len(kept) == total
        if factor == 100:
            assert np.bincount(labels[kept]).tolist() == CIFAR_LONG_TAIL
    milder, stronger = (long_tail(everything, labels, num_classes=10, factor=f, seed=0) for f in (10, 100))
    assert set(stronger) < set(milder)


def test_long_tail_keeps_two_and_no_more_than_there_are() -> None:
    labels = np.repeat(np.arange(3), [100, 4, 50])
    kept = long_tail(np.arange(154), labels, num_classes=3, factor=1000, seed=0)
    assert np.bincount(labels[kept]).tolist() == [100, 3, 2]


def test_digits(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = str(tmp_path_factory.getbasetemp() / "digits-cache")
    tailed = open_data(DataConfig(cache_dir=cache))
    whole = open_data(DataConfig(cache_dir=cache, imbalance=1))
    assert tailed.name == "digits" and tailed.input_shape == (1, 8, 8) and len(tailed.classes) == 10
    assert tailed.counts["train"][0] == 20 * tailed.counts["train"][9]
    assert sum(map(sum, whole.counts.values())) == 1797
    assert tailed.key != whole.key and tailed.cache_path == whole.cache_path
    for name in ("select", "rank", "test"):  # imbalance is for train alone
        assert (tailed.split(name).images == whole.split(name).images).all()
    train = tailed.split("train")
    assert train.images.dtype == np.uint8 and train.images.shape == (len(train.labels), 1, 8, 8)
    assert train.images.max() == 255 and train.images.min() == 0 and train.images.flags.c_contiguous
    assert np.bincount(train.labels).tolist() == tailed.counts["train"]
    assert train.images.flags.writeable and len(train.stored) == 1797
    stored = [tailed.split(name).stored for name in SPLIT_NAMES]
    assert all(array is stored[0] for array in stored) and isinstance(stored[0].base, np.memmap)
    other = open_data(DataConfig(cache_dir=cache, split_seed=1))
    assert other.key != tailed.key and (other.rows["test"] != tailed.rows["test"]).any()
