"""Images that occur more than once: found by content, kept together, named, and refused where they would mislead."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from nas.data import DataConfig, describe_data, open_data
from nas.data.copies import joined
from nas.data.dataset import SPLIT_NAMES
from nas.data.duplicates import identical_groups, near_duplicates
from nas.data.sources.base import TEST, TRAIN, VAL
from nas.data.splits import least_images, make_splits
from nas.errors import DataError

Images = npt.NDArray[np.uint8]


def scenes(count: int, side: int = 24, seed: int = 0) -> Images:
    """Smooth random colour images (N, H, W, 3), no two alike."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in small])


def write(path: Path, train: Images, labels: list[int], test: Images | None = None, of: list[int] | None = None) -> str:
    own = {} if test is None or of is None else {"test_images": test, "test_labels": np.array(of)}
    np.savez(path, images=train, labels=np.array(labels), **own)
    return str(path)


def config(tmp_path: Path, source: str, **changes: bool) -> DataConfig:
    return DataConfig(source=source, cache_dir=str(tmp_path / "cache"), **changes)


def test_equal_pixels_are_found_and_nothing_else(tmp_path: Path) -> None:
    images = scenes(12).transpose(0, 3, 1, 2)
    almost = images[[3]] + np.uint8(1)
    everything = np.concatenate([images, images[[5, 0, 5]], almost])
    groups = identical_groups(tmp_path, everything)
    assert groups.tolist() == [*range(12), 5, 0, 5, 15]
    assert identical_groups(tmp_path, np.zeros_like(everything)).tolist() == groups.tolist()  # from the file
    assert identical_groups(tmp_path, images[:1]).tolist() == [0]  # which is not of these
    (file,) = tmp_path.glob("identical-*.npy")
    file.write_bytes(b"damaged")
    assert identical_groups(tmp_path, images).tolist() == list(range(12))


def changed(image: Images, how: int) -> Images:
    """The same picture, stored in another way."""
    picture = Image.fromarray(image)
    if how == 0:
        picture.save(file := io.BytesIO(), "JPEG", quality=70)
        picture = Image.open(file)
    elif how == 1:
        picture = picture.point([round(0.8 * value + 20) for value in range(256)] * 3)
    else:
        picture = picture.resize((31, 31), Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BILINEAR)
    return np.asarray(picture)


def test_copies_stored_in_another_way_are_found(tmp_path: Path) -> None:
    images = scenes(300)
    copies = np.stack([changed(images[row], row % 3) for row in range(30)])
    every = np.concatenate([images, copies, images[[7]]]).transpose(0, 3, 1, 2)
    groups = identical_groups(tmp_path, every)
    assert near_duplicates(tmp_path, every, groups).tolist() == [[row, 300 + row] for row in range(30)]


@pytest.mark.parametrize("side", [8, 16])
def test_characters_that_look_alike_are_no_copies(tmp_path: Path, side: int) -> None:
    digits = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    large = np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in digits])[:, None]
    assert not len(near_duplicates(tmp_path, large, np.arange(len(large))))


def test_blank_images_and_tiny_sets_are_no_near_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    blank = rng.integers(120, 124, (40, 1, 12, 12), dtype=np.uint8)  # noise about a grey
    assert not len(near_duplicates(tmp_path / "a", blank, np.arange(40)))
    assert not len(near_duplicates(tmp_path / "b", blank[:3], np.arange(3)))


@st.composite
def sources_with_copies(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int], int]:
    """Labels, parts, groups, own parts, number of classes; each class has just enough different images or more."""
    own = draw(st.sampled_from([[TRAIN], [TRAIN, TEST], [TRAIN, VAL], [TRAIN, VAL, TEST]]))
    num_classes = draw(st.integers(2, 5))
    labels, parts, groups = [], [], []
    for part, least in least_images(own).items():
        for label in range(num_classes):
            for _ in range(draw(st.integers(least, least + 20))):
                times = draw(st.sampled_from([1, 1, 1, 2, 5]))
                groups += [len(groups)] * times
                labels += [label] * times
                parts += [part] * times
        if part != TEST and draw(st.booleans()):  # an image in two classes
            groups += [len(groups)] * 2
            labels += [0, 1]
            parts += [part] * 2
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))
    return np.array(labels)[order], np.array(parts, np.uint8)[order], np.array(groups)[order], own, num_classes


@given(sources_with_copies())
def test_copies_are_never_torn_apart(made: tuple[np.ndarray, np.ndarray, np.ndarray, list[int], int]) -> None:
    labels, parts, groups, own, num_classes = made
    rows = make_splits(labels, parts, own, num_classes=num_classes, seed=0, copies=groups)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(labels)))
    for name, chosen in rows.items():
        others = np.setdiff1d(np.arange(len(labels)), chosen)
        assert not np.isin(groups[chosen], groups[others]).any()
        counts = np.bincount(labels[chosen], minlength=num_classes)
        assert counts.min() >= (2 if name == "train" else 1)


