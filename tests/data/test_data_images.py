"""Every kind of image file, decoded by the program and compared with pixels known by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from nas.data import DataConfig, Dataset, describe_data, open_data
from nas.data.dataset import Preprocessing
from nas.data.images import decode_file, read_header
from nas.data.pixels import levels_of, padded
from nas.errors import DataError
from nas.report.screen import Screen
from nas.report.tables.data import print_data

RGB = Preprocessing(3, 12, 10, "resize")
GREY = Preprocessing(1, 12, 10, "resize")


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gradient(mode: str = "RGB") -> Image.Image:
    """12 high, 10 wide; red grows to the right, green downwards."""
    rows, columns = np.mgrid[0:12, 0:10]
    pixels = np.stack([columns * 20, rows * 20, np.full((12, 10), 60)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(
    "format", ["PNG", "BMP", "TIFF", "PPM", "TGA", "PCX", "WEBP", "GIF", "JPEG", "JPEG2000", "ICO"]
)
def test_formats_agree_with_the_original(format: str) -> None:
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    source = gradient().resize((16, 16)) if format == "ICO" else gradient()
    content = encode(source, format, **options)
    header = read_header(content)
    assert (header.width, header.height) == source.size and not header.grey
    pixels = decode_file(content, Preprocessing(3, source.height, source.width, "resize"))
    assert pixels.shape == (3, source.height, source.width) and pixels.dtype == np.uint8
    loss = 40 if format in ("JPEG", "GIF") else 0
    assert np.abs(pixels.transpose(1, 2, 0).astype(int) - np.asarray(source)).max() <= loss


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_modes(mode: str) -> None:
    grey = mode in ("1", "L", "LA", "I;16", "I", "F")
    if mode in ("I;16", "I"):
        levels = (np.asarray(gradient("L")).astype(np.uint16) * 257).astype(np.uint16 if mode == "I;16" else np.int32)
        image = Image.fromarray(levels)
    else:
        image = gradient(mode)
    content = encode(image, "TIFF" if mode in ("CMYK", "YCbCr", "I", "F") else "PNG")
    assert read_header(content).grey == grey
    expected = np.asarray(gradient("1").convert("L") if mode == "1" else gradient("L" if grey else "RGB"))
    target = replace(GREY, levels=(0.0, 255.0)) if mode == "F" else GREY if grey else RGB
    pixels = decode_file(content, target).transpose(1, 2, 0).squeeze()
    assert np.abs(pixels.astype(int) - expected).max() <= (60 if mode in ("P", "CMYK", "YCbCr") else mode == "F")


@pytest.mark.parametrize(
    ("extents", "levels"),
    [
        ([], (0, 65535)),
        ([(0, 200.0), (3, 255)], (0, 255)),
        ([(0, 200.0), (3, 256)], (0, 1023)),
        ([(7, 4000)], (0, 4095)),
        ([(0, 255), (0, 16000)], (0, 16383)),
        ([(0, 65535)], (0, 65535)),
        ([(0, 70000)], (0, 70000)),
        ([(0, 0.5)], (0, 1)),
        ([(-0.5, 1)], (-1, 1)),
        ([(-0.4, 0.4)], (-1, 1)),
        ([(0, 1), (-0.07, 1.09)], (0, 1)),  # bicubic interpolation shoots over
        ([(-2.1, 2.6)], (-2.6, 2.6)),  # standardized
        ([(0, 60)], (0, 60)),
        ([(0, 70)], (0, 255)),
        ([(-300, 20), (0, 500)], (-1023, 1023)),
    ],
)
def test_levels_are_those_of_the_fewest_bits_that_hold_all(extents: list[Any], levels: tuple[float, float]) -> None:
    assert levels_of(extents) == levels


def test_deep_images_are_brought_to_8_bits_by_the_levels_of_the_set() -> None:
    values = np.linspace(-100, 5000, 120).reshape(12, 10)
    for kind in (np.int32, np.float32):
        content = encode(Image.fromarray(values.astype(kind)), "TIFF")
        found = decode_file(content, Preprocessing(1, 12, 10, "resize", (0.0, 4095.0)))[0]
        assert (found == (values.astype(kind) / 4095 * 255).clip(0, 255).round()).all()
    holes = values.astype(np.float32)
    holes[3, 4], holes[5, 6] = np.nan, np.inf
    content = encode(Image.fromarray(holes), "TIFF")
    assert read_header(content).extent == (-100, 5000)  # of what is finite
    found = decode_file(content, Preprocessing(1, 12, 10, "resize", (0.0, 4095.0)))[0]
    assert found[3, 4] == 0 and found[5, 6] == 255


def test_one_range_for_a_whole_set_by_its_training_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for part, name, low, high in (
        ("train", "dark", 0, 255), ("train", "dim", 300, 600), ("train", "bright", 2000, 4000),
        ("test", "dark", 0, 255), ("test", "dim", 300, 600), ("test", "bright", 2000, 9000),
    ):  # fmt: skip
        folder = tmp_path / "deep" / part / name
        folder.mkdir(parents=True)
        for number in range(12):
            levels = rng.integers(low, high + 1, (16, 16)).astype(">u2").tobytes()
            (folder / f"{number}.pgm").write_bytes(b"P5\n16 16\n65535\n" + levels)
    config = DataConfig(source=str(tmp_path / "deep"), cache_dir=str(tmp_path / "cache"))
    data = open_data(config)
    assert data.levels == describe_data(config).levels == (0, 4095)
    train, test = (data.split(name) for name in ("train", "test"))
    means = {name: train.images[train.labels == label].mean() for label, name in enumerate(data.classes)}
    assert means["dark"] < 10 < means["dim"] < 35 < 150 < means["bright"]
    assert test.images.max() == 255  # cut off
    console = Screen(record=True, width=100)
    print_data(console, describe_data(config))
    shown = console.export_text()
    assert "Deeper than 8 bits: 0 to 4095 become 0 to 255, for all images alike" in shown
    assert "Images of test with values outside 0 to 4095, clipped: 12" in shown


def test_grey_palette_is_grey_and_transparency_turns_white() -> None:
    grey = Image.new("P", (10, 12), 1)
    grey.putpalette([200, 0, 0, 7, 7, 7])  # the red entry is not used
    assert read_header(encode(grey)).grey
    assert (decode_file(encode(grey), GREY) == 7).all()
    assert not read_header(encode(gradient("P"))).grey
    assert (decode_file(encode(grey, transparency=1), RGB) == 255).all()
    assert (decode_file(encode(Image.new("RGBA", (10, 12), (9, 9, 9, 0))), RGB) == 255).all()
    assert (decode_file(encode(Image.new("LA", (10, 12), (9, 0))), GREY) == 255).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.new("L", (10, 12), 0)
    stored.paste(255, (0, 0, 10, 4))  # a bright band along the top as stored
    content = encode(stored.convert("RGB"), format, exif=exif)
    header = read_header(content)
    assert (header.width, header.height) == ((12, 10) if orientation >= 5 else (10, 12))
    pixels = decode_file(content, Preprocessing(1, header.height, header.width, "resize"))[0]
    bands = {1: pixels[:3], 3: pixels[-3:], 6: pixels[:, -3:], 8: pixels[:, :3]}
    assert bands[orientation].mean() > 240 and pixels.mean() < 120


def test_resize_is_antialiased_and_pad_keeps_the_aspect() -> None:
    lines = np.zeros((64, 64), dtype=np.uint8)
    lines[:, ::2] = 255
    shrunk = decode_file(encode(Image.fromarray(lines)), Preprocessing(1, 8, 8, "resize"))
    assert shrunk.min() > 115 and shrunk.max() < 140  # picking every eighth column would give 0 or 255
    wide = encode(Image.new("L", (40, 20), 255))
    padded = decode_file(wide, Preprocessing(1, 16, 16, "pad"))[0]
    assert (padded[4:12] == 255).all() and (padded[:4] == 0).all() and (padded[12:] == 0).all()
    large = decode_file(encode(gradient().resize((640, 480)), "JPEG"), Preprocessing(3, 16, 16, "resize"))
    assert large.shape == (3, 16, 16) and large[0, 8, 15] > large[0, 8, 0] + 150


@pytest.mark.parametrize("period", [9.4, 4.7, 21.0])
def test_a_large_jpeg_is_shrunk_without_a_moire(period: float) -> None:
    """Stripes too fine for the target turn into an even grey, however the file is packed."""
    wave = 128 + 100 * np.sin(2 * np.pi * np.arange(600) / period)
    stripes = Image.fromarray(np.tile(wave, (600, 1)).round().astype(np.uint8))
    target = Preprocessing(1, 32, 32, "resize")
    shrunk = decode_file(encode(stripes, "JPEG", quality=92), target).astype(float)
    assert shrunk[:, 2:-2, 2:-2].std() < 2
    assert np.abs(shrunk - decode_file(encode(stripes), target)).max() <= 2


def write_folder(path: Path, images: dict[str, Image.Image], *, copies: int = 6) -> DataConfig:
    for name, image in images.items():
        for copy in range(copies):
            file = path / "data" / name / f"{copy}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode(image))
    return DataConfig(source=str(path / "data"), cache_dir=str(path / "cache"))


def opened(config: DataConfig, **changes: Any) -> Dataset:
    return open_data(config.model_copy(update={"allow_duplicates": True, **changes}))


def test_one_channel_only_if_every_image_is_grey(tmp_path: Path) -> None:
    grey = write_folder(tmp_path / "a", {"x": gradient("L"), "y": gradient("1")})
    assert opened(grey).input_shape == (1, 12, 10)
    mixed = write_folder(tmp_path / "b", {"x": gradient("L"), "y": gradient("RGB")})
    data = opened(mixed)
    assert data.input_shape == (3, 12, 10)
    test = data.split("test")
    assert (test.images[0] == np.asarray(gradient("L"))).all()  # the same grey in three channels
    assert (test.images[-1] == np.asarray(gradient()).transpose(2, 0, 1)).all()


def test_channels_as_asked_for(tmp_path: Path) -> None:
    mixed = write_folder(tmp_path / "a", {"x": gradient("L"), "y": gradient("RGB")})
    grey = opened(mixed, colours="grey")
    assert grey.input_shape == (1, 12, 10) and grey.key != opened(mixed).key
    assert (grey.split("test").images == np.asarray(gradient("L"))).all()  # Pillow's luma
    assert opened(mixed, colours="rgb").key == opened(mixed).key  # the same pixels
    plain = write_folder(tmp_path / "b", {"x": gradient("L"), "y": gradient("1")})
    assert opened(plain, colours="grey").key == opened(plain).key
    assert (opened(plain, colours="rgb").split("test").images[0] == np.asarray(gradient("L"))).all()
    pixels = np.stack([np.asarray(gradient())] * 12)
    np.savez(tmp_path / "set.npz", images=pixels, labels=np.arange(12) % 2)
    arrays = opened(mixed, source=str(tmp_path / "set.npz"), colours="grey").split("test").images
    assert (arrays == np.asarray(gradient("L"))).all() and arrays.shape[1] == 1
    assert opened(mixed, source="digits", colours="rgb").input_shape == (3, 8, 8)


def test_image_size(tmp_path: Path) -> None:
    config = write_folder(tmp_path, {"x": gradient(), "y": gradient().resize((30, 20))})
    with pytest.raises(DataError, match=r"10 to 30 pixels wide, 12 to 20 high.*--image-size 16"):
        open_data(config)
    resized = opened(config, image_size=16)
    padded = opened(config, image_size=16, fit="pad")
    assert resized.input_shape == padded.input_shape == (3, 16, 16)
    wide = opened(config, image_size=(24, 16))
    assert wide.input_shape == (3, 16, 24)
    expected = gradient().resize((24, 16), Image.Resampling.BICUBIC)
    assert (wide.split("test").images[0].transpose(1, 2, 0) == np.asarray(expected)).all()
    assert resized.key != padded.key and resized.cache_path != padded.cache_path
    assert resized.split("test").images[:, 2].min() > 40 and padded.split("test").images[:, 2].min() == 0


@pytest.mark.parametrize(
    ("given", "kept", "size"),
    [
        ("32", 32, (32, 32)),
        (32, 32, (32, 32)),
        ("96x64", (96, 64), (96, 64)),
        ([8, 224], (8, 224), (8, 224)),
        ("48X48", 48, (48, 48)),
        (None, None, None),
    ],
)
def test_a_size_is_a_side_or_width_and_height(given: Any, kept: Any, size: tuple[int, int] | None) -> None:
    config = DataConfig(image_size=given)
    assert config.image_size == kept and config.size == size
    assert DataConfig.model_validate_json(config.model_dump_json()) == config  # as logs keep it


@pytest.mark.parametrize("size", [(7, 20), (300, 300)])
def test_sizes_no_network_takes(tmp_path: Path, size: tuple[int, int]) -> None:
    config = write_folder(tmp_path, {"x": gradient().resize(size), "y": gradient().resize(size)})
    with pytest.raises(DataError, match=rf"{size[0]}x{size[1]}.*8 to 224.*--image-size"):
        open_data(config)


def test_padding_is_that_of_pillow_whatever_the_sides() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        width, height = (int(side) for side in rng.choice([*range(1, 60), 999, 4000], 2))
        mode, size = ("L", "RGB")[int(rng.integers(2))], tuple(int(side) for side in rng.integers(8, 97, 2))
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).convert(mode)
        assert padded(image, size).tobytes() == ImageOps.pad(image, size, Image.Resampling.BICUBIC).tobytes()
