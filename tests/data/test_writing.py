"""Sets that ``nasctl data --write`` makes: what is in them, how they are read again, and what may go wrong."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from command_line import fails, nasctl
from image_folders import config, error_of, write

from nas.data import DataConfig, Dataset, describe_data, open_data
from nas.data.oversampling import oversample
from nas.data.writing import WrittenSet, check_target, write_set
from nas.errors import UsageError

ODD = (  # names of classes that no folder can have, or that would say something else as one
    "a/b", "a%2Fb", "..", ".hidden", " spaced ", 'quo"te, and comma', "train", "unlabelled", "Cat", "cat", "ä", "10",
    "9", "x" * 300, "x" * 299 + "y",
)  # fmt: skip
FORMS = ("set", "set.npz")
Contents = dict[str, dict[str, Counter[bytes]]]


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Colour images, 9 by 8, of classes with odd names in an odd order, the first with most images."""
    folder, rng = tmp_path_factory.mktemp("colour"), np.random.default_rng(0)
    labels = np.repeat(np.arange(len(ODD)), [20, *[8] * (len(ODD) - 1)])
    images = rng.integers(0, 256, (len(labels), 9, 8, 3), dtype=np.uint8)
    np.savez(folder / "odd.npz", images=images, labels=labels, class_names=np.array(ODD))
    return config(folder / "odd.npz")


def contents(data: Dataset) -> Contents:
    """The images of each class in each part, as often as they occur."""
    parts = {"train": ["train"], "val": ["select", "rank"], "test": ["test"]}
    return {
        part: {
            name: Counter(
                image.tobytes()
                for split in map(data.split, splits)  # type: ignore[arg-type]
                for image in split.images[split.labels == label]
            )
            for label, name in enumerate(data.classes)
        }
        for part, splits in parts.items()
    }


def missing(data: Dataset) -> int:
    """Number of training images that fill every class up to the largest."""
    counts = data.counts["train"]
    return max(counts) * len(counts) - sum(counts)


def written(settings: DataConfig, path: Path, oversampling: str) -> tuple[Dataset, WrittenSet, DataConfig]:
    data = open_data(settings)
    return data, write_set(settings, data, oversampling, path), settings.model_copy(update={"source": str(path)})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("oversampling", ["smote", "random", "none"])
def test_what_is_written_is_read_again_as_it_was(
    form: str, oversampling: str, tmp_path: Path, colour: DataConfig
) -> None:
    data, said, again = written(colour, tmp_path / form, oversampling)
    made = oversample(oversampling, data.split("train"), cache=data.cache_path, key=data.key)
    made_images = made.images if made.rows is None else made.images[made.rows]
    read, expected = open_data(again), contents(data)
    added = {name: Counter(map(np.ndarray.tobytes, made_images[made.labels == c])) for c, name in enumerate(ODD)}
    assert read.classes == data.classes == ODD and read.input_shape == (3, 9, 8)
    found = contents(read)
    assert found["val"] == expected["val"] and found["test"] == expected["test"]
    assert found["train"] == {name: images + added[name] for name, images in expected["train"].items()}
    assert said.num_synthetic == len(made.labels) == (0 if oversampling == "none" else missing(data))
    assert said.counts["train"] == read.counts["train"]

    with said.table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    of_class = Counter(row["label"] for row in rows if row["synthetic"] == "1")
    assert of_class == Counter({name: images.total() for name, images in added.items() if images})
    assert {row["split"] for row in rows if row["synthetic"] == "1"} <= {"train"}
    assert Counter(row["split"] for row in rows) == {part: sum(counts) for part, counts in said.counts.items()}


def test_what_is_marked_is_what_was_added(tmp_path: Path, colour: DataConfig) -> None:
    data, said, _ = written(colour, tmp_path / "set.npz", "augment")
    arrays = np.load(said.path)
    real = arrays["synthetic"] == 0
    assert (arrays["images"][real].transpose(0, 3, 1, 2) == data.split("train").images).all()
    assert (arrays["labels"][real] == data.split("train").labels).all()
    with said.table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert [int(row["synthetic"]) for row in rows] == arrays["synthetic"].tolist()
    assert [int(row["row"]) for row in rows] == list(range(len(rows)))


def remarks(settings: DataConfig) -> str:
    """On synthetic images, also when the set is opened a second time; what is not said is empty."""
    first, second = (
        [each for each in opened.remarks if "synthetic" in each]
        for opened in (open_data(settings), open_data(settings))
    )
    assert first == second
    return " ".join(first)


@pytest.mark.parametrize("form", FORMS)
def test_a_set_says_that_it_was_oversampled_and_what_is_wrong_with_that(
    form: str, tmp_path: Path, colour: DataConfig
) -> None:
    data, said, again = written(colour, tmp_path / form, "random")
    assert f"{missing(data)} of the {sum(said.counts['train'])} training images are synthetic" in remarks(again)
    assert "has val and test of its own" in remarks(again)
    alone = remarks(again.model_copy(update={"ignore_val": True}))
    assert "oversampled before select, rank are split off here" in alone and "leave out --ignore-val, or give" in alone
    _, _, plain = written(colour, tmp_path / f"plain-{form}", "none")
    assert remarks(plain) == remarks(plain.model_copy(update={"ignore_val": True})) == ""


