"""Folders that people have and that are easily misread: told, asked about, or refused with advice that holds."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import image_folders
import pytest
from image_folders import config, error_of, write
from PIL import Image

from nas.data import DataReport, describe_data, open_data
from nas.data.pixels import SUFFIXES
from nas.data.sources.base import TEST, TRAIN, VAL
from nas.data.sources.folder_names import is_unlabelled, part_and_class
from nas.data.sources.tree import PICTURES, Patterns, ignoring


def described(folder: Path, **changes: Any) -> DataReport:
    """Without the remark that there are few images to rank by."""
    report = image_folders.described(folder, **changes)
    return replace(report, remarks=tuple(each for each in report.remarks if "are ranked on" not in each))


@pytest.mark.parametrize(
    ("name", "is_so"),
    [
        ("unlabelled", True), ("Unlabeled", True), ("unlabeled2017", True), ("unsup", True), ("no_label", True),
        ("NoLabels", True), ("not-labelled", True), ("train_unlabeled", True), ("unlabeled images", True),
        ("unsorted", True), ("to_label", True),
        ("unknown", False), ("other", False), ("background", False), ("label", False), ("noise", False), ("", False),
    ],
)  # fmt: skip
def test_names_of_folders_without_a_class(name: str, is_so: bool) -> None:
    assert is_unlabelled(name) == is_so


def test_images_without_a_class_are_left_out_and_named(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "train/cat", "train/dog", "train/unsup", "test/cat", "test/dog", "Unlabelled")
    report = described(data)
    assert report.classes == ("cat", "dog") and report.num_ignored == 12
    remark = "Folders of images without a class left out: Unlabelled/ (6 files), train/unsup/ (6 files)"
    assert report.remarks[0] == f"{remark}; --match '*' takes them as classes"
    assert open_data(config(data, ignore="unlabelled,unsup")).classes == ("cat", "dog")
    flat = write(tmp_path / "flat", "cat", "unlabeled", "unknown")
    assert described(flat).classes == ("cat", "unknown")
    assert described(flat, match="*").classes == ("cat", "unknown", "unlabeled")
    message = error_of(write(tmp_path / "two", "labeled", "unlabeled"))
    assert "only one class, 'labeled'" in message and "--match '*' takes them as classes." in message


@pytest.mark.parametrize("pair", [("Cat", "cat"), ("cat ", "cat"), ("sea_lion", "sea lion"), ("x - Copy", "x"),
                                  ("cafe\u0301", "caf\u00e9")])  # fmt: skip
def test_classes_that_are_called_alike(tmp_path: Path, pair: tuple[str, str]) -> None:
    data = write(tmp_path / "data", *pair, "dog")
    assert "differ only in capitals" in (message := error_of(data)) and " and ".join(map(repr, sorted(pair))) in message
    assert len(described(data, match="*").classes) == 3


def test_letters_are_classes_in_both_cases(tmp_path: Path) -> None:
    assert described(write(tmp_path / "data", "a", "A", "b")).classes == ("A", "a", "b")


def test_other_capitals_in_another_split(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "data", "train/Cat", "train/dog", "test/cat", "test/dog"))
    assert "nearly the same name: 'Cat' in train and 'cat' in test. They differ only in capitals" in message
    assert "dog" not in message


@pytest.mark.parametrize(
    ("word", "layout"),
    [
        *((word, "{}") for word in ("annotations", "segmentation", "labels", "gt", "ground_truth", "bbox", "trimaps")),
        *(("Masks", layout) for layout in ("{}", "train/{}", "cat/{} dog/{}", "{}/cat {}/dog")),
        ("labels", "cat/{} dog/{}"), ("image_masks", "cat/{} dog/{}"),
    ],
)  # fmt: skip
def test_folders_of_masks_beside_those_of_images(tmp_path: Path, word: str, layout: str) -> None:
    names = [name.format(kind) for name in layout.split() for kind in ("images", word)]
    data = write(tmp_path / "data", *names, *(["test/images"] if "train" in layout else []), count=1)
    assert f"The folder {word} seems to hold masks" in (message := error_of(data)) and f"--ignore {word};" in message
    if " " in layout:
        assert describe_data(config(data, ignore=word)).found == {"all": [1, 1]}


def test_masks_by_the_names_of_folders_and_files(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs", "cat", "cat_masks", "dog", "dog_masks")
    assert "The folders cat_masks, dog_masks seem" in error_of(pairs)
    voc = write(tmp_path / "voc", "JPEGImages", "SegmentationClass", count=1)
    assert "--ignore SegmentationClass" in error_of(voc)
    same = write(tmp_path / "same", "good", "bad")
    (same / "my mask").mkdir()
    for path in (same / "good").iterdir():
        (same / "my mask" / f"{path.stem}_mask.png").write_bytes(path.read_bytes())
    assert "--ignore 'my mask'" in error_of(same)


@pytest.mark.parametrize(
    "classes",
    [("mask", "no_mask"), ("mask_worn_badly", "with_mask", "without_mask"), ("apple", "gas mask"), ("boxes", "cans")],
)
def test_classes_called_as_masks_are(tmp_path: Path, classes: tuple[str, ...]) -> None:
    assert described(write(tmp_path / "data", *classes)).classes == classes


def test_hidden_folders_are_counted_and_named(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "cat", "dog", ".cache/x", "__MACOSX", "cat/.thumbnails", "cat/@eaDir/0.png")
    for name in (".DS_Store", "cat/Thumbs.db", "cat/._cat_0.png", "__MACOSX/._a.png"):
        (data / name).write_bytes(b"x")
    (data / "dog" / ".old.png").write_bytes((data / "dog" / "dog_0.png").read_bytes())
    report = described(data)
    assert report.found == {"all": [6, 6]} and report.num_ignored == 25
    shown = ".cache (6 images), __MACOSX (6 images), cat/.thumbnails (6 images), cat/@eaDir (6 images)"
    assert report.remarks == (f"Hidden files and folders left out: {shown}, dog/.old.png (1 image)",)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("train_cat", (TRAIN, "cat", True)), ("Test-big dog", (TEST, "big dog", True)),
        ("cat_val", (VAL, "cat", False)), ("sea_lion_test", (TEST, "sea_lion", False)),
        ("train_images", None), ("train_1", None), ("train_test", None), ("cat", None), ("training", None),
    ],
)  # fmt: skip
def test_split_and_class_in_one_name(name: str, told: tuple[int, str, bool] | None) -> None:
    assert part_and_class(name) == told


@pytest.mark.parametrize("name", ["{part}_{class_name}", "{class_name}-{part}", "set/{part}_{class_name}"])
def test_folders_whose_names_say_split_and_class(tmp_path: Path, name: str) -> None:
    pairs = [("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")]
    data = write(tmp_path / "data", *(name.format(part=part, class_name=each) for part, each in pairs))
    report = described(data)
    assert report.classes == ("cat", "dog") and report.found == {"train": [6, 6], "test": [6, 6]}
    assert report.remarks[0].startswith("read as folders whose names say split and class")
    if "/" not in name:
        assert len(described(data, class_level=1).classes) == 4


def test_folders_whose_names_may_say_split_and_class(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "train_station", "train_track", "test_tube")
    assert "may say split and class" in error_of(data)
    assert len(described(data, class_level=1).classes) == 3


def test_a_set_for_finding_anomalies(tmp_path: Path) -> None:
    data = write(tmp_path / "data", *(f"bottle/{name}" for name in ("train/good", "test/good", "test/bent")))
    write(data, "bottle/ground_truth/bent")
    message = error_of(data)
    assert "images of one class alone, 'good'" in message and "(MVTec AD)" in message
    assert f"--data {data}/bottle/test." in message
    assert described(data / "bottle" / "test").classes == ("bent", "good")
    write(data, "nut/train/good", "nut/test/good", "nut/test/cut", "nut/ground_truth/cut")
    message = error_of(data)
    assert "holds several sets, each with splits: bottle/, nut/" in message and f"--data {data}/bottle." in message
    assert described(data, class_level=1, ignore="ground_truth").classes == ("bottle", "nut")


def test_a_folder_that_holds_archives_or_arrays(tmp_path: Path) -> None:
    data = tmp_path / "my data"
    data.mkdir()
    (data / "set.zip").write_bytes(b"x")
    (data / "README").write_text("x")
    assert f"holds no images but set.zip. Give that: --data '{data}/set.zip'." in error_of(data)
    (data / "more.tar.gz").write_bytes(b"x")
    assert "holds no images but more.tar.gz, set.zip. Unpack each into a folder of its name" in error_of(data)
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    (arrays / "set.npz").touch()
    assert f"Give that: --data {arrays}/set.npz" in error_of(arrays)


def test_patterns_that_leave_nothing(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "cat", "dog")
    (data / "notes.txt").touch()
    for changes in ({"match": "*.jpg"}, {"match": "cat"}, {"ignore": "*.png,*.txt"}):
        message = error_of(data, **changes)
        assert "leave none of the 13 files" in message and "of the kinds .png (12), .txt (1)" in message
    assert "--ignore leaves nothing" in error_of(write(tmp_path / "bare", "cat", "dog"), ignore="*")


def test_a_pattern_that_leaves_nothing_out(tmp_path: Path) -> None:
    report = described(write(tmp_path / "data", "cat", "dog", "bad"), ignore="maks,BAD")
    assert report.classes == ("cat", "dog") and report.remarks == ("Patterns of --ignore that match nothing: maks",)


@pytest.mark.parametrize("name", ["a[1]", "b, c", "dog ", " cat", "it's", "Ab*"])
def test_what_to_type_to_leave_out_a_folder(tmp_path: Path, name: str) -> None:
    data = write(tmp_path / "data", name, "one", "two", count=4)
    flag, pattern = shlex.split(ignoring([name], Patterns()))
    assert flag == "--ignore" and describe_data(config(data, ignore=pattern)).classes == ("one", "two")


def test_files_beside_the_only_folder_do_not_hide_it(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "set/cat", "set/dog")
    for name in ("README", "LICENSE", "sample.png"):
        (data / name).write_bytes(b"x")
    report = described(data)
    assert report.classes == ("cat", "dog") and report.num_ignored == 3
    assert report.remarks == (
        "The data lie in set/, the only folder",
        "3 files beside the class folders left out: LICENSE, README, sample.png",
    )
    other = write(tmp_path / "other", "set", "set/cat", "set/cow")
    report = described(other)
    assert report.classes == ("cat", "cow") and report.num_ignored == 6


def test_levels_that_are_proposed_have_classes(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "a/all/cat", "a/all/dog", "b/all/cat", "b/all/cow")
    message = error_of(data)
    assert "--class-level 1   2 classes: a, b" in message and "--class-level 3   3 classes" in message
    assert "--class-level 2" not in message
    assert described(write(tmp_path / "twice", "cat/cat", "dog/dog")).classes == ("cat", "dog")


def test_images_of_one_split_without_class_folders(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "one", "train"))
    assert "has no class folders" in message and "--ignore" not in message and "--class-level" not in message
    data = write(tmp_path / "data", "train/cat", "train/dog", "test")
    assert "leave it out: --ignore test." in error_of(data) and described(data, ignore="test").classes == ("cat", "dog")


def test_splits_without_a_training_part(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "val/cat", "val/dog")
    message = error_of(data)
    assert "has images of val but none of train. Put the training images in train/" in message
    assert f"or give one of them alone: --data {data}/val." in message
    assert described(data / "val").classes == ("cat", "dog")


def test_a_split_that_is_empty(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "train/cat", "train/dog", "test/cat", "test/dog")
    for path in data.glob("test/*/*"):
        path.unlink()
    report = described(data)
    assert report.remarks == ("test/ holds no images and is ignored",)
    assert report.found == {"all": [6, 6]}


def test_splits_in_splits_are_not_said_to_be_left_out(tmp_path: Path) -> None:
    data = write(tmp_path / "data", *(f"{part}/{part}/{name}" for part in ("train", "test") for name in ("a", "b")))
    report = described(data)
    assert report.remarks == () and report.num_ignored == 0


def test_some_classes_with_splits_and_one_without(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "cat/train", "cat/test", "dog/train", "dog/test", "cow", count=8)
    assert "split folders in cat/, dog/, and images in cow/" in error_of(data)
    assert described(data, class_level=1).found == {"all": [16, 8, 16]}
    assert described(data, ignore="cow").found == {"train": [8, 8], "test": [8, 8]}


def test_a_folder_for_each_class_below_the_only_folder(tmp_path: Path) -> None:
    names = [f"{name}/{part}/images" for name in ("cat", "dog") for part in ("train", "test")]
    data = write(tmp_path / "data", *(f"set/{name}" for name in names), "set/unlabelled")
    report = described(data)
    assert report.found == {"train": [6, 6], "test": [6, 6]} and report.num_ignored == 6


def test_links_to_themselves_and_pipes(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "cat", "dog")
    (data / "round").symlink_to("round")
    (data / "dog" / "here").symlink_to(".")
    os.mkfifo(data / "cat" / "pipe.png")
    report = described(data)
    assert report.found == {"all": [6, 6]}
    assert report.remarks == (
        "Links to a folder that contains them, left out: dog/here",
        "Pipes, sockets and devices left out: cat/pipe.png",
        "1 file beside the class folders left out: round",
    )


def test_the_whole_set_once_more_beside_its_classes(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "yes", "no", "tumors/yes", "tumors/no")
    assert "tumors/ holds folders with the same names as those beside it: no, yes" in error_of(data)
    assert described(data, ignore="tumors").classes == ("no", "yes")
    assert described(data, class_level=1).classes == ("no", "tumors", "yes")


def test_a_test_folder_beside_the_folder_of_the_set(tmp_path: Path) -> None:
    data = write(tmp_path / "data", *(f"set/{part}/{name}" for part in ("train", "valid") for name in ("a1", "b1")))
    write(data, "test/test")
    assert "if not, leave out those: --ignore test." in error_of(data)
    assert described(data, ignore="test").found == {"train": [6, 6], "val": [6, 6]}


def test_a_flat_test_folder_in_a_folder_of_its_name(tmp_path: Path) -> None:
    data = write(tmp_path / "data", *(f"signs_train/signs_train/{name}" for name in "AB"), "signs_test/signs_test")
    assert "signs_test has no class folders" in (message := error_of(data)) and "--ignore signs_test." in message
    assert described(data, ignore="signs_test").classes == ("A", "B")


def test_splits_in_the_only_folder_that_is_called_as_one(tmp_path: Path) -> None:
    names = (f"train/{part}/{name}" for part in ("train", "val") for name in ("cat", "dog"))
    assert described(write(tmp_path / "data", *names)).found == {"train": [6, 6], "val": [6, 6]}


def test_files_called_by_their_class_in_the_only_folder(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "pets", count=12)
    for path in sorted((data / "pets").iterdir())[:6]:
        path.rename(path.with_name(path.name.replace("pets", "cat")))
    report = described(data)
    assert report.classes == ("cat", "pets") and report.remarks[1] == "The data lie in pets/, the only folder"
    (data / "cat_9.png").touch()
    assert "only one class, 'pets'" in error_of(data)


def test_every_suffix_that_is_read_is_known_as_a_picture(tmp_path: Path) -> None:
    assert SUFFIXES <= PICTURES
    for path in write(tmp_path / "outer", "set/cat", "set/dog").rglob("*.png"):
        Image.open(path).save(path.with_suffix(".pcx"))
        path.unlink()
    assert described(tmp_path / "outer").classes == ("cat", "dog")


def test_advice_keeps_what_is_ignored_already(tmp_path: Path) -> None:
    data = write(
        tmp_path / "data", "train/cat", "train/dog", "train/masks", "train_2/cat", "train_2/dog", "empty/notes"
    )
    (data / "train" / "cow").mkdir()
    ignored = "notes,empty"
    for _ in range(3):
        _, ignored = shlex.split(re.search(r"--ignore [^;. ]+", error_of(data, ignore=ignored))[0])
    assert described(data, ignore=ignored).classes == ("cat", "dog")
    assert ignored == "notes,empty,train_2,masks,cow"
