"""Every oversampler, what each makes, and its cache under several processes; promises: ``nas.testing.oversamplers``."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.data import Split
from nas.data.oversampling import OVERSAMPLERS, Synthetic, oversample, register_oversampler
from nas.data.oversampling.registry import Oversampler
from nas.errors import DataError, UsageError
from nas.testing.oversamplers import LONG_TAIL as COUNTS
from nas.testing.oversamplers import added, check_form, check_oversampler, digits, split_of, total

ADDING = [name for name in OVERSAMPLERS if name != "none"]
KEPT = [name for name in ADDING if name != "random"]  # on disk


LONG_TAIL = digits(COUNTS)


def made_by(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Synthetic:
    return added(OVERSAMPLERS[name], images, labels)


@pytest.mark.parametrize("name", ADDING)
def test_keeps_its_promises(name: str) -> None:
    check_oversampler(OVERSAMPLERS[name])


def test_none_adds_nothing_of_the_right_form() -> None:
    check_form(OVERSAMPLERS["none"])
    assert len(made_by("none", *LONG_TAIL).labels) == 0


@pytest.mark.parametrize("name", ["smote", "borderline-smote"])
def test_every_synthetic_image_lies_between_two_of_its_class(name: str) -> None:
    images, labels = LONG_TAIL
    made = made_by(name, images, labels)
    for label in (1, 5, 9):
        own = images[labels == label].reshape(-1, 64).astype(float)
        for image in made.images[made.labels == label][:20].reshape(-1, 64).astype(float):
            assert distance_to_segments(image, own) <= 0.5 * 64**0.5  # rounding to uint8


def distance_to_segments(point: NDArray[np.float64], ends: NDArray[np.float64]) -> float:
    start, direction = ends[:, None], ends[None] - ends[:, None]
    length = np.maximum((direction**2).sum(-1), 1e-9)
    along = np.clip(((point - start) * direction).sum(-1) / length, 0, 1)
    return float(np.linalg.norm(point - start - along[..., None] * direction, axis=-1).min())


@pytest.mark.parametrize("name", ["smote", "borderline-smote"])
def test_tiny_classes_use_fewer_neighbours_or_copies_and_say_so(name: str) -> None:
    images, labels = digits([60, 40, 4, 2, 1])
    made = made_by(name, images, labels)
    assert total(labels, made) == [60] * 5
    text = "\n".join(made.warnings)
    assert f"{name}: class 2 has 4 training images, so 3 of 5 neighbours" in text
    assert "class 3 has 2 training images, so 1 of 5 neighbours" in text
    assert "class 4 has one training image, so copies are added instead: 59" in text
    only = images[labels == 4][0]
    assert all((image == only).all() for image in made.images[made.labels == 4])


def test_a_class_far_from_all_others_is_copied_with_a_warning() -> None:
    images, labels = digits([60, 40, 20])
    images[labels == 2] = 255 - images[labels == 2] // 4  # bright: no neighbour is of another class
    made = made_by("borderline-smote", images, labels)
    assert total(labels, made) == [60] * 3
    assert any("class 2 has no image at the border" in warning for warning in made.warnings)
    originals = {image.tobytes() for image in images[labels == 2]}
    assert {image.tobytes() for image in made.images[made.labels == 2]} <= originals


def test_random_copies_are_distributed_evenly_and_take_no_memory() -> None:
    images, labels = digits([30, 12])
    split = split_of(images, labels)
    made = OVERSAMPLERS["random"](split)
    assert isinstance(made, Synthetic) and made.rows is not None
    assert made.images is split.stored
    rows, times = np.unique(made.rows, return_counts=True)
    assert set(rows) == set(split.rows[labels == 1])
    assert sorted(times) == [1] * 6 + [2] * 6


@pytest.mark.parametrize("name", KEPT)
def test_cache_is_used_and_keyed(name: str, tmp_path: Path) -> None:
    split = split_of(*digits([30, 12, 1]))
    first = oversample(name, split, cache=tmp_path / "new", key="a")

    def fails(_: Split) -> Iterator[Synthetic]:
        yield pytest.fail("made again")

    with OVERSAMPLERS.replaced(name, fails):
        again = oversample(name, split, cache=tmp_path / "new", key="a")
        np.testing.assert_array_equal(first.images, again.images)
        np.testing.assert_array_equal(first.labels, again.labels)
        assert again.warnings == first.warnings
        again.images[:] = 0  # as torch might: it reaches neither the file nor the next reader
        assert oversample(name, split, cache=tmp_path / "new", key="a").images.any()
        with pytest.raises(pytest.fail.Exception, match="made again"):
            oversample(name, split, cache=tmp_path / "new", key="b")


def test_what_is_read_is_a_map_of_what_was_made(tmp_path: Path) -> None:
    read = oversample("borderline-smote", split_of(*LONG_TAIL), cache=tmp_path, key="a")
    made = made_by("borderline-smote", *LONG_TAIL)
    np.testing.assert_array_equal(read.images, made.images)
    np.testing.assert_array_equal(read.labels, made.labels)
    assert read.warnings == made.warnings != ()
    assert isinstance(read.images.base, np.memmap)


def test_reading_what_was_made_loads_none_of_the_libraries_that_made_it(tmp_path: Path) -> None:
    """They take seconds to import, in every worker of every later search on the data."""
    images, labels = digits([30, 12])
    np.savez(tmp_path / "split.npz", images=images, labels=labels)
    for name in KEPT:
        oversample(name, Split(images, np.arange(42), labels), cache=tmp_path, key="a")
    code = f"""
