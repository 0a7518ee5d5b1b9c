"""Classes held out for verification: nothing trains on them, and what cannot be held out is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_folders import write

from nas.data import DataConfig, Dataset, describe_data, open_data
from nas.data.dataset import IDENTITY_SPLITS, SPLIT_NAMES
from nas.errors import DataError

PEOPLE = tuple(f"p{person}" for person in range(10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten people of eight images."""
    return write(tmp_path_factory.mktemp("people"), *PEOPLE, count=8)


def opened(folder: Path, cache: Path, **settings: Any) -> Dataset:
    return open_data(DataConfig(source=str(folder), cache_dir=str(cache), **settings))


def test_held_out_classes_are_in_no_other_split(folder: Path, tmp_path: Path) -> None:
    data = opened(folder, tmp_path, verify_identities=0.2)
    assert len(data.classes) == 6 and [len(data.identities[name]) for name in IDENTITY_SPLITS] == [16, 16]
    splits = [data.split(name) for name in (*SPLIT_NAMES, *IDENTITY_SPLITS)]
    rows = np.concatenate([split.rows for split in splits])
    assert sorted(rows) == list(range(80))  # each image in one
    labels = [set(split.labels.tolist()) for split in splits]
    assert labels[:4] == [set(range(6))] * 4 and labels[4:] == [{6, 7}, {8, 9}]
    names = sorted(path.parent.name for path in folder.rglob("*.png"))
    people = [names[row] for row in splits[4].rows]
    assert len(set(people)) == 2 and not set(people) & set(data.classes)
    assert {name: sum(counts) for name, counts in data.counts.items()} == {
        name: len(split.rows) for name, split in zip(SPLIT_NAMES, splits, strict=False)
    }
    assert any("held out for verification: 2 (16 images) for rank pairs" in remark for remark in data.remarks)
    again = opened(folder, tmp_path, verify_identities=0.2)
    assert again.key == data.key and all((again.split(n).rows == data.split(n).rows).all() for n in IDENTITY_SPLITS)
    others = [opened(folder, tmp_path), opened(folder, tmp_path, verify_identities=0.3),
              opened(folder, tmp_path, verify_identities=0.2, split_seed=1)]  # fmt: skip
    assert len({data.key, *(other.key for other in others)}) == 4 and not others[0].identities
    limited = opened(folder, tmp_path, verify_identities=0.2, max_images=24)
    assert [len(limited.identities[name]) for name in IDENTITY_SPLITS] == [16, 16]  # only what is trained on is less


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": "p1,p2,p3,p4"}, r"holds out 2 x 2 of 4 classes.*Give data with more classes"),
        (
            {"classes": "p1,p2,p3,p4,p5,p6", "verify_identities": 0.49},
            r"2 x 3 of 6.*Give at most --verify-identities 0.33",
        ),
        ({"group": r"_(\d)"}, r"8 groups of images.*Leave out the groups"),
    ],
)
def test_what_cannot_be_held_out_is_refused(
    folder: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        opened(folder, tmp_path, **{"verify_identities": 0.2, **settings})


def test_an_image_of_a_held_out_class_that_is_in_another_too_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = write(tmp_path / "people", *PEOPLE, count=8)
    data = opened(copy, tmp_path / "cache", verify_identities=0.2)
    held = next(name for name in PEOPLE if name not in data.classes)
    source = sorted((copy / data.classes[0]).iterdir())[0]
    (copy / held / "again.png").write_bytes(source.read_bytes())
    with pytest.raises(DataError, match="Identical images in two classes"):
        opened(copy, tmp_path / "cache", verify_identities=0.2)
    broken = copy / held / "broken.png"
    broken.write_bytes(b"no image")
    (copy / held / "again.png").unlink()
    report = describe_data(DataConfig(source=str(copy), cache_dir=str(tmp_path / "cache"), verify_identities=0.2))
    assert any("broken.png" in one.name for one in report.broken)
