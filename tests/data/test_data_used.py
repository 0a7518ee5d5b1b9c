"""Only what is used counts, what is said of a folder is what it holds today, small classes can be dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, DataReport, describe_data, open_data
from nas.data.images import SEVERAL_PAGES
from nas.errors import DataError


def write(
    folder: Path, count: int = 6, side: int = 8, mode: str = "L", *, suffix: str = "png", prefix: str = ""
) -> None:
    """``count`` images, no two alike in the whole of a test."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([*str(folder.name).encode(), *prefix.encode(), side])
    for number in range(count):
        image = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).convert(mode)
        image.save(folder / f"{prefix}{number}.{suffix}")


def config(path: Path, **changes: Any) -> DataConfig:
    return DataConfig(**{"source": str(path / "data"), "cache_dir": str(path / "cache"), **changes})


def described(path: Path, **changes: Any) -> DataReport:
    return describe_data(config(path, **changes))


def errors_of(path: Path, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        open_data(config(path, **changes))
    return caught.value.messages


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Two plain classes of grey images and two with a broken one, of other sizes, in colour, of several pages."""
    for name in ("a", "b"):
        write(tmp_path / "data" / name)
    write(tmp_path / "data" / "odd", side=12, mode="RGB")
    write(tmp_path / "data" / "odd", 1, side=20, mode="RGB", prefix="wide")
    pages = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "data" / "odd" / "pages.gif", save_all=True, append_images=pages[1:])
    (tmp_path / "data" / "odd" / "0.png").write_bytes(b"no image")
    write(tmp_path / "data" / "small", 2)
    cut = (tmp_path / "data" / "small" / "0.png").read_bytes()
    (tmp_path / "data" / "small" / "0.png").write_bytes(cut[:-30])  # only decoding shows it
    return tmp_path


@pytest.mark.parametrize(
    "changes", [{"classes": "a,b"}, {"ignore": "odd,small"}, {"classes": "a,b,small", "drop_small_classes": True}]
)
@pytest.mark.parametrize("looked", [False, True])
def test_images_of_classes_that_are_left_out_do_not_count(odd: Path, changes: dict[str, Any], looked: bool) -> None:
    if looked:  # at all of it, beforehand
        assert described(odd).proposal == "--image-size 16"
    report = described(odd, **changes)
    assert not report.errors and report.proposal is None and not report.broken and not report.notes
    assert report.image_sizes == {"8x8": 12} and report.modes == {"L": 12} and report.formats == {"PNG": 12}
    assert report.input_shape == (1, 8, 8) and open_data(config(odd, **changes)).classes == ("a", "b")
    whole = described(odd, image_size=8)
    assert [one.name for one in whole.broken] == ["odd/0.png", "small/0.png"] and whole.notes == {SEVERAL_PAGES: 1}
    assert whole.input_shape == (3, 8, 8) and whole.image_sizes["8x8"] == 13
    assert "Broken images, 2 of 22" in whole.errors[-1]


def test_parts_that_are_left_out_do_not_count(tmp_path: Path) -> None:
    for part, side in (("train", 8), ("val", 9)):
        for name in ("a", "b"):
            write(tmp_path / "data" / part / name, side=side)
    (tmp_path / "data" / "val" / "a" / "0.png").write_bytes(b"no image")
    assert "several sizes" in errors_of(tmp_path)[-1]
    report = described(tmp_path, ignore_val=True)
    assert not report.errors and report.image_sizes == {"8x8": 12} and not report.broken


def test_broken_images_beyond_the_most_of_a_class_do_not_count(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "data" / name, 8)
    (tmp_path / "data" / "a" / "7.png").write_bytes(b"no image")
    assert len(errors_of(tmp_path)) == 1
    report = described(tmp_path, max_per_class=6)
    assert not report.errors and report.found == {"all": [6, 6]} and report.image_sizes == {"8x8": 12}
    (error,) = errors_of(tmp_path, max_per_class=8)  # there it would have been used
    assert "Broken images, 1 of 16" in error


def test_levels_are_those_of_the_images_in_use(tmp_path: Path) -> None:
    for name, top in (("a", 900), ("b", 1000), ("deep", 60_000)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.full((8, 8), top, dtype=np.uint16)
            pixels[0, 0] = number
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    assert described(tmp_path).levels == (0, 65535)
    assert described(tmp_path, classes="a,b").levels == (0, 1023)
    assert described(tmp_path).levels == (0, 65535)


def test_what_lies_beside_is_told_as_it_is_today(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / "data" / name)
    assert described(tmp_path).num_ignored == 0
    (tmp_path / "data" / "notes.txt").touch()
    (tmp_path / "data" / "a" / "list.txt").touch()
    assert described(tmp_path).num_ignored == 2
    (tmp_path / "data" / "a" / "list.txt").unlink()
    assert described(tmp_path).num_ignored == 1
    (tmp_path / "data" / "c" / "list.txt").touch()
    assert described(tmp_path, ignore="*.txt").num_ignored == 0
    assert described(tmp_path).num_ignored == 2
    assert len(list((tmp_path / "cache" / "sets").iterdir())) == 1  # the images are the same all the time


def test_notes_of_a_layout_are_those_of_today(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "data" / "train" / name / "images", 8)
    write(tmp_path / "data" / "val" / "images", 8, prefix="v")
    lines = "".join(f"v{number}.png\t{'ab'[number % 2]}\n" for number in range(8))
    (tmp_path / "data" / "val" / "val_annotations.txt").write_text(lines)
    write(tmp_path / "data" / "test" / "images", 1, prefix="t")
    note = "Images of test without labels, left out"
    assert described(tmp_path).notes == {note: 1}
    write(tmp_path / "data" / "test" / "images", 3, prefix="t")
    assert described(tmp_path).notes == {note: 3}


def test_masks_are_asked_about_whatever_was_answered_before(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "data" / name)
        write(tmp_path / "data" / name, suffix="bmp", prefix="")
    every = {"match": "*", "allow_duplicates": True}
    assert sum(described(tmp_path, **every).found["all"]) == 24
    assert "with the same name" in errors_of(tmp_path)[0]


def test_a_class_of_copies_can_be_dropped(tmp_path: Path) -> None:
    for name in ("a", "b", "same"):
        write(tmp_path / "data" / name, 8)
    for number in range(1, 8):
        (tmp_path / "data" / "same" / f"{number}.png").write_bytes((tmp_path / "data" / "same" / "0.png").read_bytes())
    (error,) = errors_of(tmp_path)
    assert "Too few different images of: same (1)" in error and "--drop-small-classes" in error
    assert "--allow-duplicates" in error
    data = open_data(config(tmp_path, drop_small_classes=True))
    assert data.classes == ("a", "b") and [sum(counts) for counts in zip(*data.counts.values(), strict=True)] == [8, 8]
    assert "1 class left out, with too few different images for every split: same (1)" in data.remarks
    both = open_data(config(tmp_path, drop_small_classes=True, allow_duplicates=True))
    assert both.classes == ("a", "b", "same")


def test_a_class_of_few_groups_can_be_dropped(tmp_path: Path) -> None:
    for name, groups in (("a", 8), ("b", 8), ("few", 2)):
        for group in range(groups):
            write(tmp_path / "data" / name, 16 // groups, prefix=f"{name}{group}_")
    pattern = r"^(\w+?)_"
    (error,) = errors_of(tmp_path, group=pattern)
    assert "Too few groups" in error and "few (2)" in error and "--drop-small-classes" in error
    data = open_data(config(tmp_path, group=pattern, drop_small_classes=True))
    assert data.classes == ("a", "b") and sum(map(sum, data.counts.values())) == 32
    assert any("few (2)" in remark and "groups" in remark for remark in data.remarks)


def test_where_too_few_classes_are_left_it_is_told_why(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a", 8)
    write(tmp_path / "data" / "few", 3)
    write(tmp_path / "data" / "same", 8)
    for number in range(8):
        Image.new("L", (8, 8), 7).save(tmp_path / "data" / "same" / f"{number}.png")
    (error,) = errors_of(tmp_path, drop_small_classes=True)
    assert "There is only one class, 'a'" in error and "few (3)" in error and "same (1)" in error


def test_results_of_another_method_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write(tmp_path / "data" / name, 8)
    (tmp_path / "data" / "a" / "1.png").write_bytes((tmp_path / "data" / "a" / "0.png").read_bytes())
    report = described(tmp_path)
    assert len(report.duplicates.identical) == 1 and report.cache_path is not None
    kept = sorted(path.name for path in report.cache_path.glob("*-*.npy"))
    assert [name.partition("-")[0] for name in kept] == ["flat", "identical", "near"]
    for name in kept:  # as an older method would have left them
        rows = np.load(report.cache_path / name)
        (report.cache_path / name).rename(report.cache_path / f"{name.partition('-')[0]}-0.npy")
        np.save(report.cache_path / f"{name.partition('-')[0]}.npy", np.zeros_like(rows))
    assert described(tmp_path).duplicates == report.duplicates
    assert set(kept) <= {path.name for path in report.cache_path.iterdir()}