def test_a_set_without_val_and_test_of_its_own_says_so(tmp_path: Path, colour: DataConfig) -> None:
    _, said, again = written(colour, tmp_path / "set.npz", "augment")
    arrays = dict(np.load(said.path))
    np.savez(said.path, **{name: array for name, array in arrays.items() if not name.startswith(("val", "test"))})
    told = remarks(again)
    assert "before select, rank, test are split off here" in told and "--ignore-val" not in told


def test_a_folder_that_was_changed_by_hand(tmp_path: Path) -> None:
    _, said, again = written(config(write(tmp_path / "data", "a", "b", count=9)), tmp_path / "set", "none")
    (said.path / "train" / "a" / "0000.png").rename(said.path / "train" / "a" / "other.png")
    report = describe_data(again)
    assert [(one.name, one.reason) for one in report.broken] == [
        ("train/a/0000.png", "there is no such file (images.csv, line 2)")
    ]
    assert "1 file not in images.csv left out: train/a/other.png" in report.remarks
    lines = said.table.read_text().splitlines()
    said.table.write_text("\n".join([*lines, lines[5], "train/a/0002.png,a,training,0", "short"]))
    message = error_of(said.path)
    assert f"in line 6, {len(lines) + 1}. Write the set again" in message
    assert f"and 0 or 1 (synthetic), in line {len(lines) + 2}, {len(lines) + 3}." in message
    said.table.write_text(lines[0])
    assert "no line follows the names" in error_of(said.path)
    assert "--match chooses files by name" in error_of(said.path, match="*.png")


# ---- the command


def test_the_command_writes_what_the_command_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASCTL_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    deep = {"images": rng.integers(0, 4096, (40, 8, 8), dtype=np.uint16), "labels": np.repeat([0, 1], [28, 12])}
    np.savez(tmp_path / "deep.npz", **deep)
    done = nasctl("data", "deep.npz", "--oversample", "smote", "--write", "even.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Written: even.npz, 32 training images, 10 of them synthetic; 10 of val" in done.stdout
    assert "0 to 4095 became 0 to 255." in done.stdout and "--data even.npz" in done.stdout
    again = nasctl("data", "even.npz", "--write", "plain", "--json", cwd=tmp_path)
    document = json.loads(again.stdout)
    assert document["splits"]["train"] == [16, 16] and document["levels"] is None
    assert document["faults"] == []
    assert document["written"]["num_synthetic"] == 0 and document["written"]["table"] == "plain/images.csv"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "deep.npz", "even.csv", "even.npz", "plain"]


def test_refused_with_what_to_type(tmp_path: Path) -> None:
    write(tmp_path / "pets", "a", "b")
    (tmp_path / "there.csv").touch()
    cases = {
        ("--oversample", "smote"): "give --write FOLDER or --write FILE.npz too",
        ("--oversample", "smot", "--write", "x"): "Did you mean 'smote'?",
        ("--write", "pets/x"): "is inside the data folder",
        ("--write", "pets"): "pets exists, and nothing is overwritten",
        ("--write", "there.npz"): "there.csv exists",
        ("--write", "none/x"): "there is no folder none. Create it first",
        ("--write", "x.zip"): "give a file that ends in .npz, or a folder",
        ("--write", "x" * 300): "File name too long",
    }
    for arguments, message in cases.items():
        assert message in fails("data", "pets", *arguments, cwd=tmp_path), arguments
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets", "there.csv"]


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_leaves_nothing(form: str, tmp_path: Path, colour: DataConfig) -> None:
    data = open_data(colour)
    oversample("smote", data.split("train"), cache=data.cache_path, key=data.key)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, limits[1]))
        with pytest.raises(UsageError, match=r"cannot be written: File too large\. No partial output is left"):
            write_set(colour, data, "smote", tmp_path / form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from nas.data import DataConfig, open_data
from nas.data.writing import write_set
config = DataConfig.model_validate_json(sys.argv[1])
data = open_data(config)
write_set(config, data, "random", Path(sys.argv[2]), progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_kill_leaves_nothing_that_looks_whole_and_the_next_try_cleans_up(
    form: str, tmp_path: Path, colour: DataConfig
) -> None:
    place = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, colour.model_dump_json(), tmp_path / form],
        env=os.environ | {"PYTHONPATH": place}, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".tmp-")] == []
    check_target(tmp_path / form, colour.source)
    said = write_set(colour, open_data(colour), "random", tmp_path / form)
    assert {path.name for path in tmp_path.iterdir()} == ({"set"} if form == "set" else {"set.npz", "set.csv"})
    assert said.num_synthetic > 0
