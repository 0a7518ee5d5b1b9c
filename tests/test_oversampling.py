"""Every oversampler on real and on awkward training splits, and its cache under several processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from nas.errors import UsageError
from nas.oversampling import OVERSAMPLERS, Synthetic, borderline_smote, oversample, register_oversampler

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


def digits(counts: list[int]) -> Split:
    """The first images of each digit, as many as ``counts`` says, in random order."""
    bunch = load_digits()
    rows = np.concatenate([np.flatnonzero(bunch.target == digit)[:n] for digit, n in enumerate(counts)])
    rows = np.random.default_rng(0).permutation(rows)
    images = np.rint(bunch.images[rows] / 16 * 255).astype(np.uint8)[:, None]
    return images, bunch.target[rows].astype(np.int64)


LONG_TAIL = digits([100, 73, 52, 37, 26, 19, 13, 9, 7, 5])


@pytest.mark.parametrize("name", OVERSAMPLERS)
def test_result_is_uint8_deterministic_and_leaves_its_input_alone(name: str) -> None:
    images, labels = LONG_TAIL
    before = images.copy(), labels.copy()
    first, second = (OVERSAMPLERS[name](images, labels) for _ in range(2))
    assert first.images.dtype == np.uint8 and first.labels.dtype == np.int64
    assert first.images.shape == (len(first.labels), *images.shape[1:])
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(labels, before[1])


def total(labels: NDArray[np.int64], made: Synthetic) -> list[int]:
    return np.bincount(np.concatenate([labels, made.labels])).tolist()


def test_borderline_smote_evens_out_every_class() -> None:
    images, labels = LONG_TAIL
    made = borderline_smote(images, labels)
    assert total(labels, made) == [100] * 10
    assert not (made.labels == 0).any()  # the majority gets nothing


def test_every_synthetic_image_lies_between_two_of_its_class() -> None:
    images, labels = LONG_TAIL
    made = borderline_smote(images, labels)
    for label in (1, 5, 9):
        own = images[labels == label].reshape(-1, 64).astype(float)
        for image in made.images[made.labels == label][:20].reshape(-1, 64).astype(float):
            assert distance_to_segments(image, own) <= 0.5 * 64**0.5  # rounding to uint8


def distance_to_segments(point: NDArray[np.float64], ends: NDArray[np.float64]) -> float:
    start, direction = ends[:, None], ends[None] - ends[:, None]
    length = np.maximum((direction**2).sum(-1), 1e-9)
    along = np.clip(((point - start) * direction).sum(-1) / length, 0, 1)
    return float(np.linalg.norm(point - start - along[..., None] * direction, axis=-1).min())


def test_tiny_classes_use_fewer_neighbours_or_copies_and_say_so() -> None:
    images, labels = digits([60, 40, 4, 2, 1])
    made = borderline_smote(images, labels)
    assert total(labels, made) == [60] * 5
    text = "\n".join(made.warnings)
    assert "class 2 has 4 training images, so 3 of 5 neighbours" in text
    assert "class 3 has 2 training images, so 1 of 5 neighbours" in text
    assert "class 4 has one training image, so 59 copies fill it" in text
    only = images[labels == 4][0]
    assert all((image == only).all() for image in made.images[made.labels == 4])


def test_a_class_far_from_all_others_is_copied_with_a_warning() -> None:
    images, labels = digits([60, 40, 20])
    images[labels == 2] = 255 - images[labels == 2] // 4  # bright: no neighbour is of another class
    made = borderline_smote(images, labels)
    assert total(labels, made) == [60] * 3
    assert any("class 2 has no image at the border" in warning for warning in made.warnings)
    originals = {image.tobytes() for image in images[labels == 2]}
    assert {image.tobytes() for image in made.images[made.labels == 2]} <= originals


@pytest.mark.parametrize("counts", [[30, 30, 30], [2, 1], [1, 1], [3, 2, 0, 1]])
def test_balanced_and_minute_splits(counts: list[int]) -> None:
    images, labels = digits(counts)
    made = borderline_smote(images, labels)
    assert total(labels, made) == [max(counts) if count else 0 for count in counts]


def test_colour_images_keep_their_shape() -> None:
    images, labels = digits([30, 12])
    colour = np.concatenate([images, 255 - images, images // 2], axis=1)
    assert borderline_smote(colour, labels).images.shape == (18, 3, 8, 8)


def test_cache_is_used_and_keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits([30, 12, 1])
    first = oversample("borderline-smote", images, labels, cache=tmp_path / "new", key="a")
    monkeypatch.setitem(OVERSAMPLERS, "borderline-smote", lambda *_: pytest.fail("made again"))
    again = oversample("borderline-smote", images, labels, cache=tmp_path / "new", key="a")
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert again.warnings == first.warnings != ()
    with pytest.raises(pytest.fail.Exception, match="made again"):
        oversample("borderline-smote", images, labels, cache=tmp_path / "new", key="b")


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut short"])
def test_a_broken_cache_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    images, labels = digits([30, 12])
    first = oversample("borderline-smote", images, labels, cache=tmp_path, key="a")
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    np.testing.assert_array_equal(
        oversample("borderline-smote", images, labels, cache=tmp_path, key="a").images, first.images
    )
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_size > len(content)


def _oversample_many(folder: str) -> int:
    images, labels = digits([30, 12])
    made = [oversample("borderline-smote", images, labels, cache=Path(folder), key=str(i)) for i in range(10)]
    return sum(int(one.images.sum()) for one in made)


def test_processes_fill_one_cache_together(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.map(_oversample_many, [str(tmp_path)] * 2)
    assert sums[0] == sums[1] == _oversample_many(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 10  # and nothing temporary


def test_none_writes_nothing(tmp_path: Path) -> None:
    made = oversample("none", *LONG_TAIL, cache=tmp_path, key="a")
    assert len(made.images) == len(made.labels) == 0
    assert not list(tmp_path.iterdir())


def test_unknown_and_duplicate_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'borderline-smote'"):
        oversample("borderlinesmote", *LONG_TAIL, cache=tmp_path, key="a")
    with pytest.raises(ValueError, match="exists already"):
        register_oversampler("none")(OVERSAMPLERS["none"])
