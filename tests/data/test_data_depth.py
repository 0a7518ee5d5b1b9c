"""Images that hold more than is used: deeper than 8 bits, as files and as arrays, and of several pages."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from nas.data import DataConfig, Dataset, describe_data, open_data
from nas.data.dataset import Preprocessing
from nas.data.images import DEEP_COLOURS, SEVERAL_PAGES, decode_file, read_header
from nas.report.screen import Screen
from nas.report.tables.data import print_data

Array = npt.NDArray[Any]
LABELS = np.arange(24) % 2  # "0" and "1": half of each class to train on


def config(source: Path, **changes: Any) -> DataConfig:
    return DataConfig(source=str(source), cache_dir=str(source.parent / "cache"), **changes)


def written(folder: Path, images: Array, suffix: str) -> Path:
    """A folder of 24 images, the last 8 of them in test/."""
    for number, (image, label) in enumerate(zip(images, LABELS, strict=True)):
        file = folder / ("train" if number < 16 else "test") / str(label) / f"{number:02}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return folder


def packed(path: Path, images: Array) -> Path:
    """The same as an .npz file."""
    np.savez(path, images=images[:16], labels=LABELS[:16], test_images=images[16:], test_labels=LABELS[16:])
    return path


def pixels(data: Dataset) -> Array:
    """Every image, by what is in it, for sources differ in their order."""
    rows = np.concatenate([data.split(name).images for name in ("train", "select", "rank", "test")])
    return np.unique(rows, axis=0)


def deep(dtype: Any, low: float, high: float) -> Array:
    return np.random.default_rng(1).uniform(low, high, (24, 9, 11)).astype(dtype)


@pytest.mark.parametrize(
    ("images", "suffix", "levels"),
    [
        (deep(np.uint16, 0, 4000), ".png", (0, 4095)),
        (deep(np.uint16, 0, 60000), ".tif", (0, 65535)),
        (deep(np.int32, -300, 900), ".tif", (-1023, 1023)),
        (deep(np.float32, 0, 1), ".tif", (0, 1)),
        (deep(np.float32, -700, 200), ".tif", (-1023, 1023)),
        (np.where(deep(np.float32, 0, 1) < 0.3, np.nan, deep(np.float32, 0, 9000)), ".tif", (0, 16383)),
    ],
)
def test_files_and_arrays_of_the_same_values_give_the_same_pixels(
    tmp_path: Path, images: Array, suffix: str, levels: tuple[float, float]
) -> None:
    files = open_data(config(written(tmp_path / "files", images, suffix)))
    arrays = open_data(config(packed(tmp_path / "arrays.npz", images)))
    assert files.levels == arrays.levels == levels
    assert (pixels(files) == pixels(arrays)).all()
    black, white = levels
    expected = (np.nan_to_num(images.astype(float), nan=black) - black) * 255 / (white - black)
    assert (arrays.split("test").images[:, 0] == expected[16:].round()).all()


def test_the_range_is_that_of_training_images_and_what_exceeds_it_is_counted(tmp_path: Path) -> None:
    images = deep(np.uint16, 0, 4000)
    images[16:, 0, 0] = 4095
    images[17:20, 0, 0] = 9000
    for source in (written(tmp_path / "files", images, ".png"), packed(tmp_path / "arrays.npz", images)):
        report = describe_data(config(source))
        assert report.levels == (0, 4095)
        assert report.notes == {"Images of test with values outside 0 to 4095, clipped": 3}
        assert open_data(config(source)).split("test").images[:, 0, 0, 0].tolist() == [255] * 8


def test_colour_files_and_arrays_give_the_same_pixels(tmp_path: Path) -> None:
    images = np.random.default_rng(2).integers(0, 256, (24, 9, 11, 3), dtype=np.uint8)
    for changes in ({}, {"colours": "grey"}, {"image_size": "16x8"}):
        files = open_data(config(written(tmp_path / "files", images, ".png"), **changes))
        arrays = open_data(config(packed(tmp_path / "arrays.npz", images), **changes))
        assert files.levels is None and arrays.levels is None
        assert (pixels(files) == pixels(arrays)).all()


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.float64, ">u2"])
def test_arrays_of_every_type_are_scaled_in_colour_too(tmp_path: Path, dtype: Any) -> None:
    images = np.stack([deep(dtype, 0, 1000)] * 3, axis=3)
    source = config(packed(tmp_path / "arrays.npz", images))
    data = open_data(source)
    assert data.levels == describe_data(source).levels == (0, 1023) and data.input_shape == (3, 9, 11)
    assert describe_data(source).modes == {np.dtype(dtype).name: 24}
    expected = (images[16:].astype(float) / 1023 * 255).round().transpose(0, 3, 1, 2)
    assert (data.split("test").images == expected).all()


def encoded(image: Image.Image, form: str, *more: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"save_all": True, "append_images": more} if more else {}))
    return buffer.getvalue()


def png_of_16_bits(values: Array) -> bytes:
    """(H, W, 3) as a PNG of 16 bits a colour, which Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_of_16_bits(values: Array) -> bytes:
    """The same as a TIFF."""
    height, width, _ = values.shape
    pixels = values.astype("<u2").tobytes()
    bits = 8 + len(pixels)  # where they are written
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 4, 1, 1), (262, 4, 1, 2), (273, 4, 1, 8),
        (277, 4, 1, 3), (278, 4, 1, height), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHI", b"II", 42, bits + 6) + pixels + struct.pack("<3H", 16, 16, 16) + table + bytes(4)