import sys, numpy as np, pathlib
from nas.data import Split
from nas.data.oversampling import oversample
stored = np.load("split.npz")
split = Split(stored["images"], np.arange(42), stored["labels"])
for name in {KEPT}:
    assert len(oversample(name, split, cache=pathlib.Path(), key="a").labels) == 18
print({{"imblearn", "sklearn", "scipy", "torch"}} & sys.modules.keys())
"""
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("oversampled/sets/*/images.npy")
    return path


@pytest.mark.parametrize("content", [b"", b"not an array", None])
def test_a_broken_cache_file_is_replaced(tmp_path: Path, content: bytes | None) -> None:
    split = split_of(*digits([30, 12]))
    first = oversample("borderline-smote", split, cache=tmp_path, key="a").images.copy()
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    np.testing.assert_array_equal(oversample("borderline-smote", split, cache=tmp_path, key="a").images, first)
    assert only_file(tmp_path) == path


def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    split = split_of(*digits([30, 12]))
    whole: Oversampler = OVERSAMPLERS["augment"]

    def fails(split: Split) -> Iterator[Synthetic]:
        yield from whole(split)  # type: ignore[misc]
        raise MemoryError

    with OVERSAMPLERS.replaced("augment", fails), pytest.raises(MemoryError):
        oversample("augment", split, cache=tmp_path, key="a")
    assert not list(tmp_path.glob("oversampled/sets/*"))
    assert len(oversample("augment", split, cache=tmp_path, key="a").labels) == 18


def _oversample_many(folder: str) -> tuple[int, int]:
    """Sum of all pixels, and how often this process made what it returned."""
    original, times = OVERSAMPLERS["borderline-smote"], 0

    def counted(split: Split) -> Iterator[Synthetic]:
        nonlocal times
        times += 1
        yield from original(split)  # type: ignore[misc]

    split = split_of(*digits([30, 12]))
    with OVERSAMPLERS.replaced("borderline-smote", counted):
        made = [oversample("borderline-smote", split, cache=Path(folder), key=str(i)) for i in range(10)]
    return sum(int(one.images.sum()) for one in made), times


def test_processes_fill_one_cache_together_each_set_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        (first, made), (second, made_too) = pool.map(_oversample_many, [str(tmp_path)] * 2, chunksize=1)
    assert made + made_too == 10
    assert first == second > 0
    assert len(list(tmp_path.glob("oversampled/sets/*"))) == 10  # and nothing temporary
    assert len(list(tmp_path.glob("oversampled/sets/.tmp*"))) == 0


def test_none_writes_nothing(tmp_path: Path) -> None:
    made = oversample("none", split_of(*LONG_TAIL), cache=tmp_path, key="a")
    assert len(made.images) == len(made.labels) == 0
    assert not list(tmp_path.iterdir())


def test_unknown_and_duplicate_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'borderline-smote'"):
        oversample("borderlinesmote", split_of(*LONG_TAIL), cache=tmp_path, key="a")
    with pytest.raises(ValueError, match="exists already"):
        register_oversampler("none")(OVERSAMPLERS["none"])


@pytest.mark.parametrize("name", ADDING)
def test_a_single_class_is_refused_with_what_to_type(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"all 30 training images are of class 0\. Use --oversample none"):
        oversample(name, split_of(*digits([30])), cache=tmp_path, key="a")


def test_a_disk_without_room_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = digits([30, 12])
    split = Split(np.broadcast_to(images[:1], (1 << 40, *images.shape[1:])), np.arange(42), labels)
    huge = Split(np.broadcast_to(np.zeros(1, np.uint8), (42, 1, 1 << 24, 1 << 24)), np.arange(42), labels)
    assert len(oversample("smote", split, cache=tmp_path, key="a").labels) == 18
    with pytest.raises(UsageError, match=r"smote would add 5,066,549,581 MB .* or use --oversample random"):
        oversample("smote", huge, cache=tmp_path, key="b")
    assert len(oversample("random", huge, cache=tmp_path, key="b").labels) == 18


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "oversampled").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        oversample("smote", split_of(*digits([30, 12])), cache=tmp_path, key="a")
