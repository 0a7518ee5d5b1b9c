"""Columns of label files: none is chosen, read otherwise than it means or left out in silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from label_tables import EXPECTED, PETS, config, errors_of, labels, write_set, write_table

from nas.data import DataReport, describe_data, open_data


def report(folder: Path, header: tuple[str, ...], row: Callable[[int, str, str], tuple[object, ...]]) -> DataReport:
    """Message on a table with these columns; ``row`` gives a line's cells by its number, file and label."""
    write_set(folder, ("path", "label"), *PETS)
    write_table(folder / "labels.csv", header, *(row(number, *line) for number, line in enumerate(PETS)))
    return describe_data(config(folder))


def test_of_two_columns_of_labels_the_user_chooses(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS)
    lines = [(name, "xyz"[n // 2 % 3], label, n % 2) for n, (name, label) in enumerate(PETS)]
    write_table(tmp_path / "labels.csv", ("path", "label", "class", "type"), *lines)
    (message,) = errors_of(tmp_path)
    assert "labels.csv: several columns may hold the labels: 'label' (3 classes), 'class' (2 classes)" in message
    assert message.endswith("Say which: --columns label=label or --columns label=class.")
    assert open_data(config(tmp_path, columns="label=label")).classes == ("x", "y", "z")
    opened = open_data(config(tmp_path, columns="label=class"))
    assert labels(opened) == EXPECTED
    assert any("files by path, labels by class; not used: label, type (--columns ch" in it for it in opened.remarks)


@pytest.mark.parametrize("header", [("path", "label", "class name"), ("path", "class_id", "label")])
def test_numbers_and_names_of_the_same_classes(tmp_path: Path, header: tuple[str, ...]) -> None:
    found = report(tmp_path, header, lambda number, name, label: (name, len(EXPECTED) * (label == "cat"), label))
    assert found.classes == ("cat", "dog") and labels(open_data(config(tmp_path))) == EXPECTED
    assert found.remarks[0] == f"labels by column {header[2]!r}; {header[1]!r} would give the same classes"


def test_columns_that_say_nothing_of_labels(tmp_path: Path) -> None:
    found = report(tmp_path, ("", "class", "path", "kind", "category"), lambda n, name, la: (n, la, name, n % 2, "pet"))
    assert found.classes == ("cat", "dog")
    assert found.remarks[0] == (
        "columns of labels.csv: files by path, labels by class; not used: kind, category (--columns chooses)"
    )
    found = report(tmp_path, ("path", "type", "A", "B"), lambda n, name, la: (name, "png", n % 2, 1 - n % 2))
    assert found.classes == ("A", "B")


def test_columns_called_alike(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS)
    lines = [(name, label, "xy"[n % 2]) for n, (name, label) in enumerate(PETS)]
    write_table(tmp_path / "labels.csv", ("path", "label", "label"), *lines)
    assert "2 columns are called 'label'. Give them different names" in errors_of(tmp_path)[0]
    write_table(tmp_path / "labels.csv", ("path", "label", "Label"), *lines)
    assert "'label' (2 classes), 'Label' (2 classes)" in errors_of(tmp_path)[0]


def test_the_column_that_names_images(tmp_path: Path) -> None:
    found = report(tmp_path, ("image_id", "id", "label"), lambda n, name, label: (n, f"{name}.png", label))
    assert labels(open_data(config(tmp_path))) == EXPECTED and "files by id" in found.remarks[0]
    lines = [(f"a/{name}.png", f"{name}.png", label) for name, label in PETS]
    write_table(tmp_path / "labels.csv", ("path", "image", "label"), *lines)
    assert labels(open_data(config(tmp_path))) == EXPECTED  # the same names
    lines[3] = ("im04.png", *lines[3][1:])
    write_table(tmp_path / "labels.csv", ("path", "image", "label"), *lines)
    (message,) = errors_of(tmp_path)
    assert "line 5: the columns 'path' and 'image' name different files" in message and "path=image" in message


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("is_test", ("0", "1")),
        ("test", ("False", "True")),
        ("isTest", ("no", "yes")),
        ("in_test_set", ("", "1")),
        ("istest", ("0.0", "1.0")),
    ],
)
def test_a_flag_for_the_test_images(tmp_path: Path, name: str, bits: tuple[str, str]) -> None:
    found = report(tmp_path, ("path", "label", name), lambda n, file, label: (file, label, bits[n >= 12]))
    assert found.found == {"train": [8, 4], "test": [4, 2]}
    assert found.remarks[0] == f"splits by column {name!r} (1: test, 0: train)"


@pytest.mark.parametrize(
    ("header", "flags", "expected"),
    [
        (["is_train"], lambda n: [n < 12], {"train": [8, 4], "test": [4, 2]}),
        (["is_training_img"], lambda n: [n < 12], {"train": [8, 4], "test": [4, 2]}),
        (["is_valid"], lambda n: [n >= 12], {"train": [8, 4], "val": [4, 2]}),
        (["valid"], lambda n: [n < 12], {"all": [12, 6]}),  # most are in order
        (["train", "val"], lambda n: [n < 12, n > 14], {"train": [8, 4], "val": [2, 1], "test": [2, 1]}),
        (["val", "test"], lambda n: [n < 6, n > 11], {"train": [4, 2], "val": [4, 2], "test": [4, 2]}),
        (["train", "val", "test"], lambda n: [n < 6, n == 6, n > 6], {"train": [4, 2], "val": [0, 1], "test": [8, 3]}),
        (["test result"], lambda n: [n < 12], {"all": [12, 6]}),
        (["is_test"], lambda n: [False], {"all": [12, 6]}),
    ],
)  # fmt: skip
def test_flags_for_splits(
    tmp_path: Path, header: list[str], flags: Callable[[int], list[bool]], expected: dict[str, list[int]]
) -> None:
    found = report(tmp_path, ("path", "label", *header), lambda n, file, label: (file, label, *map(int, flags(n))))
    assert found.found == expected
    if "all" in expected:
        assert f"not used: {header[0]}" in found.remarks[0]
        return
    told = describe_data(config(tmp_path, columns=f"split={'+'.join(header)}"))
    assert told.found == expected


def test_flags_beside_columns_of_bits_for_classes(tmp_path: Path) -> None:
    def row(number: int, name: str, label: str) -> tuple[object, ...]:
        return name, int(label == "cat"), int(label == "dog"), int(number >= 12)

    found = report(tmp_path, ("path", "cat", "dog", "is_test"), row)
    assert found.classes == ("cat", "dog") and found.found == {"train": [8, 4], "test": [4, 2]}


def test_flags_that_contradict_each_other(tmp_path: Path) -> None:
    write_set(tmp_path, ("path", "label"), *PETS)

    def said(header: tuple[str, ...], *cells: tuple[object, ...]) -> str:
        lines = [(*line, *own) for line, own in zip(PETS[:4], cells, strict=True)]
        write_table(tmp_path / "labels.csv", ("path", "label", *header), *lines)
        return errors_of(tmp_path)[0]

    message = said(("train", "test"), (1, 0), (1, 1), (0, 1), (0, 0))
    assert "lines 3, 5: 2 of the columns train, test say yes" in message and "--columns split=" in message
    message = said(("split", "is_test"), ("train", 0), ("test", 1), ("test", 0), ("train", 0))
    assert "line 4: 'split' says test, and 'is_test' says train. Say which" in message
    assert "--columns split=split or --columns split=is_test" in message
    message = said(("is_test",), (0,), (1,), ("",), (0,))
    assert "line 4: neither 0 nor 1 in column 'is_test'" in message


@pytest.mark.parametrize("name", ["phase", "dataset", "Purpose"])
def test_a_column_of_any_name_that_holds_splits(tmp_path: Path, name: str) -> None:
    found = report(tmp_path, ("path", "label", name), lambda n, f, la: (f, la, "Test set" if n >= 12 else "train"))
    assert found.found == {"train": [8, 4], "test": [4, 2]}


def test_classes_that_programs_take_for_missing(tmp_path: Path) -> None:
    found = report(tmp_path, ("path", "label"), lambda n, name, _: (name, ("nan", "NA", "cat")[n % 3]))
    assert found.classes == ("NA", "cat", "nan") and found.found == {"all": [6, 6, 6]}
    assert found.remarks[0].startswith("'NA', 'nan' in column 'label' counts as a class (12 lines)")
    lines = [(name, "nan" if n in (4, 7) else f"{n % 2}.0") for n, (name, _) in enumerate(PETS)]
    write_table(tmp_path / "labels.csv", ("path", "label"), *lines)
    assert "lines 6, 9: 'nan' beside numbers in column 'label' is not a label" in errors_of(tmp_path)[0]
    lines = [(name, "" if n in (4, 7) else label) for n, (name, label) in enumerate(PETS)]
    write_table(tmp_path / "labels.csv", ("path", "label"), *lines)
    assert "labels.csv, lines 6, 9: no label in column 'label'. Fill it in" in errors_of(tmp_path)[0]


@pytest.mark.parametrize("form", ["{}.0", "{}.", "{}.000e+00", " {}\t"])
def test_whole_numbers_as_programs_write_them(tmp_path: Path, form: str) -> None:
    assert report(tmp_path, ("path", "label"), lambda n, name, _: (name, form.format(n % 2))).classes == ("0", "1")


def test_one_text_in_two_encodings_is_one_class(tmp_path: Path) -> None:
    spellings = ("caf\u00e9", "cafe\u0301", "\u00a0caf\u00e9", "tea")
    assert report(tmp_path, ("path", "label"), lambda n, name, _: (name, spellings[n % 4])).classes == (
        "caf\u00e9",
        "tea",
    )


def test_two_words_beside_each_of_them(tmp_path: Path) -> None:
    found = report(tmp_path, ("path", "label"), lambda n, name, _: (name, ("red", "fox", "red fox")[n % 3]))
    assert found.classes == ("fox", "red", "red fox")
    assert found.remarks[0] == "'red fox' in column 'label' counts as a class of its own"


@pytest.mark.parametrize("forms", [("{}", "{}.0"), ("P{}", "p{}")])
def test_a_group_written_in_two_ways_is_one(tmp_path: Path, forms: tuple[str, str]) -> None:
    found = report(tmp_path, ("path", "label", "patient"), lambda n, name, la: (name, la, forms[n % 2].format(n // 2)))
    assert any("9 groups by column 'patient', none in two splits" in remark for remark in found.remarks)


def test_advice_keeps_what_columns_says_already(tmp_path: Path) -> None:
    lines = [(name, label, n % 3, "train" if n % 4 else "odd") for n, (name, label) in enumerate(PETS)]
    write_set(tmp_path, ("path", "label", "class", "split"), *lines)
    told = "group="
    for _ in range(2):
        told = re.findall(r"--columns (\S+)", errors_of(tmp_path, columns=told)[0])[0]
    assert told == "group=,label=label,split="
    assert open_data(config(tmp_path, columns=told)).classes == ("cat", "dog")
