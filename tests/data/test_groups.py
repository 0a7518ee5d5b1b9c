"""Groups of images: never in two splits, stratified as far as they allow, every class everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from nas.data import DataConfig, Dataset, describe_data, open_data
from nas.data.dataset import SPLIT_NAMES
from nas.data.dealing import GroupsTooFew
from nas.data.sources.base import TEST, TRAIN, VAL
from nas.data.splits import make_splits
from nas.errors import DataError


@st.composite
def grouped(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """Labels, parts, groups and own parts; a way exists: four groups of each class and part hold two images each."""
    own = draw(st.sampled_from([[TRAIN], [TRAIN, TEST], [TRAIN, VAL], [TRAIN, VAL, TEST]]))
    num_classes = draw(st.integers(2, 5))
    labels, parts, groups, number = [], [], [], 0
    for part in own:
        for label in range(num_classes):
            for size in [2, 2, 2, 2, *draw(st.lists(st.integers(1, 9), max_size=12))]:
                labels += [label] * size
                parts += [part] * size
                groups += [number] * size
                number += 1
        for _ in range(draw(st.integers(0, 8))):  # of several classes
            mixed = draw(st.lists(st.integers(0, num_classes - 1), min_size=2, max_size=9))
            labels += mixed
            parts += [part] * len(mixed)
            groups += [number] * len(mixed)
            number += 1
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))
    return np.array(labels)[order], np.array(parts, dtype=np.uint8)[order], np.array(groups)[order], own


@settings(max_examples=40)
@given(grouped(), st.integers(0, 9))
def test_no_group_in_two_splits_and_every_class_in_each(
    source: tuple[np.ndarray, np.ndarray, np.ndarray, list[int]], seed: int
) -> None:
    labels, parts, groups, own = source
    num_classes = int(labels.max()) + 1
    rows = make_splits(labels, parts, own, num_classes=num_classes, seed=seed, groups=groups)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(labels)))
    for number, name in enumerate(SPLIT_NAMES):
        counts = np.bincount(labels[rows[name]], minlength=num_classes)
        assert counts.min() >= (2 if name == "train" else 1) and (np.diff(rows[name]) > 0).all()
        for other in SPLIT_NAMES[:number]:
            assert not set(groups[rows[name]]) & set(groups[rows[other]])
    if TEST in own:
        assert (parts[rows["test"]] == TEST).all()
    if VAL in own:
        assert (parts[np.concatenate([rows["select"], rows["rank"]])] == VAL).all()
    again = make_splits(labels, parts, own, num_classes=num_classes, seed=seed, groups=groups)
    assert all((again[name] == rows[name]).all() for name in SPLIT_NAMES)


@pytest.mark.parametrize("own", [[TRAIN], [TRAIN, TEST], [TRAIN, VAL], [TRAIN, VAL, TEST]])
def test_groups_of_one_image_change_nothing(own: list[int]) -> None:
    labels = np.random.default_rng(0).integers(0, 4, 400)
    parts = np.array(own, dtype=np.uint8)[np.arange(400) % len(own)]
    plain = make_splits(labels, parts, own, num_classes=4, seed=5)
    alone = make_splits(labels, parts, own, num_classes=4, seed=5, groups=np.arange(400)[::-1].copy())
    assert all((alone[name] == plain[name]).all() for name in SPLIT_NAMES)


def test_as_stratified_as_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(150), rng.integers(1, 30, 150))
    usual = rng.integers(0, 5, 150)
    labels = np.where(rng.random(len(groups)) < 0.8, usual[groups], rng.integers(0, 5, len(groups)))
    whole = np.bincount(labels) / len(labels)

    def furthest(rows: np.ndarray) -> float:
        return float(np.abs(np.bincount(labels[rows], minlength=5) / len(rows) - whole).max())

    parts = np.full(len(labels), TRAIN, dtype=np.uint8)
    rows = make_splits(labels, parts, [TRAIN], num_classes=5, seed=0, groups=groups)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    assert furthest(rows["test"]) <= max(furthest(held_out) for _, held_out in folds)
    assert furthest(rows["test"]) < 0.02 and 0.18 < len(rows["test"]) / len(labels) < 0.22


def test_a_class_in_too_few_groups() -> None:
    groups = np.repeat(np.arange(11), 10)
    labels = np.where(groups < 3, 1, 0)
    parts = np.full(len(labels), TRAIN, dtype=np.uint8)
    with pytest.raises(GroupsTooFew) as caught:
        make_splits(labels, parts, [TRAIN], num_classes=2, seed=0, groups=groups)
    assert caught.value.groups == {1: 3} and caught.value.piles == 4
    tied = np.array([0, 1] * 4 + [0, 2] * 4)  # two groups hold two classes each, so four splits cannot have both
    with pytest.raises(GroupsTooFew):
        make_splits(tied, parts[:16], [TRAIN], num_classes=3, seed=0, groups=np.repeat([0, 1, 2, 3], 4))


def test_twenty_thousand_groups_are_dealt_in_a_moment() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(60_000) // 3
    labels = rng.integers(0, 10, 20_000)[groups]
    parts = np.zeros(60_000, dtype=np.uint8)
    rows = make_splits(labels, parts, [TRAIN], num_classes=10, seed=0, groups=groups)
    assert [round(len(rows[name]) / 600) for name in SPLIT_NAMES] == [64, 8, 8, 20]


# ---- as users meet them


def write_patients(folder: Path, patients: int = 8, classes: str = "ab") -> Path:
    """Four images of each patient in each class; an image's pixels are all its patient's number."""
    for patient in range(patients):
        for shot in range(4):
            path = folder / classes[patient % len(classes)] / f"patient{patient}_{shot}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), 10 * patient + 5, dtype=np.uint8)).save(path)
    return folder


def config(folder: Path, source: str = "data", **changes: Any) -> DataConfig:
    # Images of a group are alike here.
    settings = {"source": str(folder / source), "cache_dir": str(folder / "cache"), "allow_duplicates": True}
    return DataConfig(**{**settings, **changes})


def patients(opened: Dataset) -> dict[str, set[int]]:
    return {name: set(opened.split(name).images[:, 0, 0, 0].tolist()) for name in SPLIT_NAMES}


def errors_of(config: DataConfig) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        open_data(config)
    return caught.value.messages


def test_a_pattern_on_file_names(tmp_path: Path) -> None:
    write_patients(tmp_path / "data")
    plain, opened = open_data(config(tmp_path)), open_data(config(tmp_path, group=r"(patient\d+)_"))
    assert sum(map(len, patients(plain).values())) > 8  # images of one patient on both sides
    assert sum(map(len, patients(opened).values())) == 8 and opened.key != plain.key
    first, second, *_ = opened.remarks
    assert first == (
        r"8 groups by the pattern (patient\d+)_, none in two splits: 2 in train, 2 in select, 2 in rank, 2 in test"
    )
    assert "25.0 % train" in second and "no class's share is off by more than 0.0 points" in second
    assert describe_data(config(tmp_path, group=r"(patient\d+)_")).remarks == opened.remarks
    in_path = open_data(config(tmp_path, group=r"/patient\d"))  # all that it matches, looked for in the path
    assert in_path.rows.keys() == opened.rows.keys() and patients(in_path) == patients(opened)


def test_patterns_that_do_not_fit(tmp_path: Path) -> None:
    write_patients(tmp_path / "data")
    (message,) = errors_of(config(tmp_path, group=r"patient[0-5]"))
    assert "no group in the file names of 8 of 32 images: a/patient6_0.png" in message and "and 3 more" in message
    (message,) = errors_of(config(tmp_path, group="(oops"))
    assert "--group '(oops' is not a regular expression" in message
    (message,) = errors_of(config(tmp_path, group="patient[0-9]").model_copy(update={"source": "digits"}))
    assert "the images of digits have none" in message


def test_groups_that_cannot_be_split(tmp_path: Path) -> None:
    write_patients(tmp_path / "data", patients=6)
    (message,) = errors_of(config(tmp_path, group=r"patient\d"))
    assert "of: a (3), b (3)." in message and "at least 4 groups" in message and "leave --group out" in message
    assert describe_data(config(tmp_path, group=r"patient\d")).errors == (message,)


def test_a_column_of_groups(tmp_path: Path) -> None:
    folder = write_patients(tmp_path / "data")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*.png"))
    lines = [f"{name},{name[5]},{name[14]}" for name in files]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,who", *lines]))
    opened = open_data(config(tmp_path, "labels.csv", group="who"))
    assert sum(map(len, patients(opened).values())) == 8 and "by column 'who'" in opened.remarks[0]
    (message,) = errors_of(config(tmp_path, "labels.csv", group="hwo"))
    assert "there is no column 'hwo', which is to hold the group. Did you mean 'who'?" in message
    by_name = open_data(config(tmp_path, "labels.csv", group=r"(patient\d)"))
    assert patients(by_name) == patients(opened)
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,patient_id", *lines]))  # a name that is known
    assert patients(open_data(config(tmp_path, "labels.csv"))) == patients(opened)
    without = open_data(config(tmp_path, "labels.csv", columns="group=")).remarks
    assert not any("groups" in remark for remark in without)
    parts = [f"{line},{'test' if number % 4 == 0 else 'train'}" for number, line in enumerate(lines)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,patient_id,split", *parts]))
    (message,) = errors_of(config(tmp_path, "labels.csv"))
    assert "8 of 8 groups by column 'patient_id' are in more than one of train, test" in message
    assert "--columns split=" in message and "--columns group=" in message


def test_groups_survive_broken_images(tmp_path: Path) -> None:
    folder = write_patients(tmp_path / "data", patients=12)
    whole = (folder / "a" / "patient0_0.png").read_bytes()
    (folder / "a" / "patient0_0.png").write_bytes(whole[:-30])  # seen when it is decoded
    (folder / "b" / "patient1_0.png").write_bytes(b"")  # seen at once
    opened = open_data(config(tmp_path, group=r"patient\d+", skip_broken=True))
    assert sum(map(sum, opened.counts.values())) == 46 and sum(map(len, patients(opened).values())) == 12
