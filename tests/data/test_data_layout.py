"""Reading of a folder: the splits and classes found, what is left out and named, and what is asked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import image_folders
import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, DataReport, describe_data, open_data
from nas.data.sources.base import TEST, TRAIN, VAL
from nas.data.sources.folder_names import part_of
from nas.errors import DataError


def write(root: Path, *names: str, count: int = 6, suffix: str = "png") -> None:
    image_folders.write(root, *names, count=count, called=f"{{number}}.{suffix}")


def config(path: Path, **changes: Any) -> DataConfig:
    return image_folders.config(path / "data", **changes)


def described(path: Path, **changes: Any) -> DataReport:
    """Without the remark that there are few images to rank by."""
    report = describe_data(config(path, **changes))
    return replace(report, remarks=tuple(each for each in report.remarks if "are ranked on" not in each))


def error_of(path: Path, **changes: Any) -> str:
    return image_folders.error_of(path / "data", **changes)


@pytest.mark.parametrize(
    ("name", "siblings", "part"),
    [
        ("train", (), TRAIN), ("TRAIN", (), TRAIN), ("training_set", (), TRAIN), ("trainset", (), TRAIN),
        ("trn", (), TRAIN),
        ("Train-Data", (), TRAIN), ("train2017", (), TRAIN), ("seg_train", (), TRAIN), ("TrainingImages", (), TRAIN),
        ("val", (), VAL), ("dev", (), VAL), ("eval", (), VAL), ("Validation", (), VAL), ("valid_images", (), VAL),
        ("test_set", (), TEST), ("tst", (), TEST), ("holdout", (), TEST), ("hold-out", (), TEST),
        ("testing2", (), TEST),
        ("pets_train", ("pets_test",), TRAIN), ("train_station", ("bus_station",), None), ("train_station", (), None),
        ("trains", (), None), ("contest", (), None), ("device", (), None), ("train_test", (), None), ("cat", (), None),
    ],
)  # fmt: skip
def test_names_of_splits(name: str, siblings: tuple[str, ...], part: int | None) -> None:
    assert part_of(name, siblings) == part


@pytest.mark.parametrize(
    ("splits", "found"),
    [
        (("training_set", "test_set"), ["train", "test"]),
        (("train", "eval"), ["train", "val"]),
        (("pets_train", "pets_test", "pets_val"), ["train", "val", "test"]),
        (("Trn", "DEV", "hold_out"), ["train", "val", "test"]),
    ],
)
def test_folders_of_splits_are_never_classes(tmp_path: Path, splits: tuple[str, ...], found: list[str]) -> None:
    write(tmp_path / "data", *(f"{split}/{name}" for split in splits for name in ("cat", "dog")), count=7)
    report = described(tmp_path)
    assert list(report.found) == found and report.classes == ("cat", "dog") and not report.errors
    halved = [remark for remark in report.remarks if "val is halved" in remark]
    assert len(halved) == ("val" in found)
    assert all(("there is no test" in remark) == ("test" not in found) for remark in halved)


def test_what_lies_beside_splits_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data, "train/a", "train/b", "test/a", "test/b", "extra/c")
    (data / "labels.csv").write_text("x,y\n")
    report = described(tmp_path)
    assert "Folders beside the splits left out: extra/ (6 files)" in report.remarks
    (beside,) = [remark for remark in report.remarks if remark.startswith("1 file beside")]
    assert f"--data {data / 'labels.csv'}" in beside and report.num_ignored == 7
    assert report.classes == ("a", "b")


def test_a_file_of_labels_is_named_where_classes_are_missing(tmp_path: Path) -> None:
    write(tmp_path / "data", "images")
    (tmp_path / "data" / "labels.csv").write_text("x,y\n")
    assert "only one class, 'images'; at least two are needed. 1 file beside" in (message := error_of(tmp_path))
    assert f"name it: --data {tmp_path / 'data' / 'labels.csv'}" in message
    write(tmp_path, "flat")
    (tmp_path / "flat" / "truth.tsv").touch()
    assert "has no class folders" in (message := error_of(tmp_path, source=str(tmp_path / "flat")))
    assert f"--data {tmp_path / 'flat' / 'truth.tsv'}" in message


def test_two_folders_of_one_split_are_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "data", "train/a", "train/b", "training_2/a", "training_2/b", "test/a", "test/b")
    message = error_of(tmp_path)
    assert "train/, training_2/ all look like train images" in message and "--ignore training_2" in message
    assert open_data(config(tmp_path, ignore="training_2")).counts["test"] == [6, 6]


def test_a_split_beside_classes_is_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "data", "train/steam", "train/electric", "bus/red", "car/blue")
    message = error_of(tmp_path)
    assert "--class-level 1" in message and "--ignore bus,car" in message
    assert open_data(config(tmp_path, class_level=1)).classes == ("bus", "car", "train")
    assert open_data(config(tmp_path, ignore="bus,car")).classes == ("electric", "steam")


def test_own_output_is_no_class(tmp_path: Path) -> None:
    write(tmp_path / "data", "a", "b", "runs/one/tensorboard", "model")
    (tmp_path / "data" / "runs" / "one" / "log.sqlite").touch()
    for name in ("model.json", "weights.safetensors"):
        (tmp_path / "data" / "model" / name).touch()
    report = described(tmp_path)
    assert report.classes == ("a", "b") and "Output of nasctl left out: model/, runs/" in report.remarks


def test_the_only_folder_is_entered(tmp_path: Path) -> None:
    write(tmp_path / "data", "set/inner/train/a", "set/inner/train/b", "set/inner/test/a", "set/inner/test/b")
    (tmp_path / "data" / "set" / "docs").mkdir()
    (tmp_path / "data" / "set" / "docs" / "a.txt").touch()
    report = described(tmp_path)
    assert report.classes == ("a", "b") and list(report.found) == ["train", "test"]
    assert "The data lie in set/inner/, the only folder" in report.remarks[1]
    assert "docs/ (1 file)" in report.remarks[0]


def test_levels_are_asked_for_where_no_class_folder_holds_images(tmp_path: Path) -> None:
    write(tmp_path / "data", "Dataset/cat", "Dataset/dog", "Examples/cat", "Examples/dog")
    message = error_of(tmp_path)
    assert "--class-level 1   2 classes: Dataset, Examples" in message
    assert "--class-level 2   2 classes of 4 folders: cat, dog" in message
    report = described(tmp_path, class_level=2)
    assert report.classes == ("cat", "dog") and report.found == {"all": [12, 12]}
    assert "Folders of the same name in several places are one class: cat, dog" in report.remarks
    assert described(tmp_path, class_level="leaf").classes == ("cat", "dog")
    assert described(tmp_path, class_level=1).classes == ("Dataset", "Examples")


def test_levels_within_splits_and_images_above_them(tmp_path: Path) -> None:
    write(
        tmp_path / "data", *(f"{split}/{name}" for split in ("train", "test") for name in ("x/cat", "y/dog", "y/cow"))
    )
    write(tmp_path / "data", "train/y", count=2)
    report = described(tmp_path, class_level=2)
    assert report.classes == ("cat", "cow", "dog") and report.found["train"] == [6, 6, 6]
    assert any(
        remark.startswith("2 images above the class folders left out: train/y/0.png") for remark in report.remarks
    )
    with pytest.raises(DataError, match="3 folders below it"):
        open_data(config(tmp_path, class_level=3))


def test_a_folder_of_images_in_every_class(tmp_path: Path) -> None:
    write(tmp_path / "data", "a/images", "b/images")
    assert described(tmp_path).classes == ("a", "b")


def test_linked_folders_are_entered_and_circles_named(tmp_path: Path) -> None:
    write(tmp_path, "data/a", "data/b", "more")
    (tmp_path / "data" / "a" / "more").symlink_to("../../more")
    (tmp_path / "data" / "b" / "up").symlink_to("..")
    report = described(tmp_path)
    assert report.found == {"all": [12, 6]}
    assert "Links to a folder that contains them, left out: b/up" in report.remarks


def test_masks_are_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "data", "a", "b", suffix="jpg")
    write(tmp_path / "data", "a", "b", suffix="png")
    message = error_of(tmp_path)
    assert "12 images with the same name" in message and "--match '*.jpg' or --match '*.png'" in message
    assert open_data(config(tmp_path, match="*.JPG")).counts["test"] == [1, 1]
    assert sum(map(sum, described(tmp_path, match="*").found.values())) == 24
    report = described(tmp_path, ignore="*.png")
    assert report.found == {"all": [6, 6]} and "12 files left out by --match and --ignore" in report.remarks


def test_masks_by_a_word_in_their_name(tmp_path: Path) -> None:
    write(tmp_path / "data", "a", "b")
    for name in ("a", "b"):
        write(tmp_path / "masks", name)
        for path in (tmp_path / "masks" / name).iterdir():
            path.rename(tmp_path / "data" / name / f"{path.stem}_mask.png")
    message = error_of(tmp_path)
    assert "12 images seem to be masks" in message and "--ignore '*_mask.*'" in message
    assert described(tmp_path, ignore="*_mask.*").found == {"all": [6, 6]}


def test_masks_by_their_pixels(tmp_path: Path) -> None:
    write(tmp_path / "data", "a", "b", count=8)
    for name in ("a", "b"):
        for number in range(8):
            mask = np.zeros((8, 8), np.uint8)
            mask[number % 4 :, 2 : 4 + number // 4] = 255
            mask[:, 7] = 0 if name == "a" else 255
            Image.fromarray(mask).save(tmp_path / "data" / name / f"{number}_m.png")
    (remark,) = described(tmp_path).remarks
    assert remark.startswith("16 of 32 images have only two pixel values") and "--ignore '*_m.*'" in remark
    left_out = ("16 files left out by --match and --ignore",)
    assert described(tmp_path, ignore="*_m.*").remarks == left_out
    assert described(tmp_path, match="*_m.png").remarks == left_out  # all are: no masks, but drawings


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    write(tmp_path / "data", "a", "b", count=8)
    (tmp_path / "data" / "a" / "x.HEIC").write_bytes(b"ftypheic")
    message = error_of(tmp_path)
    assert "a/x.HEIC: HEIC, which is not read here: convert it to PNG or JPEG" in message
    assert open_data(config(tmp_path, skip_broken=True)).classes == ("a", "b")


def test_a_swap_of_files_with_equal_times_and_sizes_is_seen(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, name in enumerate(("a", "b")):
        (data / name).mkdir(parents=True)
        for index in range(8):
            Image.fromarray(np.full((8, 8), 100 * number + index, np.uint8)).save(data / name / f"{index}.bmp")
            os.utime(data / name / f"{index}.bmp", (1e9, 1e9))

    def bright() -> list[int]:
        opened = open_data(config(tmp_path))
        found = [opened.split(split) for split in opened.counts]  # type: ignore[arg-type]
        values = np.concatenate([each.images.mean(axis=(1, 2, 3)) for each in found])
        labels = np.concatenate([each.labels for each in found])
        return [int((values[labels == label] > 50).sum()) for label in (0, 1)]

    assert bright() == [0, 8]
    first, second = data / "a" / "3.bmp", data / "b" / "3.bmp"
    first.rename(data / "x")
    second.rename(first)
    (data / "x").rename(second)
    assert bright() == [1, 7]


def test_small_classes_and_selections(tmp_path: Path) -> None:
    write(tmp_path / "data", "a", "b", count=12)
    write(tmp_path / "data", "c", count=4)
    write(tmp_path / "data", "d", count=5)
    assert "c (4)" in error_of(tmp_path) and "--drop-small-classes" in error_of(tmp_path)
    opened = open_data(config(tmp_path, drop_small_classes=True))
    assert opened.classes == ("a", "b", "d")
    assert "1 class left out, with too few images for every split: c (4)" in opened.remarks
    assert opened.split("test").labels.max() == 2
    assert open_data(config(tmp_path, min_per_class=6)).classes == ("a", "b")
    thinned = open_data(config(tmp_path, max_per_class=6, classes="a,b"))
    assert [sum(counts) for counts in zip(*thinned.counts.values(), strict=True)] == [6, 6]
    whole, part = (open_data(config(tmp_path, max_images=most, classes="a,b,d")) for most in (None, 15))
    assert part.counts == {"train": [4, 5, 2], "select": [1, 1, 1], "rank": [1, 1, 1], "test": whole.counts["test"]}
    for name in ("train", "select", "rank"):  # no image comes to another split: test stays unseen
        assert set(part.split(name).rows) <= set(whole.split(name).rows)
    assert set(part.split("test").rows) == set(whole.split("test").rows)
    assert "17 images without test, stratified by class (--max-images)" in part.remarks
    keys = {open_data(config(tmp_path, classes=names)).key for names in ("a,b", "a,d", "b,d")}
    assert len(keys) == 3
    assert "no class 'e'" in error_of(tmp_path, classes="a,e")


def test_labels_follow_the_classes_that_are_left(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(9):
            pixels = np.full((8, 8), 80 * number + index, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{index}.png")
    opened = open_data(config(tmp_path, classes="c,a"))
    assert opened.classes == ("a", "c")
    for split in opened.counts:
        part = opened.split(split)  # type: ignore[arg-type]
        assert ((part.images.mean(axis=(1, 2, 3)) > 100) == (part.labels == 1)).all()


def test_validation_images_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path / "data", "train/a", "train/b", "val/a", count=8)
    assert "Classes in train that val lacks: b" in error_of(tmp_path) and "--ignore-val" in error_of(tmp_path)
    opened = open_data(config(tmp_path, ignore_val=True))
    assert [sum(counts) for counts in zip(*opened.counts.values(), strict=True)] == [8, 8]
    assert opened.remarks[0] == "val left out: 8 images (--ignore-val)"


@pytest.mark.parametrize(
    ("sizes", "flags"),
    [
        ([(2592, 1944)] * 3 + [(640, 480)], "--image-size 64"),
        ([(40, 40), (50, 44), (41, 45)], "--image-size 32"),
        ([(300, 100), (100, 300), (200, 90)], "--image-size 64 --fit pad"),
        ([(300, 300)], "--image-size 64"),
        ([(7, 7)], "--image-size 16"),
        ([(32, 32)], None),
    ],
)
def test_a_size_is_proposed(tmp_path: Path, sizes: list[tuple[int, int]], flags: str | None) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(6):
            grey = number + (100 if name == "b" else 0)
            Image.new("L", sizes[number % len(sizes)], grey).save(tmp_path / "data" / name / f"{number}.png")
    report = described(tmp_path)
    assert report.proposal == flags and not report.errors
    assert report.splits and sum(map(sum, report.splits.values())) == 12
    if flags:
        assert f"Add {flags}" in error_of(tmp_path)


@pytest.mark.parametrize("names", [("0", "1"), ("猫", "狗"), ("3d", "2d")])
def test_classes_whose_names_have_no_letters(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path / "data", *names)
    assert described(tmp_path).classes == tuple(sorted(names))


def test_copies_of_what_is_left_out_are_still_copies(tmp_path: Path) -> None:
    """The first image like them is of validation, which is left out: train and test still share an image."""
    write(tmp_path / "data", *(f"{part}/{name}" for part in ("train", "val", "test") for name in ("a", "b")), count=8)
    original = (tmp_path / "data" / "val" / "a" / "0.png").read_bytes()
    for part in ("train", "test"):
        (tmp_path / "data" / part / "a" / "copy.png").write_bytes(original)
    message = error_of(tmp_path, ignore_val=True)
    assert "Identical images in train and test, 1 of them: test/a/copy.png = train/a/copy.png" in message


def test_no_readable_image(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").write_bytes(b"no image")
    assert "Broken images, 2 of 2" in error_of(tmp_path)


def test_flags_about_folders_elsewhere(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.zeros((20, 8, 8), np.uint8), labels=np.arange(20) % 2)
    for change in ({"match": "*.jpg"}, {"ignore": "x"}, {"class_level": 2}):
        assert "is not a folder: leave it out" in error_of(tmp_path, source=str(tmp_path / "set.npz"), **change)


def test_the_order_of_classes_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "data", "a", "b,c", "d")
    one, other = (open_data(config(tmp_path, classes=names)) for names in ('a,"b,c"', '"b,c", a'))
    assert one.key == other.key and one.classes == ("a", "b,c")


def test_a_folder_of_masks_is_no_class(tmp_path: Path) -> None:
    write(tmp_path / "data", "good", "bent", "ground_truth")
    assert "--ignore ground_truth" in error_of(tmp_path)
    assert open_data(config(tmp_path, ignore="ground_truth")).classes == ("bent", "good")
    assert open_data(config(tmp_path, match="*")).classes == ("bent", "good", "ground_truth")


def test_a_lone_folder_below_a_split_is_entered(tmp_path: Path) -> None:
    write(tmp_path / "data", *(f"{part}/{part}/{name}" for part in ("seg_train", "seg_test") for name in ("a", "b")))
    report = described(tmp_path)
    assert report.classes == ("a", "b") and list(report.found) == ["train", "test"]


def test_folders_called_as_splits_can_be_classes(tmp_path: Path) -> None:
    write(tmp_path / "data", "train", "test")
    assert "--class-level 1" in error_of(tmp_path)
    assert open_data(config(tmp_path, class_level=1)).classes == ("test", "train")
