"""Data that somebody made to do harm: bombs, pipes, circles, depths, and pictures that would fill the memory."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_folders import described, error_of, write
from PIL import Image

from nas.data.pixels import refuse_huge


def array_file(shape: str) -> bytes:
    """The head of an ``.npy`` file that says it has this shape, and no more of it."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("place", ["x.npz", "x.csv", "x.zip", "folder", "images.csv"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, place: str) -> None:
    data = tmp_path / place
    if place == "folder":
        os.mkfifo(write(data, "a", "b") / "a" / "odd.png")
        assert any("Pipes, sockets and devices left out: a/odd.png" in text for text in described(data).remarks)
        return
    if place == "images.csv":  # what a set that we wrote has beside its images
        data = write(tmp_path / "photos", "a", "b")
        os.mkfifo(data / place)
        assert described(data).classes == ("a", "b")
        return
    os.mkfifo(data)
    assert "is a pipe, a socket or a device" in error_of(data)


@pytest.mark.parametrize("shape", ["(70368744177664,)", "(1099511627776, 8, 8)", "(" * 90])
def test_a_header_of_terabytes_is_refused(tmp_path: Path, shape: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as packed:
        packed.writestr("images.npy", array_file(shape))
        packed.writestr("labels.npy", array_file("(1,)"))
    assert f"{tmp_path}/x.npz" in error_of(tmp_path / "x.npz")


def test_an_npz_that_explodes_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.data.sources.tree._ALWAYS_FINE", 1 << 16)
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((9000, 32, 32), np.uint8), labels=np.arange(9000) % 2)
    monkeypatch.setattr(np, "load", None)  # would fail
    assert "are allowed for a file of its size" in error_of(tmp_path / "x.npz")


@pytest.mark.parametrize(("at", "value", "words"), [(0, 1, "encrypted"), (2, 97, "compression")])
def test_an_npz_with_a_password_or_an_unknown_compression(tmp_path: Path, at: int, value: int, words: str) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((9, 8, 8), np.uint8), labels=np.arange(9) % 3)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        struct.pack_into("<H", content, content.index(mark) + place + at, value)
    (tmp_path / "x.npz").write_bytes(content)
    assert "cannot be read as an .npz file" in error_of(tmp_path / "x.npz") and words in error_of(tmp_path / "x.npz")


def test_circles_of_links_are_left_out_and_depths_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "photos", "a", "b")
    (data / "a" / "up").symlink_to("/")
    for one in "ab":
        (data / one / "other").symlink_to(data / ("b" if one == "a" else "a"))
    (data / "a" / "self.png").symlink_to("self.png")
    assert "a/self.png" in error_of(data)
    report = described(data, skip_broken=True, class_level=1, allow_duplicates=True)
    assert report.classes == ("a", "b") and "a/up" in " ".join(report.remarks)
    deep = write(tmp_path / "deep", "a", "b") / "/".join(["d"] * 60)
    deep.mkdir(parents=True)
    assert "holds folders nested more than 50 deep" in error_of(tmp_path / "deep")


def test_a_picture_that_would_fill_the_memory_is_broken_by_its_header(tmp_path: Path) -> None:
    data = write(tmp_path / "photos", "a", "b")

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 13_000, 13_000, 8, 6, 0, 0, 0))
    (data / "a" / "odd.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert "a/odd.png: 13,000 x 13,000 pixels of mode RGBA: 2.7 GB decoded. Shrink it" in error_of(data)
    refuse_huge(Image.new("RGBA", (4000, 3000)))  # a photo passes