def test_splits_without_copies_do_not_change_and_a_few_copies_change_no_size() -> None:
    labels, parts = np.arange(600) % 4, np.zeros(600, np.uint8)
    plain = make_splits(labels, parts, [TRAIN], num_classes=4, seed=3)
    alone = make_splits(labels, parts, [TRAIN], num_classes=4, seed=3, copies=np.arange(600)[::-1])
    assert all((plain[name] == alone[name]).all() for name in plain)
    groups = np.arange(600)
    groups[400:440] = groups[:40]
    few = make_splits(labels, parts, [TRAIN], num_classes=4, seed=3, copies=groups)
    sizes = {name: np.bincount(labels[rows]).tolist() for name, rows in plain.items()}
    assert {name: np.bincount(labels[rows]).tolist() for name, rows in few.items()} == sizes
    assert set(range(40)) | set(range(400, 440)) <= set(few["train"])


def test_groups_are_joined_where_they_share_an_image() -> None:
    patients, copies = np.array([1, 1, 2, 2, 3, 4, 5]), np.array([0, 1, 1, 3, 4, 5, 4])
    assert joined(patients, copies).tolist() == [0, 0, 0, 0, 4, 5, 4]
    assert joined(copies, np.arange(7)).tolist() == [0, 1, 1, 3, 4, 5, 4]


def test_copies_in_the_programs_own_splits_stay_in_one_and_nothing_is_refused(tmp_path: Path) -> None:
    images = scenes(40)
    source = write(
        tmp_path / "a.npz", np.concatenate([images, images[:6]]), [row % 2 for row in [*range(40), *range(6)]]
    )
    data = open_data(config(tmp_path, source))
    pixels = {name: {image.tobytes() for image in data.split(name).images} for name in SPLIT_NAMES}
    assert sum(map(len, pixels.values())) == 40  # none in two splits
    assert any("6 images repeated pixel by pixel" in note for note in data.remarks)
    other = open_data(config(tmp_path, write(tmp_path / "b.npz", images, [row % 2 for row in range(40)])))
    assert not any("repeated" in note for note in other.remarks)
    report = describe_data(config(tmp_path, source))
    assert [pair.names for pair in report.duplicates.identical] == [(f"image {i}", f"image {40 + i}") for i in range(6)]
    assert not report.errors and {pair.splits for pair in report.duplicates.identical} == {("train", "train")}


def test_copies_in_the_sets_own_test_part_are_refused_unless_allowed(tmp_path: Path) -> None:
    train, test = scenes(24), scenes(8, seed=1)
    test[2], test[5] = train[4], train[9]
    source = write(tmp_path / "a.npz", train, [i % 2 for i in range(24)], test, [i % 2 for i in range(8)])
    with pytest.raises(DataError) as caught:
        open_data(config(tmp_path, source))
    (error,) = caught.value.messages
    assert error.startswith("Identical images in train and test, 2 of them: image 4 = image 26, image 9 = image 29.")
    assert "--allow-duplicates" in error
    report = describe_data(config(tmp_path, source))
    assert report.errors == (error,) and report.splits["test"] == [4, 4]
    assert {pair.parts for pair in report.duplicates.identical} == {("train", "test")}
    allowed = open_data(config(tmp_path, source, allow_duplicates=True))
    assert sum(allowed.counts["test"]) == 8
    assert not any("repeated" in note for note in allowed.remarks)  # no part holds an image twice


def test_one_image_in_two_classes_is_refused_unless_allowed(tmp_path: Path) -> None:
    images = scenes(30)
    images[17] = images[4]
    source = write(tmp_path / "a.npz", images, [i % 2 for i in range(30)])
    with pytest.raises(DataError, match=r"Identical images in two classes, 1 of them: image 4 = image 17\..*--allow"):
        open_data(config(tmp_path, source))
    allowed = open_data(config(tmp_path, source, allow_duplicates=True))
    assert {4, 17} <= set(allowed.rows["train"].tolist())  # not judged by what cannot be right twice


def test_too_few_different_images(tmp_path: Path) -> None:
    images = scenes(20)
    images[[4, 6, 8, 10, 12, 14, 16, 18]] = images[2]  # of the first class 0 and 2 differ
    source = write(tmp_path / "a.npz", images, [i % 2 for i in range(20)])
    with pytest.raises(DataError, match=r"Too few different images of: 0 \(2\).*--allow-duplicates"):
        open_data(config(tmp_path, source))
    assert sum(open_data(config(tmp_path, source, allow_duplicates=True)).counts["rank"]) >= 2


def test_the_bundled_digits_have_none(tmp_path: Path) -> None:
    report = describe_data(config(tmp_path, "digits"))
    assert not report.errors and not report.duplicates.identical and not report.duplicates.similar
    assert not report.remarks


def test_few_images_to_rank_by_are_told(tmp_path: Path) -> None:
    source = write(tmp_path / "a.npz", scenes(220), [0] * 200 + [1] * 20)
    (note,) = describe_data(config(tmp_path, source)).remarks
    assert note.startswith(
        "Trials are ranked on 2 images of 1: a single image changes the recall of that class by 50 points"
    )