@pytest.mark.parametrize("write", [png_of_16_bits, tiff_of_16_bits])
def test_of_colours_of_16_bits_the_upper_8_are_used(write: Any) -> None:
    values = np.random.default_rng(3).integers(0, 65536, (9, 11, 3))
    header, target = read_header(write(values)), Preprocessing(3, 9, 11, "resize")
    assert header.notes == (DEEP_COLOURS,) and header.extent is None
    assert (decode_file(write(values), target).transpose(1, 2, 0) == values >> 8).all()


RED, GREY = Image.new("RGB", (11, 9), "red"), Image.new("L", (11, 9), 50)


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (encoded(RED, "GIF", GREY), (SEVERAL_PAGES,)),
        (encoded(RED, "PNG", GREY.convert("RGB")), (SEVERAL_PAGES,)),
        (encoded(RED, "TIFF", GREY, GREY), (SEVERAL_PAGES,)),
        (encoded(RED, "TIFF", GREY)[:-150], (SEVERAL_PAGES,)),  # damaged behind the first page
        (encoded(RED, "GIF", GREY)[:-12], (SEVERAL_PAGES,)),
        (encoded(RED, "GIF"), ()),
        (encoded(RED, "TIFF"), ()),
        (encoded(RED.convert("CMYK"), "TIFF"), ()),
        (encoded(RED.convert("LAB"), "TIFF"), ()),
    ],
)
def test_of_several_pages_the_first_is_used(content: bytes, notes: tuple[str, ...]) -> None:
    header = read_header(content)
    assert header.notes == notes and not header.grey
    pixels = decode_file(content, Preprocessing(3, 9, 11, "resize")).astype(int)
    assert np.abs(pixels - np.array([255, 0, 0]).reshape(3, 1, 1)).max() <= 5  # LAB is of 8 bits


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    images = np.random.default_rng(2).integers(0, 256, (24, 9, 11, 3), dtype=np.uint8)
    source = written(tmp_path / "files", images, ".png")
    for number in (2, 4, 17):
        part = "train" if number < 16 else "test"
        (source / part / str(number % 2) / f"{number:02}.png").write_bytes(encoded(RED, "GIF", GREY))
    (source / "train" / "1" / "03.png").write_bytes(png_of_16_bits(images[3].astype(int) * 257))
    report = describe_data(config(source))
    assert report.notes == {SEVERAL_PAGES: 3, DEEP_COLOURS: 1}
    assert describe_data(config(source)).notes == report.notes  # from the cache
    console = Screen(record=True, width=100)
    print_data(console, report)
    assert f"{SEVERAL_PAGES}: 3\n{DEEP_COLOURS}: 1\n" in console.export_text()
