"""The report of ``nasctl data`` prints names as they are, whatever they look like."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, describe_data
from nas.data.dataset import Broken, DataReport, Duplicates, Pair
from nas.data.examples import class_examples
from nas.errors import UsageError
from nas.report.contact_sheet import draw_sheet, labels_of
from nas.report.png_files import check_png
from nas.report.screen import Screen
from nas.report.tables.data import print_data


def test_names_are_no_markup() -> None:
    report = DataReport(
        name="set [/x]",
        classes=("[/x]", "[red]b[/red]"),
        input_shape=(3, 8, 8),
        found={"all": [5, 6]},
        splits={"train": [2, 2], "select": [1, 1], "rank": [1, 1], "test": [1, 1]},
        image_sizes={"8x8": 11},
        modes={"[/m]": 11},
        formats={"PNG": 11},
        broken=(Broken("[/x]/a.png", "not [/good]"),),
        num_ignored=1,
        errors=(),
        cache_path=Path("/cache"),
    )
    output = io.StringIO()
    print_data(Screen(file=output, width=120), report)
    for text in ("set [/x]: 2 classes", "[red]b[/red]", "[/m] (11)", "[/x]/a.png: not [/good]"):
        assert text in output.getvalue()


def test_copies_are_counted_by_where_they_stand() -> None:
    def pair(number: int, labels: str = "aa", parts: tuple[str, str] = ("train", "train"), splits: str = "") -> Pair:
        one, other = (splits or "train train").split()
        return Pair((f"{number}", f"{number + 1}"), (labels[0], labels[1]), parts, (one, other))

    identical = [pair(10 * number) for number in range(5)] + [pair(70, "ab"), pair(80, parts=("test", "train"))]
    similar = [pair(90, splits="test select")]
    report = DataReport(
        name="set", classes=("a", "b"), input_shape=(3, 8, 8), found={"all": [5, 6]}, splits={}, image_sizes={},
        modes={}, formats={}, broken=(), num_ignored=0, errors=(), cache_path=None,
        duplicates=Duplicates(tuple(identical), tuple(similar)), remarks=("few images",),
    )  # fmt: skip
    output = io.StringIO()
    print_data(Screen(file=output, width=120), report)
    lines = output.getvalue().splitlines()
    assert "Few images." in lines
    at = lines.index("Identical images: 7 pairs")
    assert lines[at + 1 : at + 6] == [
        "  1 in two classes: 70 = 71",
        "  1 in its own train and test: 80 = 81",
        "  5 within a class: 0 = 1, 10 = 11, 20 = 21, and 2 more",
        "Nearly identical images: 1 pair",
        "  1 in the splits select and test: 90 ~ 91",
    ]


def write_folder(folder: Path, num_classes: int) -> None:
    rng = np.random.default_rng(0)
    for label in range(num_classes):
        (folder / f"class {label:03}").mkdir(parents=True)
        for number in range(5):
            size = (12, 20) if number else (30, 10)
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).convert("RGB" if label else "L")
            picture.save(folder / f"class {label:03}" / f"{number}.{'png' if number % 2 else 'bmp'}")


def test_a_sheet_of_examples_as_they_are_and_as_prepared(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", 3)
    config = DataConfig(source=str(tmp_path / "data"), image_size=16, fit="pad", cache_dir=str(tmp_path / "cache"))
    report = describe_data(config)
    assert report.preprocessing is not None
    shown = class_examples(config, report.preprocessing, report.classes, 80, 2)
    assert [(one.name, one.count) for one in shown] == [(f"class {label:03}", 5) for label in range(3)]
    assert shown[0].sizes == ((12, 20), (30, 10)) and shown[1].kinds == ("BMP RGB", "PNG RGB")
    original, prepared = shown[1].pairs[0]
    stored = np.asarray(Image.open(tmp_path / "data" / "class 001" / "0.bmp")).transpose(2, 0, 1)
    assert (original == stored).all()
    assert prepared.shape == (3, 16, 16) and not prepared[:, :5].any() and not prepared[:, -5:].any()  # padded
    draw_sheet(tmp_path / "sheet.png", report, shown)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    times = 64 // 16
    enlarged = prepared.transpose(1, 2, 0).repeat(times, axis=0).repeat(times, axis=1)
    spots = [(y, x) for y, x in np.argwhere((sheet == enlarged[32, 0]).all(axis=2)) if y >= 32]
    assert any(np.array_equal(sheet[y - 32 : y + 32, x : x + 64], enlarged) for y, x in spots)  # not a pixel blurred


def test_of_hundreds_of_classes_the_ends_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", 9)
    config = DataConfig(source=str(tmp_path / "data"), image_size=8, cache_dir=str(tmp_path / "cache"))
    report = describe_data(config)
    assert report.preprocessing is not None
    shown = class_examples(config, report.preprocessing, report.classes, 4, 3)
    assert [one.name[-1] for one in shown] == list("0178")
    labels = [label.text for label in labels_of(report, shown)]
    assert labels[0] == "data: 9 classes, 5 of them not shown" and "... 5 more ..." in labels


def test_a_picture_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a PNG file: give a name that ends in \.png"):
        check_png("plot", tmp_path / "sheet.pdf")
    with pytest.raises(UsageError, match="there is no folder"):
        check_png("plot", tmp_path / "none" / "sheet.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=r"--out .*folder\.png is a folder: name a file in it"):
        check_png("out", tmp_path / "folder.png")
