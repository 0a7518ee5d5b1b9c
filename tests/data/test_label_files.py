"""Label files: which column is what, where the files are, and what is said when they cannot be used."""

from __future__ import annotations

import csv
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.config.validation import checked
from nas.data import DataConfig, Dataset, describe_data, open_data
from nas.data.dataset import SPLIT_NAMES
from nas.errors import DataError

Line = tuple[object, ...]


def write_set(folder: Path, *lines: Line, suffix: str = ".png", below: str = "") -> list[str]:
    """An image each for the first cell of every line but the first; the image's pixels are all its line's number."""
    names = [str(line[0]) for line in lines[1:]]
    for number, name in enumerate(dict.fromkeys(names)):
        path = folder / below / (name + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, dtype=np.uint8)).save(path, format="PNG")
    write_table(folder / "labels.csv", *lines)
    return names


def write_table(path: Path, *lines: Line, separator: str = ",", encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows(lines)


def config(folder: Path, name: str = "labels.csv", **changes: Any) -> DataConfig:
    settings = {"source": str(folder / name), "cache_dir": str(folder / "cache"), "allow_duplicates": True}
    return DataConfig(**{**settings, **changes})


def labels(opened: Dataset) -> dict[int, str]:
    """The class of every image by the grey value it holds."""
    found = {}
    for split in map(opened.split, SPLIT_NAMES):
        for image, label in zip(split.images, split.labels, strict=True):
            found[int(image[0, 0, 0])] = opened.classes[label]
    return found


def faults(folder: Path, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        open_data(config(folder, **changes))
    return caught.value.faults


TWELVE = [(f"im{number:02}", "cat" if number % 3 else "dog") for number in range(18)]
EXPECTED = {number: label for number, (_, label) in enumerate(TWELVE)}


@pytest.mark.parametrize("header", [("path", "label"), ("file_name", "class"), ("image_id", "dx"), ("Image", "KIND")])
@pytest.mark.parametrize(("suffix", "below"), [(".png", ""), (".JPG", "images"), (".png", "part 1/deep")])
def test_usual_names_and_places(tmp_path: Path, header: Line, suffix: str, below: str) -> None:
    write_set(tmp_path, header, *TWELVE, suffix=suffix, below=below)
    opened = open_data(config(tmp_path))
    assert opened.name == "labels" and opened.classes == ("cat", "dog") and labels(opened) == EXPECTED


@pytest.mark.parametrize(("separator", "encoding"), [("\t", "utf-8-sig"), (";", "latin-1"), (",", "utf-16")])
def test_separators_and_encodings(tmp_path: Path, separator: str, encoding: str) -> None:
    lines = [(name, "thé" if label == "cat" else "a, b") for name, label in TWELVE]
    write_set(tmp_path, ("path", "label"), *lines)
    write_table(tmp_path / "other.tsv", ("path", "label"), *lines, separator=separator, encoding=encoding)
    assert open_data(config(tmp_path, "other.tsv")).classes == ("a, b", "thé")


def test_a_list_without_header_and_paths_of_another_system(tmp_path: Path) -> None:
    names = write_set(tmp_path, ("path", "label"), *TWELVE, below="images")
    lists = tmp_path / "lists"
    lists.mkdir()
    text = "".join(f"images\\{name}.png {number % 2 * 7 + 3}\n" for number, name in enumerate(names))
    (lists / "all.txt").write_text(text)  # and the images lie beside its folder
    opened = open_data(config(lists, "all.txt"))
    assert opened.classes == ("3", "10") and labels(opened) == {n: "10" if n % 2 else "3" for n in range(18)}


def test_numbers_in_order_and_as_programs_write_them(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *((f"{n}", f"{[10, 9, 100][n % 3]}.0") for n in range(18)))
    assert open_data(config(tmp_path)).classes == ("9", "10", "100")


def test_one_hot_columns(tmp_path: Path) -> None:
    lines = [(f"i{n}", 30 + n, int(n % 3 == 0), int(n % 3 == 1), f"{int(n % 3 == 2)}.0", 0) for n in range(18)]
    write_set(tmp_path, ("image", "age", "MEL", "NV", "BCC", "UNK"), *lines)
    opened = open_data(config(tmp_path))
    assert labels(opened) == {n: ["MEL", "NV", "BCC"][n % 3] for n in range(18)}
    lines[4] = ("i4", 30, 1, 1, 0, 0)
    write_table(tmp_path / "labels.csv", ("image", "age", "MEL", "NV", "BCC", "UNK"), *lines)
    (message,) = faults(tmp_path)
    assert "labels.csv, line 6: 2 of the columns MEL, NV, BCC" in message and "--columns label=" in message
    assert faults(tmp_path, columns="label=MEL+age")[0].endswith("age hold other things than 0 and 1. Leave them out.")


def test_own_splits(tmp_path: Path) -> None:
    parts = ["Training"] * 9 + ["val"] * 4 + ["TEST"] * 5
    lines = [(f"{n}", "ab"[n % 2], part) for n, part in enumerate(parts)]
    write_set(tmp_path, ("file", "label", "set"), *lines)
    opened = open_data(config(tmp_path))
    assert [sum(opened.counts[name]) for name in SPLIT_NAMES] == [9, 2, 2, 5]
    assert sum(open_data(config(tmp_path, columns="split=")).counts["train"]) != 9
    lines[3] = ("3", "b", "fold 1")
    write_table(tmp_path / "labels.csv", ("file", "label", "split"), *lines)
    (message,) = faults(tmp_path)
    assert "labels.csv, line 5: the split 'fold 1'" in message and "--columns split=" in message


def test_the_right_one_of_equal_names(tmp_path: Path) -> None:
    lines = [("0", "a", "train"), ("1", "b", "train")] * 5 + [("0", "a", "test"), ("1", "b", "test")]
    for folder in ("train", "test"):
        write_set(tmp_path / folder, ("x",), *((f"{n}",) for n in range(2)))
        (tmp_path / folder / "labels.csv").unlink()
    write_table(tmp_path / "labels.csv", ("id", "label", "split"), *lines[4:6], *lines[-2:])
    few = faults(tmp_path)  # both are found, each in its part
    assert len(few) == 1 and "Too few readable images in train of: a (1), b (1)" in few[0]
    write_table(tmp_path / "labels.csv", ("id", "label"), *(line[:2] for line in lines[:2]))
    assert "line 2: '0' may be test/0.png or train/0.png" in faults(tmp_path)[0]


def test_other_names_of_columns(tmp_path: Path) -> None:
    write_set(tmp_path, ("what", "who, it is"), *TWELVE)
    (message,) = faults(tmp_path)
    assert "labels.csv: no column is known to hold the files and labels; there are: what, who, it is" in message
    assert "--columns path=FILE,label=KIND" in message
    opened = open_data(config(tmp_path, columns='path=what, "label=who, it is"'))
    assert labels(opened) == EXPECTED
    (message,) = faults(tmp_path, columns="path=waht,label=what")
    assert "no column 'waht', which is to hold the path. Did you mean 'what'?" in message
    for wrong in ("path", "file=a", "path=a,path=b"):
        found: list[str] = []
        assert checked(DataConfig, {"columns": wrong}, found) is None
        assert f"--columns {wrong!r} cannot be used: write what a column holds" in found[0]


def test_missing_files_are_named_and_counted(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *TWELVE)
    (tmp_path / "im03.png").unlink()
    (tmp_path / "im04.png").write_bytes(b"no image")
    for _ in range(2):  # the second time from the cache
        (message,) = faults(tmp_path)
        assert message.startswith("2 of 18 images are broken:") and "--skip-broken" in message
        assert "im03: there is no such file (labels.csv, line 5)" in message and "im04.png: not an image" in message
    opened = open_data(config(tmp_path, skip_broken=True))
    assert labels(opened) == {n: label for n, label in EXPECTED.items() if n not in (3, 4)}
    write_set(tmp_path, ("path", "label"), *TWELVE)
    assert labels(open_data(config(tmp_path))) == EXPECTED  # back again, and noticed
    for file in tmp_path.glob("*.png"):
        file.unlink()
    (message,) = faults(tmp_path, skip_broken=True)
    assert "none of the 18 files is there; the first is 'im00'" in message


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ["is empty. Give a file with columns"]),
        ([("path", "label")], ["no line follows"]),
        ([("path", "label"), ("a", "x"), ("", "y"), ("b", "")], ["line 4: no label", "line 3: no file"]),
        ([("path", "label"), ("a", "x"), ("b",)], ["line 3: 1 cell, and the first line names 2 columns"]),
        ([("path", "label"), ("a", "x"), ("a", "y")], ["lines 2, 3: 'a' is given labels 'x' and 'y'"]),
        ([("path", "label"), ("a", "cat"), ("b", "Cat")], ["the labels Cat, cat differ in capitals alone"]),
        ([("path", "label"), ("a", "x"), ("b", "y"), ("c", "x|y")], ["line 4: several labels, 'x|y'"]),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path: Path, lines: list[Line], expected: list[str]) -> None:
    write_set(tmp_path, ("path",), ("a",), ("b",), ("c",))
    write_table(tmp_path / "labels.csv", *lines)
    found = faults(tmp_path)
    assert len(found) == len(expected) and all("labels.csv" in message for message in found)
    assert all(part in message for part, message in zip(expected, found, strict=True))


