"""Label files: which column is what, where the files are, and what is said when they cannot be used."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from label_tables import EXPECTED, PETS, Line, config, errors_of, labels, write_set, write_table

from nas.config.validation import checked
from nas.data import DataConfig, describe_data, open_data
from nas.data.dataset import SPLIT_NAMES


@pytest.mark.parametrize("header", [("path", "label"), ("file_name", "class"), ("image_id", "dx"), ("Image", "KIND")])
@pytest.mark.parametrize(("suffix", "below"), [(".png", ""), (".JPG", "images"), (".png", "part 1/deep")])
def test_usual_names_and_places(tmp_path: Path, header: Line, suffix: str, below: str) -> None:
    write_set(tmp_path, header, *PETS, suffix=suffix, below=below)
    opened = open_data(config(tmp_path))
    assert opened.name == "labels" and opened.classes == ("cat", "dog") and labels(opened) == EXPECTED


@pytest.mark.parametrize(
    ("separator", "encoding"), [("\t", "utf-8-sig"), (";", "latin-1"), (",", "utf-16"), ("|", "utf-8")]
)
def test_separators_and_encodings(tmp_path: Path, separator: str, encoding: str) -> None:
    lines = [(name, "thé" if label == "cat" else "a, b") for name, label in PETS]
    write_set(tmp_path, ("path", "label"), *lines)
    write_table(tmp_path / "other.tsv", ("path", "label"), *lines, separator=separator, encoding=encoding)
    assert open_data(config(tmp_path, "other.tsv")).classes == ("a, b", "thé")
    content = (tmp_path / "other.tsv").read_bytes().decode(encoding)
    (tmp_path / "excel.csv").write_bytes(f"sep={separator}\r\n{content}".encode(encoding))  # as Excel marks its tables
    assert open_data(config(tmp_path, "excel.csv")).classes == ("a, b", "thé")


def test_a_list_without_header_and_paths_of_another_system(tmp_path: Path) -> None:
    names = write_set(tmp_path, ("path", "label"), *PETS, below="images")
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
    (message,) = errors_of(tmp_path)
    assert "labels.csv, line 6: 2 of the columns MEL, NV, BCC" in message and "--columns label=" in message
    assert errors_of(tmp_path, columns="label=MEL+age")[0].endswith(
        "age hold other values than 0 and 1. Leave these columns out."
    )


def test_own_splits(tmp_path: Path) -> None:
    parts = ["Training"] * 9 + ["val"] * 4 + ["TEST"] * 5
    lines = [(f"{n}", "ab"[n % 2], part) for n, part in enumerate(parts)]
    write_set(tmp_path, ("file", "label", "set"), *lines)
    opened = open_data(config(tmp_path))
    assert [sum(opened.counts[name]) for name in SPLIT_NAMES] == [9, 2, 2, 5]
    assert sum(open_data(config(tmp_path, columns="split=")).counts["train"]) != 9
    lines[3] = ("3", "b", "fold 1")
    write_table(tmp_path / "labels.csv", ("file", "label", "split"), *lines)
    (message,) = errors_of(tmp_path)
    assert "labels.csv, line 5: the split 'fold 1'" in message and "--columns split=" in message


def test_the_right_one_of_equal_names(tmp_path: Path) -> None:
    lines = [("0", "a", "train"), ("1", "b", "train")] * 5 + [("0", "a", "test"), ("1", "b", "test")]
    for folder in ("train", "test"):
        write_set(tmp_path / folder, ("x",), *((f"{n}",) for n in range(2)))
        (tmp_path / folder / "labels.csv").unlink()
    write_table(tmp_path / "labels.csv", ("id", "label", "split"), *lines[4:6], *lines[-2:])
    few = errors_of(tmp_path)  # both are found, each in its part
    assert len(few) == 1 and "Too few readable images in train of: a (1), b (1)" in few[0]
    write_table(tmp_path / "labels.csv", ("id", "label"), *(line[:2] for line in lines[:2]))
    (message,) = errors_of(tmp_path)
    assert "labels.csv, lines 2, 3: '0' may be test/0.png or train/0.png. Move the table" in message
    assert message.endswith("relative to labels.csv, in column 'id': test/0.png.")
    write_table(tmp_path / "testLabels.csv", ("id", "label"), ("0", "a"), ("1", "b"))
    assert describe_data(config(tmp_path, "testLabels.csv")).found == {"all": [1, 1]}  # its own name says which
    for folder in ("images", "test/deep"):
        write_set(tmp_path / folder, ("x",), ("0",), ("1",))
    report = describe_data(config(tmp_path))
    assert "2 file names that several files have: images/0.png is used, not test/0.png" in report.remarks


def test_two_files_beside_the_folder_of_a_table(tmp_path: Path) -> None:
    write_table(tmp_path / "lists" / "labels.csv", ("path", "label"), *PETS)
    write_set(tmp_path, ("x",), *((f"{name}.png",) for name, _ in PETS), suffix="", below="img")
    write_table(tmp_path / "lists" / "labels.csv", ("path", "label"), *((f"{name}.png", label) for name, label in PETS))
    assert labels(open_data(config(tmp_path / "lists"))) == EXPECTED
    write_set(tmp_path, ("x",), ("im01.png",), suffix="", below="pics")
    (message,) = errors_of(tmp_path / "lists")
    assert "labels.csv, line 3: 'im01.png' may be ../img/im01.png or ../pics/im01.png" in message


@pytest.mark.parametrize(
    ("start", "inner"),
    [("/elsewhere/other/set/", ""), ("C:\\set\\", "a/b/"), ("../input/set/", "a/"), ("gs://bucket/", "")],
)
def test_paths_of_another_machine(tmp_path: Path, start: str, inner: str) -> None:
    write_set(tmp_path, ("path", "label"), *PETS, below=inner)
    lines = [(f"{start}{inner}{name}.png", label) for name, label in PETS]
    write_table(tmp_path / "labels.csv", ("path", "label"), *lines)
    opened = open_data(config(tmp_path))
    assert labels(opened) == EXPECTED
    shown = start.replace("\\", "/")
    assert f"paths begin with {shown}, which is not here; without it they are found: {inner}im00.png" in opened.remarks
    write_table(tmp_path / "labels.csv", ("path", "label"), *lines, (f"{start}{inner}none.png", "cat"))
    (message,) = errors_of(tmp_path)
    assert "Broken images, 1 of 19" in message and f"{inner}none.png: there is no such file" in message


def test_ends_of_paths_that_fit_several_files_or_none(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS, below="a")
    write_set(tmp_path, ("path", "label"), *PETS, below="b")
    for below, expected in (("b/", "without it they are found: b/im00.png"), ("", "'im00' may be a/im00.png or b/im")):
        write_table(tmp_path / "labels.csv", ("path", "label"), *((f"/other/{below}{n}", label) for n, label in PETS))
        found = [*describe_data(config(tmp_path)).remarks] if below else errors_of(tmp_path)
        assert any(expected in words for words in found)
    mixed = [(f"/other/{'cd'[number % 2]}/{name}", label) for number, (name, label) in enumerate(PETS)]
    write_table(tmp_path / "labels.csv", ("path", "label"), *mixed)
    (message,) = errors_of(tmp_path)
    assert "none of the 18 files exists; the first is '/other/c/im00' (there is a/im00.png), looked for" in message
    write_table(tmp_path / "labels.csv", ("path", "label"), *((f"{name.upper()}.JPG", label) for name, label in PETS))
    assert "the first is 'IM00.JPG' (there is a/im00.png)" in errors_of(tmp_path)[0]


def test_other_names_of_columns(tmp_path: Path) -> None:
    write_set(tmp_path, ("what", "who, it is"), *PETS)
    (message,) = errors_of(tmp_path)
    assert "labels.csv: no column is known to hold the files and labels; the columns are: what, who, it is" in message
    assert "--columns path=FILE,label=KIND" in message
    opened = open_data(config(tmp_path, columns='path=what, "label=who, it is"'))
    assert labels(opened) == EXPECTED
    (message,) = errors_of(tmp_path, columns="path=waht,label=what")
    assert "no column 'waht', which is to hold the path. Did you mean 'what'?" in message
    for wrong in ("path", "file=a", "path=a,path=b"):
        found: list[str] = []
        assert checked(DataConfig, {"columns": wrong}, found) is None
        assert f"--columns {wrong!r} cannot be used: write ROLE=COLUMN pairs" in found[0]


def test_missing_files_are_named_and_counted(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS)
    (tmp_path / "im03.png").unlink()
    (tmp_path / "im04.png").write_bytes(b"no image")
    for _ in range(2):  # the second time from the cache
        (message,) = errors_of(tmp_path)
        assert message.startswith("Broken images, 2 of 18:") and "--skip-broken" in message
        assert "im03: there is no such file (labels.csv, line 5)" in message and "im04.png: not an image" in message
    opened = open_data(config(tmp_path, skip_broken=True))
    assert labels(opened) == {n: label for n, label in EXPECTED.items() if n not in (3, 4)}
    write_set(tmp_path, ("path", "label"), *PETS)
    assert labels(open_data(config(tmp_path))) == EXPECTED  # back again, and noticed
    for file in tmp_path.glob("*.png"):
        file.unlink()
    (message,) = errors_of(tmp_path, skip_broken=True)
    assert "none of the 18 files exists; the first is 'im00'" in message


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ["is empty. Give a file with columns"]),
        ([("path", "label")], ["no line follows"]),
        ([("path", "label"), ("a", "x"), ("", "y"), ("b", "")], ["line 4: no label", "line 3: no file"]),
        ([("path", "label"), ("a", "x"), ("b",)], ["line 3: 1 cell, and the first line names 2 columns"]),
        ([("path", "label"), ("a", "x"), ("a", "y")], ["lines 2, 3: 'a' is given labels 'x' and 'y'"]),
        ([("path", "label"), ("a", "cat"), ("b", "Cat")], ["the labels Cat, cat differ in capitals alone"]),
        ([("path", "label"), ("a", "5 \u2103"), ("b", "5 \u00b0C")], ["differ in how they are written alone"]),
        ([("path", "label"), ("a", "big cat"), ("b", "big_cat")], ["the labels 'big cat', 'big_cat' differ in how"]),
        ([("path", "label"), ("a", "1"), ("b", "01"), ("c", "x")], ["line 2: the labels '01', '1' differ in how they"]),
        ([("path", "label"), ("a", "x|y"), ("b", "y|z")], ["lines 2, 3: several labels, 'x|y'"]),
        ([("path", "label"), ("a", "x; y"), ("b", "y;z")], ["lines 2, 3: several labels, 'x; y'"]),
        ([("path", "label"), ("a", "['x', 'y']"), ("b", "z")], ["line 2: several labels, \"['x', 'y']\""]),
        ([("path", "label"), ("a", "x"), ("b", "y"), ("c", "x|y")], ["line 4: several labels, 'x|y'"]),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path: Path, lines: list[Line], expected: list[str]) -> None:
    write_set(tmp_path, ("path",), ("a",), ("b",), ("c",))
    write_table(tmp_path / "labels.csv", *lines)
    found = errors_of(tmp_path)
    assert len(found) == len(expected) and all("labels.csv" in message for message in found)
    assert all(part in message for part, message in zip(expected, found, strict=True))


def test_what_is_no_table(tmp_path: Path) -> None:
    for content, expected in (
        (b"path,label\n\0", "is not a text file"),
        (b'path,label\na,"x\nb,y\n', "line 2: .*mark"),
    ):
        (tmp_path / "labels.csv").write_bytes(content)
        assert re.search(expected, errors_of(tmp_path)[0])
    (tmp_path / "data.npz").write_bytes(b"")
    (message,) = errors_of(tmp_path, source=str(tmp_path / "data.npz"), columns="path=a")
    assert "--columns names the columns of a label file" in message


def test_a_line_twice_counts_once(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS)
    write_table(tmp_path / "labels.csv", ("path", "label"), *PETS, ("./im00.png", "dog"))
    report = describe_data(config(tmp_path))
    assert sum(report.found["all"]) == 18 and not report.errors
    assert "1 line names a file that an earlier one does, with the same label, and count once: 20" in report.remarks
    write_table(tmp_path / "labels.csv", ("path", "label"), *PETS)  # the same images: nothing of it is remembered
    assert not any("count once" in words for words in [*describe_data(config(tmp_path)).remarks])
    (tmp_path / "im03.png").unlink()
    for line, blank in ((5, b""), (6, b"\n")):  # and where lines stand is not
        content = (tmp_path / "labels.csv").read_bytes()
        (tmp_path / "labels.csv").write_bytes(blank + content)
        assert f"im03: there is no such file (labels.csv, line {line})" in errors_of(tmp_path)[0]


def test_another_table_is_noticed(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS)
    before = open_data(config(tmp_path))
    write_table(tmp_path / "labels.csv", ("path", "label"), *((name, "ab"[label == "cat"]) for name, label in PETS))
    after = open_data(config(tmp_path))
    assert after.key != before.key and labels(after) == {n: "ab"[label == "cat"] for n, label in EXPECTED.items()}


def test_parquet(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS)
    path = tmp_path / "labels.parquet"
    if find_spec("pandas") and find_spec("pyarrow"):
        import pandas

        pandas.DataFrame(PETS, columns=["path", "label"]).to_parquet(path)
        assert labels(open_data(config(tmp_path, path.name))) == EXPECTED
    else:
        path.write_bytes(b"PAR1")
        assert "pip install pandas pyarrow" in errors_of(tmp_path, source=str(path))[0]


def test_pictures_that_cannot_be_read_are_found_and_said_to_be_that(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS, below="images")
    (tmp_path / "images" / "im03.png").unlink()
    (tmp_path / "images" / "im03.heic").write_bytes(b"ftypheic")
    (broken,) = describe_data(config(tmp_path)).broken
    assert broken.name == "images/im03.heic" and "HEIC, which is not read here" in broken.reason


def test_a_table_of_test_images_alone(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label", "split"), *((*line, "test") for line in PETS))
    (message,) = errors_of(tmp_path)
    assert "images of test but none of train" in message and "--columns split=)" in message
    assert open_data(config(tmp_path, columns="split=")).classes == ("cat", "dog")
