"""Sources of data: folders, archives of arrays, named sets; and the messages when one cannot be used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.config.validation import checked
from nas.data import DataConfig, describe_data, open_data
from nas.data.printable_names import printable
from nas.errors import DataError

RNG = np.random.default_rng(0)


def write_image(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def write_classes(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            write_image(folder / name / f"{number:03}.png")
    return folder


def config(path: Path, **changes: Any) -> DataConfig:
    """The data in ``path``/data (or ``source``), with a cache beside it."""
    return DataConfig(**{"source": str(path / "data"), "cache_dir": str(path / "cache"), **changes})


def errors_of(path: Path, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        open_data(config(path, **changes))
    return caught.value.messages


WRONG_SIZE = "cannot be used: give one side, or width x height: 32 or 96x64, each from 8 to 224."


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"imbalance": float("inf")}, "--imbalance inf cannot be used: Input should be a finite number."),
        ({"imbalance": float("nan")}, "--imbalance nan cannot be used: Input should be a finite number."),
        ({"fit": "pad"}, "--fit 'pad' cannot be used: add --image-size, the size to pad to."),
        ({"fit": "pad", "image_size": 7}, f"--image-size 7 {WRONG_SIZE}"),
        *(
            ({"image_size": size}, f"--image-size {size!r} {WRONG_SIZE}")
            for size in ("96x", "96x7", "225", "8x8x8", "a")
        ),
    ],
)
def test_settings_that_cannot_be(values: dict[str, Any], expected: str) -> None:
    errors: list[str] = []
    assert checked(DataConfig, values, errors) is None
    assert errors == [expected]
    assert DataConfig(fit="pad", image_size=8).fit == "pad"


def test_importing_the_package_is_light() -> None:
    heavy = "{'torch', 'torchvision', 'sklearn', 'PIL'}"
    code = f"import sys, nas.data; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_class_folders(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", cat=10, dog=20)
    write_image(data / "cat" / "UPPER.PNG").rename(data / "cat" / "UPPER.JPG")  # a PNG by another name
    write_image(data / "dog" / "inner" / "deep.bmp")
    write_image(data / "dog" / "x.png").rename(data / "dog" / "no_suffix")
    for junk in (
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "cat/._000.png",
        ".hidden/a.png",
        "__MACOSX/a.png",
        "notes.txt",
    ):
        (data / junk).parent.mkdir(exist_ok=True)
        (data / junk).write_bytes(b"not an image")
    (data / "dog" / "README").write_text("about dogs")
    steps: list[tuple[int, int]] = []
    opened = open_data(config(tmp_path), progress=lambda done, total: steps.append((done, total)))
    assert opened.name == "data" and opened.classes == ("cat", "dog") and opened.input_shape == (3, 8, 8)
    assert [sum(counts) for counts in zip(*opened.counts.values(), strict=True)] == [11, 22]
    assert steps and all(0 < done <= total for done, total in steps) and steps[-1][0] == steps[-1][1]
    report = describe_data(config(tmp_path))
    assert report.num_ignored == 4  # notes.txt, README, and two hidden ones that are called as images are
    assert report.formats == {"PNG": 32, "BMP": 1} and report.modes == {"RGB": 33}
    assert report.found == {"all": [11, 22]} and report.splits == opened.counts and not report.errors
    assert report.image_sizes == {"8x8": 33}


def test_own_test_and_val_folders(tmp_path: Path) -> None:
    write_classes(tmp_path / "data" / "Train", a=9, b=8)
    write_classes(tmp_path / "data" / "test", a=3, b=2)
    (tmp_path / "data" / "annotations").mkdir()
    counts = open_data(config(tmp_path)).counts
    assert counts["test"] == [3, 2]
    assert np.sum([counts[name] for name in ("train", "select", "rank")], axis=0).tolist() == [9, 8]
    write_classes(tmp_path / "data" / "valid", a=4, b=5)
    opened = open_data(config(tmp_path))
    assert opened.counts == {"train": [9, 8], "select": [2, 3], "rank": [2, 2], "test": [3, 2]}
    pixels = {split: opened.split(split).images.tobytes() for split in ("train", "test")}  # type: ignore[arg-type]
    on_disk = [np.asarray(Image.open(tmp_path / "data" / "test" / name)) for name in ("a/000.png", "b/001.png")]
    assert pixels["test"].startswith(on_disk[0].transpose(2, 0, 1).tobytes())
    assert pixels["test"].endswith(on_disk[1].transpose(2, 0, 1).tobytes())


def test_train_and_test_may_be_class_names(tmp_path: Path) -> None:
    write_classes(tmp_path / "data", train=6, tram=6)
    assert open_data(config(tmp_path)).classes == ("train", "tram")


def test_imbalance_is_for_train_alone(tmp_path: Path) -> None:
    write_classes(tmp_path / "data", a=40, b=40, c=40)
    whole, tailed = open_data(config(tmp_path)), open_data(config(tmp_path, imbalance=4))
    most = max(whole.counts["train"])
    assert tailed.counts["train"] == [whole.counts["train"][0], most // 2, most // 4]
    assert tailed.counts | {"train": []} == whole.counts | {"train": []} and tailed.key != whole.key


def test_broken_images(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", a=12, b=30)
    whole = (data / "a" / "000.png").read_bytes()
    (data / "a" / "000.png").write_bytes(whole[:-40])  # the header is fine, the pixels end early
    (data / "a" / "001.png").write_bytes(b"")
    for number in range(21):
        (data / "b" / f"{number:03}.png").write_bytes(b"text, not pixels")
    (data / "b" / "gone.png").symlink_to(data / "nowhere.png")
    for _ in range(2):  # the second time from the cache
        (message,) = errors_of(tmp_path)
        assert message.startswith("Broken images, 24 of 43") and "--skip-broken" in message
        assert "a/000.png: " in message and "a/001.png: an empty file" in message and "... and 4 more" in message
    report = describe_data(config(tmp_path))
    assert len(report.broken) == 24 and report.errors == (message,) and sum(map(sum, report.splits.values())) == 19
    assert report.broken[-1].name == "b/gone.png" and "No such file" in report.broken[-1].reason
    opened = open_data(config(tmp_path, skip_broken=True))
    assert sum(map(sum, opened.counts.values())) == 19
    remaining = {np.asarray(Image.open(data / "b" / f"{number:03}.png")).tobytes() for number in range(21, 30)}
    kept = np.concatenate([opened.split(split).images for split in opened.counts])  # type: ignore[arg-type]
    assert remaining <= {image.transpose(1, 2, 0).tobytes() for image in kept}


def test_too_few_images_after_broken_ones_are_reported_together(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", a=5, b=6, c=3)
    (data / "a" / "000.png").write_bytes(b"broken")
    few, broken = errors_of(tmp_path)
    assert "a (4), c (3)" in few and "at least 5" in few and "Broken images, 1 of 14" in broken
    (few,) = describe_data(config(tmp_path, skip_broken=True)).errors
    assert "a (4)" in few


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: None, ["no folder, .npz file or built-in"]),
        (lambda p: p.mkdir(), ["no class folders"]),
        (lambda p: write_image(p / "a.png"), ["no class folders"]),
        (lambda p: (p / "a").mkdir(parents=True), ["no images"]),
        (lambda p: write_classes(p, a=9), ["only one class, 'a'"]),
        (lambda p: write_classes(p, a=9, b=0, c=0, d=3), ["No images in: b, c"]),
        (lambda p: write_classes(p / "test", a=9, b=9), ["images of test but none of train"]),
        (
            lambda p: (write_classes(p / "train", a=9, b=9), write_image(p / "test" / "0.png")),
            ["test has no class"],
        ),
        (
            lambda p: (
                write_classes(p / "train", a=9, b=9, e=0),
                write_classes(p / "test", b=1, c=1, d=1, e=0),
            ),
            ["No images in: e", "test that train lacks: c, d", "train that test lacks: a"],
        ),
        (lambda p: p.write_bytes(b"x"), ["holds no data set"]),
    ],
)
def test_unusable_folders(tmp_path: Path, make: Any, expected: list[str]) -> None:
    make(tmp_path / "data")
    found = errors_of(tmp_path)
    assert len(found) == len(expected)
    for message, pattern in zip(found, expected, strict=True):
        assert re.search(pattern, message)


def test_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    (message,) = errors_of(tmp_path, source="cifar-10")
    assert "Did you mean 'cifar10'?" in message and "digits" in message
    for nonsense in ("", "x" * 5000):
        assert len(errors_of(tmp_path, source=nonsense)) == 1


def test_file_names_that_are_no_text(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", a=6, b=6)
    broken = os.fsdecode(os.fsencode(data / "a") + b"/\xff.png")
    Path(broken).write_bytes(b"broken")
    (message,) = errors_of(tmp_path)
    assert "a/\\xff.png" in message and message.encode()
    assert sum(map(sum, open_data(config(tmp_path, skip_broken=True)).counts.values())) == 12


def test_class_names_that_are_no_text(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", tee=6, café=6)
    plain = write_classes(tmp_path / "more", x=6) / "x"
    plain.rename(os.fsdecode(os.fsencode(data) + b"/caf\xe9"))
    (data / "tee").rename(data / "line\nbreak")
    opened = open_data(config(tmp_path))
    assert opened.classes == ("café", "caf\\xe9", "line\\nbreak")
    assert describe_data(config(tmp_path)).classes == opened.classes
    data.rename(os.fsdecode(os.fsencode(tmp_path) + b"/set\xff"))
    write_classes(tmp_path / "data", **{"caf\\xe9": 6})
    for folder in tmp_path.glob("set*/*"):
        folder.rename(tmp_path / "data" / folder.name)
    assert errors_of(tmp_path) == ("Two classes would both be called caf\\xe9. Rename one of them.",)


def test_a_folder_whose_name_is_no_text() -> None:
    assert printable(os.fsdecode(b"set\xff \x1b")) == "set\\xff \\x1b"
    assert printable("\ud800 👩\u200d🔬 é\xa0") == "\\ud800 👩\u200d🔬 é\xa0"


# ---- .npz


def test_npz_labels_of_bytes_stay_apart(tmp_path: Path) -> None:
    labels = np.array([b"caf\xe9", b"caf\xe8"] * 20)
    np.savez(tmp_path / "set.npz", images=np.zeros((40, 8, 8), np.uint8), labels=labels)
    source = config(tmp_path, source=str(tmp_path / "set.npz"), allow_duplicates=True)
    assert open_data(source).classes == ("caf\\xe8", "caf\\xe9")


def arrays(count: int = 40, shape: tuple[int, ...] = (8, 9), dtype: Any = np.uint8) -> dict[str, Any]:
    images = RNG.integers(0, 256, (count, *shape)).astype(dtype)
    return {"images": images, "labels": np.arange(count) % 3}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 9), (1, 8, 9)),
        ((8, 9, 1), (1, 8, 9)),
        ((1, 8, 9), (1, 8, 9)),
        ((8, 9, 3), (3, 8, 9)),
        ((3, 8, 9), (3, 8, 9)),
    ],
)
def test_npz_layouts(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    whole = arrays(shape=shape)
    test = {f"test_{name}": array for name, array in arrays(shape=shape, count=6).items()}
    np.savez(tmp_path / "set.npz", **whole, **test)
    opened = open_data(config(tmp_path, source=str(tmp_path / "set.npz")))
    assert opened.name == "set" and opened.input_shape == expected and opened.classes == ("0", "1", "2")
    split = opened.split("test")
    images = test["test_images"]
    planes = images.transpose(0, 3, 1, 2) if shape[-1] in (1, 3) else images.reshape(6, *expected)
    assert (split.images == planes).all() and split.labels.tolist() == [0, 1, 2, 0, 1, 2]
    split.images[:] = 0  # stays in this process
    assert (opened.split("test").images == planes).all()


def test_npz_floats_strings_and_numeric_order(tmp_path: Path) -> None:
    pixels = np.linspace(0, 1, 40 * 64, dtype=np.float32).reshape(40, 8, 8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.array(["b", "a"] * 20))
    opened = open_data(config(tmp_path, source=str(tmp_path / "a.npz"), image_size=16))
    assert opened.classes == ("a", "b") and opened.input_shape == (1, 16, 16)
    np.savez_compressed(tmp_path / "b.npz", images=pixels, labels=np.array([10, 9, 100, 9] * 10)[:, None])
    opened = open_data(config(tmp_path, source=str(tmp_path / "b.npz")))
    assert opened.classes == ("9", "10", "100") and opened.input_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"labels": None}, ["'labels' is missing (there are: images uint8 (40, 8, 9)). Write it under that name"]),
        ({"labels": np.arange(7)}, ["40 images and 7 labels"]),
        ({"images": np.zeros((40, 8, 8), complex)}, ["images must be whole numbers or floats, and is complex128"]),
        ({"images": np.zeros((40, 8, 8, 4), np.uint8)}, ["1 or 3 channels, and is (40, 8, 8, 4)"]),
        ({"images": np.float64(3.0)}, ["1 or 3 channels, and is ()"]),
        (
            {"images": np.full((40, 8, 8), "a"), "labels": np.full(40, 0.5)},
            ["whole numbers or floats", "whole numbers or strings"],
        ),
        ({"images": np.array([None] * 40)}, ["cannot be read"]),
        ({"test_images": np.zeros((3, 8, 9), np.uint8)}, ["'test_labels' is missing"]),
        ({"labels": np.ones((40, 3), int)}, ["one-hot, but not every row holds exactly one 1"]),
        ({"labels": np.full(40, np.nan)}, ["float64 of shape (40,) with fractions or NaN"]),
        ({"train_images": np.zeros((3, 8, 9), np.uint8)}, ["'images' and 'train_images' are both images of train"]),
        ({"test_images": np.zeros((3, 9, 9), np.uint8), "test_labels": np.arange(3)}, ["must agree"]),
        ({"test_images": np.zeros((3, 8, 9), float), "test_labels": np.arange(3)}, ["float64; they must agree"]),
        ({"images": np.zeros((0, 8, 8), np.uint8), "labels": np.zeros(0, int)}, ["There are no images"]),
        ({"class_names": np.array(["a", "b"])}, ["has 2 names, for labels from 0 to 1, and labels go from 0 to 2"]),
        ({"class_names": np.array(["a", "b", "a"])}, ["must be different strings, one per class, and is <U1 (3,)"]),
        ({"synthetic": np.full(40, 2)}, ["must be 0 or 1 for each of the 40 training images, and is int64 (40,)"]),
    ],
)
def test_npz_errors(tmp_path: Path, change: dict[str, Any], expected: list[str]) -> None:
    content = {name: array for name, array in {**arrays(), **change}.items() if array is not None}
    np.savez(tmp_path / "set.npz", **content)
    found = errors_of(tmp_path, source=str(tmp_path / "set.npz"))
    assert len(found) == len(expected) and all(part in message for part, message in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        (("x_train", "y_train"), None, ("x_test", "y_test")),
        (("X_train", "y_train"), ("X_valid", "y_valid"), None),
        (("train_images", "train_labels"), ("val_images", "val_labels"), ("test_images", "test_labels")),
        (("images", "labels"), None, ("test_images", "test_labels")),
    ],
)
def test_npz_names_of_others(tmp_path: Path, train: Any, val: Any, test: Any) -> None:
    images = {name: np.full((12, 8, 8), grey, np.uint8) for grey, name in enumerate((train, val, test)) if name}
    content = {names[0]: array for names, array in images.items()}
    content |= {names[1]: (np.arange(12) % 3)[:, None] for names in images}
    np.savez(tmp_path / "set.npz", **content, mean=np.zeros(3))
    opened = open_data(config(tmp_path, source=str(tmp_path / "set.npz"), allow_duplicates=True))
    greys = {name: set(opened.split(name).images[:, 0, 0, 0].tolist()) for name in ("train", "select", "rank", "test")}  # type: ignore[arg-type]
    held_out = {1} if val else {0}
    assert greys == {"train": {0}, "select": held_out, "rank": held_out, "test": {2} if test else {0}}


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", ">i4", "u8", "i8", "f4", "f8", "one-hot", "one-hot f4"])
def test_npz_labels_of_every_type(tmp_path: Path, kind: str) -> None:
    numbers = np.repeat([0, 2, 1, 3], 10)
    hot = np.eye(4, dtype=kind.partition(" ")[2] or "i8")[numbers]
    labels = hot if kind.startswith("one-hot") else numbers.astype(kind)
    images = np.repeat(numbers.astype(np.uint8), 64).reshape(40, 8, 8)
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels)
    opened = open_data(config(tmp_path, source=str(tmp_path / "set.npz"), allow_duplicates=True))
    assert opened.classes == ("0", "1", "2", "3")
    assert (opened.split("train").images[:, 0, 0, 0] == opened.split("train").labels).all()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"neither"])
def test_npz_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    (message,) = errors_of(tmp_path, source=str(tmp_path / "set.npz"))
    assert "cannot be read" in message and "numpy.savez" in message
