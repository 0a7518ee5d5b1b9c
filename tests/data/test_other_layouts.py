"""Folders laid out otherwise: recognised and said so, or a message that says what to give instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, DataReport, describe_data, open_data
from nas.errors import DataError


def write(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, dtype=np.uint8)).save(folder / name)
    return folder


def config(folder: Path, **changes: Any) -> DataConfig:
    return DataConfig(**{"source": str(folder), "cache_dir": str(folder.parent / "cache"), **changes})


def report(folder: Path) -> DataReport:
    found = describe_data(config(folder))
    if not found.errors:
        assert open_data(config(folder)).remarks == found.remarks
    return found


def errors_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        open_data(config(folder))
    return caught.value.messages


def error_of(folder: Path) -> str:
    (message,) = errors_of(folder)
    return message


def tiny_imagenet(folder: Path) -> Path:
    train = [f"train/{name}/images/{name}_{n}.JPEG" for name in ("n01", "n02", "n03") for n in range(5)]
    write(folder, *train, *(f"val/images/val_{n}.JPEG" for n in range(7)), "test/images/test_0.JPEG")
    lines = [f"val_{n}.JPEG\tn0{n % 3 + 1}\t0\t0\t62\t62" for n in range(6)]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines))
    (folder / "train" / "n01" / "n01_boxes.txt").write_text("n01_0.JPEG\t0\t0\t9\t9")
    return folder


def test_tiny_imagenet(tmp_path: Path) -> None:
    folder = tiny_imagenet(tmp_path / "data")
    found = report(folder)
    assert found.classes == ("n01", "n02", "n03") and found.found == {"train": [5, 5, 5], "val": [2, 2, 2]}
    assert "Tiny ImageNet" in found.remarks[0] and not found.errors
    assert found.notes == {
        "Images of val without a line in val_annotations.txt, left out": 1,
        "Images of test without labels, left out": 1,
    }
    (folder / "words.txt").write_text("n01\tgoldfish, Carassius\nn02\tcrane\nn03\tcrane, bird\nn04\tnone\n")
    assert report(folder).classes == ("crane (n02)", "crane (n03)", "goldfish")
    (folder / "val" / "images" / "val_0.JPEG").unlink()
    assert [broken.name for broken in report(folder).broken] == ["val/images/val_0.JPEG"]


def test_a_folder_for_each_class_and_then_for_each_split(tmp_path: Path) -> None:
    names = [f"{name}/{part}/{n}.png" for name in ("cat", "dog") for part, n in [("train", n) for n in range(8)]]
    folder = write(tmp_path / "data", *names, *(f"{name}/Test/{n}.png" for name in ("cat", "dog") for n in range(3)))
    found = report(folder)
    assert found.classes == ("cat", "dog") and found.found == {"train": [8, 8], "test": [3, 3]}
    assert found.remarks[0] == "read as one folder per class, each with one folder per split"
    write(folder, "cat/more/0.png")  # a folder that is no split
    assert "--class-level 1" in error_of(folder)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["cat_1", "cat_22", "dog_1", "dog_2"], {"cat", "dog"}),
        (["cat.1", "big cat.2", "big cat.3", "cat.4"], {"cat", "big cat"}),
        (["cat (1)", "cat (2)", "dog12", "dog-3"], {"cat", "dog"}),
    ],
)
def test_classes_in_file_names(tmp_path: Path, names: list[str], classes: set[str]) -> None:
    folder = write(tmp_path / "data", *(f"{name}{n}.jpg".replace(")", "") for name in names for n in range(3)))
    found = report(folder)
    assert set(found.classes) == classes and found.found == {"all": [6, 6]}
    assert "classes are what file names say before their number" in found.remarks[0]


def test_classes_in_file_names_below_split_folders(tmp_path: Path) -> None:
    names = [f"train/{name}.{n}.jpg" for name in ("cat", "dog") for n in range(8)]
    folder = write(tmp_path / "data", *names, "test/1.jpg", "test/2.jpg")
    found = report(folder)
    assert found.found == {"all": [8, 8]} and found.notes == {
        "Images of test/ without a class in their name, left out": 2
    }


@pytest.mark.parametrize(
    "names",
    [
        ["IMG_1", "IMG_2", "DSC_1", "DSC_2"],  # what cameras say
        ["cat_1", "cat_2", "dog_1"],  # one of a kind
        ["cat_1", "cat_2", "dog_1", "dog"],
        ["1", "2", "3", "4"],
        ["cat_1", "cat_2"],
    ],
)
def test_file_names_that_are_no_classes(tmp_path: Path, names: list[str]) -> None:
    folder = write(tmp_path / "data", *(f"{name}.png" for name in names))
    assert "has no class folders" in error_of(folder)


def test_a_table_beside_folders_that_are_no_classes(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", *(f"images_1/{n}.png" for n in range(12)), *(f"images_2/x{n}.png" for n in "12"))
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(12)))
    message = error_of(folder)
    assert "(images_1, images_2) do not look like classes, and labels.csv gives labels to their images: a, b" in message
    assert f"--data {folder}/labels.csv. Or add --class-level 1" in message
    assert open_data(config(folder / "labels.csv", cache_dir=str(tmp_path / "cache"))).classes == ("a", "b")
    assert describe_data(config(folder, class_level=1)).classes == ("images_1", "images_2")
    (folder / "labels.csv").write_text("date,place\n2026,here\n")
    assert describe_data(config(folder)).classes == ("images_1", "images_2")


def competition(folder: Path, train: str, test: str) -> Path:
    """As competitions hand out images: those to train on have labels in a table, and the others only names."""
    write(folder, *(f"{train}/{n}.png" for n in range(12)), *(f"{test}/{n}.png" for n in range(12, 18)))
    (folder / "train.csv").write_text("ID,Class\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(12)))
    (folder / "test.csv").write_text("ID\n" + "".join(f"{n}\n" for n in range(12, 18)))
    (folder / "sample_submission.csv").write_text("ID,Class\n" + "".join(f"{n},a\n" for n in range(12, 18)))
    return folder


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("train_images", "test_images"), ("Train", "testset")])
def test_the_tables_of_a_competition(tmp_path: Path, train: str, test: str) -> None:
    folder = competition(tmp_path / "data", train, test)
    message = error_of(folder)
    assert (
        f"train.csv gives labels to their images: a, b. Give it: --data {folder}/train.csv. test.csv has no" in message
    )
    assert open_data(config(folder / "train.csv", cache_dir=str(tmp_path / "cache"))).classes == ("a", "b")
    write(folder, *(f"{test}/{n}.png" for n in range(12)))
    (folder / "test.csv").write_text("ID\n" + "".join(f"{n}\n" for n in range(12)))  # names that train has too
    assert "test.csv has no labels" in error_of(folder)
    assert open_data(config(folder / "train.csv", cache_dir=str(tmp_path / "cache"))).classes == ("a", "b")
    (folder / "test.csv").write_text((folder / "train.csv").read_text())
    assert "The same holds for test.csv; to use all, put their lines in one table, with a column 'split'" in error_of(
        folder
    )
    with pytest.raises(DataError) as caught:  # other advice names the likely table too
        open_data(config(folder, ignore=test))
    assert f"if train.csv holds labels, name it: --data {folder}/train.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("below", "wrong", "expected"),
    [
        ("images/", "5", "line 7: 1 cell"),
        ("", "5,", "line 7: no label"),
        ("part_1/", "4,b", "lines 6, 7: '4' is given labels 'a' and 'b'"),
    ],
)
def test_a_table_with_an_error_beside_its_images(tmp_path: Path, below: str, wrong: str, expected: str) -> None:
    folder = write(tmp_path / "data", *(f"{below}{n}.png" for n in range(12)))
    lines = [f"{n},{'ab'[n % 2]}" for n in range(12)]
    (folder / "labels.csv").write_text("\n".join(["id,label", *lines[:5], wrong, *lines[6:]]))
    advice, own = errors_of(folder)
    assert "labels.csv seems to give labels to" in advice and f"give it: --data {folder}/labels.csv" in advice
    assert f"{folder}/labels.csv, {expected}" in own


def test_a_table_about_other_things_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", *(f"{number}/{n}.png" for number in (0, 1) for n in range(9)))
    (folder / "titles.csv").write_text("class,name\n0,stop\n1\n")
    assert describe_data(config(folder)).classes == ("0", "1")
