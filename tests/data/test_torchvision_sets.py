"""Sets that torchvision knows by name, with files as it downloads them, and without a network."""

from __future__ import annotations

import gzip
import struct
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_folders import config, error_of

from nas.data import open_data


def write_idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


CAPITALS, SMALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
MERGED = f"0123456789{CAPITALS}abdefghnqrt"  # small letters that look otherwise than their capitals
EMNIST = {  # the classes of each set, in the order of the labels in its files
    "byclass": f"0123456789{CAPITALS}{SMALL}",
    "bymerge": MERGED,
    "balanced": MERGED,
    "letters": SMALL,
    "digits": "0123456789",
    "mnist": "0123456789",
}


def upright(label: int, number: int) -> np.ndarray[Any, Any]:
    """A horizontal stroke near the top, as long as its label says, and a dot that tells images of a class apart."""
    image = np.zeros((28, 28), dtype=np.uint8)
    image[3 + label // 20, : 2 + label % 20] = 255
    image[20, number] = 99
    return image


@pytest.mark.parametrize("split", EMNIST)
def test_every_emnist_stands_upright_and_its_classes_are_characters(split: str, tmp_path: Path) -> None:
    names, first = EMNIST[split], int(split == "letters")  # whose labels begin with 1
    raw = tmp_path / "cache" / "torchvision" / "EMNIST" / "raw"
    for part, count in (("train", 4), ("test", 1)):
        labels = np.repeat(np.arange(len(names)), count)
        images = np.stack([upright(label, row % count + 4 * (part == "test")) for row, label in enumerate(labels)])
        for kind, array in (("images-idx3", images.transpose(0, 2, 1)), ("labels-idx1", labels + first)):
            write_idx(raw / f"emnist-{split}-{part}-{kind}-ubyte", array)
            if split == "digits":  # as they lie packed in the archive
                plain = raw / f"emnist-{split}-{part}-{kind}-ubyte"
                plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
                plain.unlink()
    opened = open_data(config(tmp_path / "data", source=f"emnist-{split}"))
    assert opened.classes == tuple(names) and opened.input_shape == (1, 28, 28)
    assert opened.counts["test"] == [1] * len(names) and opened.counts["train"] == [2] * len(names)
    test = opened.split("test")
    assert test.labels.tolist() == list(range(len(names)))
    for label, image in zip(test.labels.tolist(), test.images, strict=True):
        assert (image == upright(label, 4)).all()


def test_emnist_alone_is_answered_with_its_six_sets(tmp_path: Path) -> None:
    message = error_of(tmp_path / "data", source="EMNIST")
    assert all(f"--data emnist-{split} " in message for split in EMNIST) and "62 classes" in message


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # one that a test before used knows no proxies
    monkeypatch.chdir(tmp_path)
    Path("mnist").symlink_to(".")
    for name in ("mnist", "cifar10", "emnist-letters"):
        message = error_of(tmp_path / "data", source=name)
        assert "could not be downloaded" in message and "refused" in message
        assert str(tmp_path / "cache" / "torchvision") in message and "--data digits" in message
        assert ("--data ./mnist" in message) == (name == "mnist")
    assert "or the four files emnist-letters-*-ubyte" in message and "/EMNIST/gzip.zip" in message
    assert f"in {tmp_path / 'cache' / 'torchvision' / 'EMNIST' / 'raw'}" in message


def test_damaged_download(tmp_path: Path) -> None:
    raw = tmp_path / "cache" / "torchvision" / "KMNIST" / "raw"
    for part in ("train", "t10k"):
        write_idx(raw / f"{part}-images-idx3-ubyte", np.zeros((4, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(4))
    (raw / "t10k-labels-idx1-ubyte").write_bytes(gzip.compress(b"damaged"))
    message = error_of(tmp_path / "data", source="kmnist")
    assert "remove damaged ones" in message and str(raw.parent.parent) in message
