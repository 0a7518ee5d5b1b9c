"""The decision to mirror images in training: signs that point and characters keep their hand, photos do not mind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits

from nas.data import DataConfig, mirrors, open_data
from nas.data.mirrors import judged, mirroring

Images = npt.NDArray[np.uint8]


def arrows(count: int, *, ways: str = "left right") -> tuple[Images, npt.NDArray[np.str_]]:
    """Coloured triangles (N, H, W, 3) that point, on a background of noise."""
    rng = np.random.default_rng(16)
    images = rng.integers(0, 50, (count, 21, 21, 3), dtype=np.uint8)
    labels = np.array([ways.split()[row % len(ways.split())] for row in range(count)])
    left = np.tri(7, dtype=bool)
    left = np.vstack([left, left[::-1]])[:, ::-1]  # its tip at the left
    shapes = {"left": left, "right": left[:, ::-1], "up": left.T[::-1][::-1], "down": left.T[::-1]}
    for image, label in zip(images, labels, strict=True):
        shape = shapes[str(label)]
        top, start = (21 - shape.shape[0]) // 2, (21 - shape.shape[1]) // 2
        image[top : top + shape.shape[0], start : start + shape.shape[1]][shape] = 40, 80, rng.integers(180, 255)
    return images, labels


def decision(tmp_path: Path, images: Images, labels: npt.ArrayLike, name: str = "set.npz") -> tuple[bool, str]:
    np.savez(tmp_path / name, images=images, labels=labels)
    config = DataConfig(source=str(tmp_path / name), cache_dir=str(tmp_path / "cache"))
    return mirroring(open_data(config), config.source)


def test_signs_that_point_to_either_side_are_not_mirrored(tmp_path: Path) -> None:
    flip, why = decision(tmp_path, *arrows(80))
    assert not flip and why == "these look like each other's mirror image: left and right"
    flip, why = decision(tmp_path, *arrows(160, ways="up left down right"), name="four.npz")
    assert not flip and "left and right" in why and "up" not in why


def test_of_many_classes_some_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "_MOST_CLASSES", 3)
    images, labels = arrows(160, ways="up left down right")
    np.savez(tmp_path / "set.npz", images=images, labels=labels)
    data = open_data(DataConfig(source=str(tmp_path / "set.npz"), cache_dir=str(tmp_path / "cache")))
    rows, places, classes = mirrors._sample(data)
    assert len(classes) == 3 and set(places) == {0, 1, 2}
    assert [data.classes[label] for label in data.labels[rows]] == [classes[place] for place in places]


def test_signs_that_point_up_or_down_are_mirrored(tmp_path: Path) -> None:
    assert decision(tmp_path, *arrows(80, ways="up down")) == (True, "colour images")


def test_digits_in_colour_are_not_mirrored_whatever_their_labels_are(tmp_path: Path) -> None:
    digits = load_digits()
    tints = np.random.default_rng(0).uniform(0.5, 1, (len(digits.images), 1, 1, 3))
    images = np.rint(digits.images[..., None] * (255 / 16) * tints).astype(np.uint8)
    flip, why = decision(tmp_path, images, digits.target)
    assert not flip and ("mirror image" in why)
    flip, why = decision(tmp_path, images, np.array(list("ABCDEFGHIJ"))[digits.target], "letters.npz")
    assert (flip, why) == (False, "digits and letters change when mirrored")


@pytest.mark.parametrize(
    ("colours", "why"), [("rgb", "digits and letters change when mirrored"), (None, "grey images")]
)
def test_the_bundled_digits_are_never_mirrored(tmp_path: Path, colours: str | None, why: str) -> None:
    config = DataConfig.model_validate({"cache_dir": str(tmp_path), "colours": colours})
    assert mirroring(open_data(config), config.source) == (False, why)


def test_grey_images_in_three_channels_stay_grey_images(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (60, 9, 9, 1), dtype=np.uint8).repeat(3, axis=3)
    assert decision(tmp_path, grey, np.repeat(["cat", "dog", "elk"], 20)) == (False, "grey images in three channels")


@pytest.mark.parametrize("name", ["svhn", "kmnist", "emnist-letters", "mnist", "usps"])
def test_sets_of_characters_are_known_by_name(tmp_path: Path, name: str) -> None:
    images, labels = arrows(40, ways="up down")
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    data = open_data(DataConfig(source=str(tmp_path / "a.npz"), cache_dir=str(tmp_path / "cache")))
    assert mirroring(data, name) == (False, "digits and letters change when mirrored")
    assert mirroring(data, "cifar10")[0]


def test_textures_are_mirrored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 156, (200, 12, 12, 3), dtype=np.uint8)
    labels = np.arange(200) % 4
    images += rng.integers(0, 100, (4, 3), dtype=np.uint8)[labels][:, None, None]  # a tint of each class
    images[labels == 1, ::2] //= 2  # and stripes across
    assert decision(tmp_path, images, labels) == (True, "colour images")


def test_noise_says_nothing() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        noise = rng.random((160, 3, 16, 16), dtype=np.float32)
        assert judged(noise, np.sort(rng.integers(0, 6, 160))) == ([], 1.0)