def test_what_is_no_table(tmp_path: Path) -> None:
    for content, expected in ((b"path,label\n\0", "is no text"), (b'path,label\na,"x\nb,y\n', "line 2: .*mark")):
        (tmp_path / "labels.csv").write_bytes(content)
        assert re.search(expected, faults(tmp_path)[0])
    (tmp_path / "data.npz").write_bytes(b"")
    (message,) = faults(tmp_path, source=str(tmp_path / "data.npz"), columns="path=a")
    assert "--columns names the columns of a label file" in message


def test_a_line_twice_counts_once(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *TWELVE)
    write_table(tmp_path / "labels.csv", ("path", "label"), *TWELVE, ("./im00.png", "dog"))
    report = describe_data(config(tmp_path))
    assert sum(report.found["all"]) == 18 and list(report.notes.values()) == [1] and not report.faults


def test_another_table_is_noticed(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *TWELVE)
    before = open_data(config(tmp_path))
    write_table(tmp_path / "labels.csv", ("path", "label"), *((name, "ab"[label == "cat"]) for name, label in TWELVE))
    after = open_data(config(tmp_path))
    assert after.key != before.key and labels(after) == {n: "ab"[label == "cat"] for n, label in EXPECTED.items()}


def test_parquet(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *TWELVE)
    path = tmp_path / "labels.parquet"
    if find_spec("pandas") and find_spec("pyarrow"):
        import pandas

        pandas.DataFrame(TWELVE, columns=["path", "label"]).to_parquet(path)
        assert labels(open_data(config(tmp_path, path.name))) == EXPECTED
    else:
        path.write_bytes(b"PAR1")
        assert "pip install pandas pyarrow" in faults(tmp_path, source=str(path))[0]
