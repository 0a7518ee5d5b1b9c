"""Splits too large for imbalanced-learn: the same images in pieces, and neighbours found in part of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from nas.data import Split
from nas.data.oversampling import M_NEIGHBORS, OVERSAMPLERS, Synthetic, neighbors, oversample, registry, smote

COUNTS = [170, 150, 120, 100, 80, 40, 30, 20, 12, 4]


@pytest.fixture(scope="module")
def split() -> Split:
    """Long-tailed digits, among rows that are not the split's."""
    bunch = load_digits()
    rows = np.concatenate([np.flatnonzero(bunch.target == digit)[:count] for digit, count in enumerate(COUNTS)])
    rows = np.sort(rows)
    images = np.rint(bunch.images / 16 * 255).astype(np.uint8)[:, None]
    return Split(images, rows, bunch.target[rows].astype(np.int64))


@pytest.fixture
def by_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the split were large: without imbalanced-learn, a few images at a time."""
    monkeypatch.setattr(smote, "LIBRARY_BYTES", 0)
    monkeypatch.setattr(neighbors, "CHUNK_BYTES", 64 * 100)
    monkeypatch.setattr(registry, "PIECE_BYTES", 64 * 30)


def pieces_of(name: str, split: Split) -> list[Synthetic]:
    return list(OVERSAMPLERS[name](split))  # type: ignore[arg-type]


def joined(pieces: list[Synthetic]) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    warnings = tuple(warning for piece in pieces for warning in piece.warnings)
    return np.concatenate([p.images for p in pieces]), np.concatenate([p.labels for p in pieces]), warnings


@pytest.mark.parametrize("name", ["smote", "borderline-smote"])
def test_pieces_are_what_imbalanced_learn_makes(name: str, split: Split, request: pytest.FixtureRequest) -> None:
    whole = pieces_of(name, split)
    request.getfixturevalue("by_pieces")
    many = pieces_of(name, split)
    assert len(many) > len(whole)
    for one, other in zip(joined(whole), joined(many), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_images_are_in_danger_as_in_imbalanced_learn(split: Split, by_pieces: None) -> None:
    from imblearn.over_sampling import BorderlineSMOTE

    method = BorderlineSMOTE(random_state=0, k_neighbors=3)
    method.fit_resample(neighbors.as_floats(split, np.arange(len(split.labels))), split.labels)
    expected = np.sort(np.concatenate(list(method.in_danger_indices.values())))
    np.testing.assert_array_equal(np.flatnonzero(smote.in_danger(split, list(range(1, 10)))), expected)
    assert len(expected) > 10


def test_exact_neighbours_in_chunks_are_those_of_float64(split: Split, by_pieces: None) -> None:
    everything = np.arange(len(split.labels))
    pixels = neighbors.as_floats(split, everything).astype(np.float64)
    distances = np.square(pixels[:, None] - pixels[None]).sum(-1)
    found = neighbors.nearest(split, everything, everything, 6)
    np.testing.assert_array_equal(np.take_along_axis(distances, found, 1), np.sort(distances, 1)[:, :6])
    np.testing.assert_array_equal(found[:, 0], everything)


def test_neighbours_in_cells_are_mostly_the_exact_ones(
    split: Split, by_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = np.arange(len(split.labels))
    asked = everything[split.labels > 0]
    exact = neighbors.nearest_of_all(split, asked, M_NEIGHBORS + 1)
    for name, value in {"EXACT_IMAGES": 100, "CELL_IMAGES": 40, "SEARCHED_IMAGES": 250}.items():
        monkeypatch.setattr(neighbors, name, value)
    found = neighbors.nearest_of_all(split, asked, M_NEIGHBORS + 1)
    np.testing.assert_array_equal(found, neighbors.nearest_of_all(split, asked, M_NEIGHBORS + 1))
    np.testing.assert_array_equal(found[:, 0], asked)  # itself first
    shared = [len(np.intersect1d(one, other)) / (M_NEIGHBORS + 1) for one, other in zip(exact, found, strict=True)]
    assert 0.9 < np.mean(shared) < 1


def test_a_large_split_is_made_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array that numpy makes is counted, by tracemalloc: less than twice the data, which are on disk."""
    import tracemalloc

    monkeypatch.setattr(smote, "LIBRARY_BYTES", 0)
    for module, name, value in (
        (neighbors, "EXACT_IMAGES", 1_000), (neighbors, "SEARCHED_IMAGES", 1_500), (neighbors, "CELL_IMAGES", 200),
        (neighbors, "CHUNK_BYTES", 1 << 17), (registry, "PIECE_BYTES", 1 << 16),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), np.linspace(2_000, 100, 10).astype(int))
    middle = rng.integers(0, 200, (10, 1, 16, 16))
    np.save(tmp_path / "images.npy", (middle[labels] + rng.integers(0, 56, (len(labels), 1, 16, 16))).astype(np.uint8))
    large = Split(np.load(tmp_path / "images.npy", mmap_mode="c"), np.arange(len(labels)), labels)
    for name in ("smote", "borderline-smote"):
        oversample(name, large, cache=tmp_path, key="imports")  # so that they are not counted
        tracemalloc.start()
        made = oversample(name, large, cache=tmp_path, key="counted")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(made.labels) == 20_000 - len(labels)
        assert peak < 2 * large.stored.nbytes, f"{name}: {peak / large.stored.nbytes:.2f} times the data"
