"""Sets as their authors publish them: read, or refused with advice that holds when it is followed."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import image_folders
import numpy as np
import pytest
from image_folders import described, error_of


def write(root: Path, *names: str, count: int = 6, suffix: str = ".png") -> Path:
    return image_folders.write(root, *names, count=count, called=f"{{number:04}}{suffix}")


def test_documents_without_a_suffix_are_no_images(tmp_path: Path) -> None:
    birds = write(tmp_path / "data", "CUB/images/001.Albatross", "CUB/images/002.Auk") / "CUB"
    for name in ("README", "LICENSE", "attributes/README", "images.txt"):
        (birds / name).parent.mkdir(exist_ok=True)
        (birds / name).write_text("text")
    report = described(tmp_path / "data")
    assert report.classes == ("001.Albatross", "002.Auk") and report.found == {"all": [6, 6]}
    (birds / "images/001.Albatross/7").write_bytes((birds / "images/001.Albatross/0000.png").read_bytes())
    assert described(tmp_path / "data").found == {"all": [7, 6]}  # an image may lack its suffix


def test_advice_leaves_out_one_folder_and_not_those_of_its_name(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "flowers/daisy", "flowers/rose", "flowers/flowers/daisy", "flowers/flowers/rose")
    assert "leave it out: --ignore flowers/flowers;" in error_of(data)
    assert described(data, ignore="flowers/flowers").found == {"all": [6, 6]}


def test_advice_keeps_what_is_left_out_already(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "Train/0", "Train/1", "Meta", "Test", "val")
    assert error_of(data).count("leave such folders out: --ignore Test,val.") == 2
    assert "leave out the others: --ignore test,val,Meta." in error_of(data, ignore="Test,val")
    assert described(data, ignore="test,val,Meta").classes == ("0", "1")


def test_unlabelled_test_images_beside_the_classes_are_no_class_in_silence(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "cat", "dog", "test")
    assert "holds test/, named like splits, and beside them cat/, dog/." in (message := error_of(data))
    assert "add --class-level 1" in message and "leave out those: --ignore test." in message
    assert described(data, class_level=1).classes == ("cat", "dog", "test")
    assert described(data, ignore="test").classes == ("cat", "dog")
    assert described(write(tmp_path / "pair", "valid", "invalid")).classes == ("invalid", "valid")
    assert described(write(tmp_path / "cars", "car", "plane", "train")).classes == ("car", "plane", "train")


def test_one_set_in_several_versions(tmp_path: Path) -> None:
    leaves = write(tmp_path / "leaves", *(f"{kind}/{name}" for kind in ("color", "grey") for name in ("rust", "scab")))
    assert f"--data {leaves}/color   one of them alone, if each is a version of the whole set" in error_of(leaves)
    assert "--class-level 2   2 classes of 4 folders: rust, scab" in error_of(leaves)
    (remark,) = [each for each in described(leaves, class_level="leaf").remarks if "several places" in each]
    assert remark == "Folders of the same name in several places are one class: rust, scab"
    rest = write(tmp_path / "inat", "birds/1", "birds/2", "plants/3", "plants/4")
    assert "--class-level 2" in error_of(rest) and "--data" not in error_of(rest) and "folders:" not in error_of(rest)
    casts = write(
        tmp_path / "casts", "a/a/train/ok", "a/a/train/bad", "a/a/test/ok", "a/a/test/bad", "b/b/ok", "b/b/bad"
    )
    assert f"holds several sets, a/ with splits: a/, b/. Give one of them: --data {casts}/a." in error_of(casts)
    assert set(described(casts / "a").found) == {"train", "test"}


def test_class_folders_below_those_of_patients_are_offered_groups(tmp_path: Path) -> None:
    patients = write(tmp_path / "data", *(f"{patient}/{name}" for patient in range(10, 16) for name in "ab"))
    (remark,) = [each for each in described(patients, class_level=2).remarks if "several places" in each]
    (pattern,) = re.findall(r"--group '(.*)' keeps", remark)
    report = described(patients, class_level=2, group=pattern)
    assert any(each.startswith("6 groups by the pattern") for each in report.remarks)


@pytest.mark.parametrize(("beside", "name"), [(True, "annos.mat"), (False, "devkit/annos.mat")])
def test_labels_in_a_file_that_is_not_read(tmp_path: Path, beside: bool, name: str) -> None:
    data = write(tmp_path / "data", "jpg")
    (data / name).parent.mkdir(exist_ok=True)
    (data / name).write_bytes(b"MATLAB")
    message = error_of(data)
    assert "only one class, 'jpg'; at least two are needed" in message and "Add images" not in message
    assert f"Labels may be in {name}, which is not read" in message and "--data labels.csv" in message
    assert beside or "(there are no images in devkit)" in message


def test_one_class_and_nothing_that_has_labels(tmp_path: Path) -> None:
    assert "Put the images of each class in a folder of its own" in error_of(write(tmp_path / "data", "faces"))


def test_a_table_beside_flat_images_and_a_folder_of_texts(tmp_path: Path) -> None:
    data = write(tmp_path / "isic", ".", count=10)
    (data / "licenses").mkdir()
    (data / "licenses/CC-0.txt").write_text("free")
    lines = [f"{number:04},{'ab'[number % 2]}\n" for number in range(10)]
    (data / "metadata.csv").write_text("isic_id,diagnosis\n" + "".join(lines))
    assert f"metadata.csv gives labels to its images: a, b. Give it: --data {data}/metadata.csv." in error_of(data)
    above = tmp_path / "above"
    above.mkdir()
    data.rename(above / "isic")
    assert f"If isic/metadata.csv holds labels, name it: --data {above}/isic/metadata.csv." in error_of(above)
    assert described(above / "isic/metadata.csv").found == {"all": [5, 5]}


def test_what_is_told_of_an_archive_names_no_folder_of_the_cache(tmp_path: Path) -> None:
    data = write(tmp_path / "my set", "cat", "dog")
    (data / "names.csv").write_text("index,name\n0,cat\n")
    with zipfile.ZipFile(tmp_path / "my.zip", "w") as packed:
        for file in sorted(data.parent.rglob("my set/**/*.*")):
            packed.write(file, file.relative_to(tmp_path))
    (remark,) = [each for each in described(tmp_path / "my.zip").remarks if "names.csv" in each]
    assert str(tmp_path / "cache") not in remark and "Unpack the archive by hand" in remark


@pytest.mark.parametrize("name", ["sample_submission.csv", "labels.csv"])
def test_the_form_of_a_competition_is_not_taken_for_labels(tmp_path: Path, name: str) -> None:
    data = write(tmp_path / "data", "train/cat", "train/dog", "test")
    (data / name).write_text("id,label\n0000,0\n")
    assert ("holds labels, name it" in error_of(data)) == (name == "labels.csv")


def test_arrays_instead_of_images(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "X.npy", np.zeros(3))
    assert "holds no images but X.npy" in error_of(data) and "numpy.savez('data.npz'" in error_of(data)


def test_an_archive_of_archives_with_a_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for name in ("train.zip", "test.zip", "sample_submission.csv", "README"):
            packed.writestr(name, "id,label\n1,0\n")
    assert "holds no images but 2 archives: train.zip, test.zip." in error_of(tmp_path / "all.zip")


@pytest.mark.parametrize(
    ("header", "cells", "shown"),
    [
        (["emotion", "pixels", "Usage"], ["0", "1 2 3", "Training"], "(pixels)"),
        (["label", *(f"pixel{n}" for n in range(64))], ["1"] * 65, "(pixel0, pixel1, pixel2)"),
    ],
)
def test_a_table_of_pixels(tmp_path: Path, header: list[str], cells: list[str], shown: str) -> None:
    table = tmp_path / "train.csv"
    table.write_text(f"{','.join(header)}\n{','.join(cells)}\n")
    assert f"holds pixels {shown} and no file names" in error_of(table) and ".npz" in error_of(table)


def test_a_table_of_few_numbers_is_asked_for_its_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("one,two\n1,2\n")
    assert "no column is known to hold the files and labels" in error_of(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(f"one,two\n{'1 ' * 900},2\n")
    assert len(error_of(tmp_path / "t.csv", columns="path=one,label=two")) < 900


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("cifar-10-batches-py/data_batch_1", "cifar10"), ("stl10_binary/train_X.bin", "stl10"),
        ("train_32x32.mat", "svhn"), ("MNIST/raw/train-images-idx3-ubyte.gz", "mnist"),
    ],
)  # fmt: skip
def test_files_of_a_well_known_set(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / "data" / file).parent.mkdir(parents=True)
    (tmp_path / "data" / file).write_bytes(b"x")
    assert f"--data {name};" in error_of(tmp_path / "data")


def test_no_advice_that_would_leave_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("cat", "dog"):
        (data / name).mkdir(parents=True)
        for number in range(5):
            (data / name / f"{number}.heic").write_bytes(b"no image")
    message = error_of(data)
    assert "Broken images, 10 of 10" in message and "HEIC" in message
    assert "--drop-small-classes" not in message and "--skip-broken" not in message


def test_an_image_of_too_many_pixels(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "cat", "dog")
    (data / "cat/map.pgm").write_bytes(b"P5 20000 10000 255 ")
    assert "cat/map.pgm: more than 178,956,970 pixels" in error_of(data)
