"""Data from a program's memory: what is taken, as which pixels, what is refused, and what a run does with it later."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset
from torchvision.datasets import FakeData

import nas
from budgets import Budget
from nas.api import new_search, reopen
from nas.api.in_memory import data_config
from nas.api.in_process import carry_out_here
from nas.config import DataConfig, Recipe, SearchConfig
from nas.data import Dataset, cache_contents, open_data
from nas.data.cache import cache_root
from nas.errors import UsageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 8, 10), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (60, 8, 10, 3), dtype=np.uint8)
PETS = np.repeat(["cat", "dog"], 30)


def pixels(dataset: Dataset) -> np.ndarray:
    """All images (N, C, H, W) as they are decoded, in the order in which they were given."""
    return np.load(dataset.cache_path / "images.npy")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY / 255, GREY[:, None]),
        (GREY > 99, (GREY > 99)[:, None] * 255),
        (np.full((60, 8, 8), 0.498) + RNG.integers(0, 2, (60, 8, 8)) * 0.001, None),  # 126.99 and 127.245
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
        (torch.tensor(COLOUR.transpose(0, 3, 1, 2) / 255, dtype=torch.float32), COLOUR.transpose(0, 3, 1, 2)),
        (torch.tensor(GREY).to_sparse(), GREY[:, None]),
        (GREY.tolist(), None),
    ],
)
def test_arrays_of_usual_layouts_become_the_same_pixels(given: object, expected: np.ndarray | None) -> None:
    if isinstance(given, list):
        with pytest.raises(UsageError, match="int64 from 0 to 255"):
            data_config((given, PETS))
        return
    dataset = open_data(data_config((given, PETS), allow_duplicates=True))
    assert dataset.classes == ("cat", "dog") and dataset.name == "arrays"
    if expected is None:  # rounded to the nearest of 256 levels
        assert (pixels(dataset) == 127).all()
    else:
        assert np.array_equal(pixels(dataset), expected)


def test_the_same_content_is_kept_once_and_other_content_beside_it() -> None:
    first = data_config((GREY, PETS))
    assert data_config((torch.tensor(GREY), PETS.tolist())) == first
    assert data_config((GREY, PETS[::-1])).source != first.source
    named = data_config((GREY, PETS), name="pets")
    assert Path(named.source).parent == Path(first.source).parent and Path(named.source).name == "pets.npz"
    entries = {entry.name: entry for entry in cache_contents.contents(cache_root(None))}
    assert entries["given"].num_bytes >= 3 * GREY.nbytes
    cache_contents.clean(cache_root(None))
    assert Path(first.source).exists()  # nobody but the program could make it again


def test_parts_are_splits_and_numbers_may_have_names() -> None:
    parts = {"train": (GREY[6:], PETS[6:]), "val": (GREY[:6], ["cat", "dog"] * 3), "Test": (GREY[:2], PETS[29:31])}
    dataset = open_data(data_config(parts, allow_duplicates=True))
    assert dataset.counts == {"train": [24, 30], "select": [2, 1], "rank": [1, 2], "test": [1, 1]}
    fake = FakeData(30, (3, 12, 10), 3)
    fake.classes = ["ant", "bee", "cow"]
    whole, some = open_data(data_config(fake)), open_data(data_config(Subset(fake, range(24))))
    assert whole.input_shape == (3, 12, 10) and whole.classes == some.classes == ("ant", "bee", "cow")
    assert np.array_equal(pixels(whole)[0], np.asarray(fake[0][0]).transpose(2, 0, 1))
    tensors = TensorDataset(torch.tensor(GREY[:, None] / 255), torch.arange(60) % 2)
    assert np.array_equal(pixels(open_data(data_config(tensors))), GREY[:, None])


class Photos:
    """A data set of images of several sizes, as Pillow opens them."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, number: int) -> tuple[Image.Image, str]:
        if number >= len(self):
            raise IndexError
        return Image.fromarray(COLOUR[number]).resize((12, 20 + number)), PETS[3 * number]


def test_images_of_several_sizes_are_brought_to_the_one_that_is_said_as_files_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"several sizes, 12x20 to 12x39.*give image_size, such as 32"):
        data_config(Photos())
    dataset = open_data(data_config(Photos(), image_size=16, fit="pad"))
    paths = [f"{number}.png" for number in range(20)]
    for path, (image, _) in zip(paths, Photos(), strict=True):
        image.save(tmp_path / path)
    frame = pandas.DataFrame({"file_name": paths, "kind": PETS[::3]})
    from_files = data_config(frame, folder=tmp_path, name="photos", image_size=16, fit="pad")
    assert Path(from_files.source).name == "photos.csv"
    assert np.array_equal(pixels(open_data(from_files)), pixels(dataset))
    with pytest.raises(UsageError, match=r"20 of 20 files of column 'file_name' do not exist"):
        data_config(frame)
    with pytest.raises(UsageError, match="No column of the frame is known to hold paths; its columns are: a, 0"):
        data_config(pandas.DataFrame({"a": [1], 0: [2]}))
    with pytest.raises(UsageError, match=r"^The frame, row 3: ") as refused:
        open_data(data_config(frame.assign(kind=["cat"] * 3 + [""] + ["dog"] * 16), folder=tmp_path))
    assert "given" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((GREY / 16, PETS), r"float64 from 0 to 15.9375: convert it, for example by X / 15.9375"),
        ((GREY.astype(int), PETS), r'int64 from 0 to 255: .*X.astype\("uint8"\)'),
        ((GREY - 3.5, PETS), r"by \(X \+ 3.5\) / 255"),
        ((np.where(GREY > 250, np.nan, 0.5), PETS), "holds NaN or infinity in .* of 60 images"),
        ((GREY.reshape(60, 80), PETS), r"and is \(60, 80\): X.reshape\(-1, H, W\)"),
        ((np.zeros((60, 8, 8, 4)), PETS), "leave out the fourth channel, transparency"),
        ((GREY, PETS[:7]), "60 images and there are 7 labels"),
        ((GREY, RNG.random(60)), "Labels must be whole numbers or strings, and are float64"),
        ((GREY, np.array([1, "a"] * 30, dtype=object)), "all whole numbers, and are of the types: int, str"),
        ((GREY, np.eye(60)), r"Labels must have the shape \(N,\)"),
        ((GREY[:0], PETS[:0]), "has no images"),
        (GREY, "Data cannot be of type ndarray: give a path"),
        ({"train": (GREY, PETS), "check": (GREY, PETS)}, 'called "train" and perhaps "val" and "test", and are train'),
        ({"train": (GREY, PETS), "test": (GREY[:, :6], range(60))}, r"those of test \(6, 10\)(.|\n)*both be strings"),
        (TensorDataset(torch.randn(9, 3, 8, 8), torch.arange(9)), "Image 0 of X must be uint8 from 0 to 255 or floats"),
        ((row for row in GREY), "Data cannot be of type generator"),
        (([[1, 2], [3]], [0, 1]), "X must hold items of one shape, and their shapes differ"),
        ((GREY, np.array([2**63, 1] * 30, dtype=np.uint64)), "Labels must be at most 9,007,199,254,740,992"),
        ([(GREY[0], np.array([0, 1]))] * 4, r"The label of item 0 of X must be one .* has the shape \(2,\)"),
        ([*GREY], "Item 0 of X must be an image and its label, and is of type ndarray"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_cure_and_nothing_is_kept(
    data: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        data_config(data, cache_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a/b", "a\x1b[m", "..", "a" * 300])
def test_a_name_that_is_none_of_a_file_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a file: use letters and digits"):
        data_config((GREY, PETS), name=name)


def test_a_data_set_that_raises_names_the_item() -> None:
    class Broken(TensorDataset):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
            return super().__getitem__(index) if index < 3 else 1 / 0

    with pytest.raises(ZeroDivisionError) as raised:
        data_config(Broken(torch.rand(9, 8, 8), torch.arange(9) % 2))
    assert raised.value.__notes__ == ["This error was raised by item 3 of X (a Broken) when it was read."]


def test_bytes_that_are_no_text_and_numbers_of_numpy_are_labels() -> None:
    labels = np.array([b"\xff", b"a"] * 30)
    assert open_data(data_config((GREY, labels))).classes == ("\\xff", "a")
    assert data_config((GREY, np.array([np.int64(3), 4] * 30, dtype=object)))


def test_names_paths_and_settings_pass_as_they_are(tmp_path: Path) -> None:
    assert data_config("digits", max_images=90) == DataConfig(max_images=90)
    assert data_config(DataConfig(max_images=90), imbalance=2) == DataConfig(max_images=90, imbalance=2)
    assert data_config(tmp_path / ".." / tmp_path.name).source == str(tmp_path)
    with pytest.raises(UsageError, match=r"no data setting 'imagesize'\. Did you mean 'image_size'") as refused:
        data_config((GREY, PETS), imagesize=16, max_images=1)
    assert len(refused.value.messages) == 2


def test_a_run_on_arrays_resumesout_the_program_and_says_when_they_are_gone(tmp_path: Path) -> None:
    data = data_config((GREY, PETS), name="pets", cache_dir=str(tmp_path / "cache"))
    config = SearchConfig(
        space="vgg", strategy="random", budget=Budget(max_params=20_000), data=data, recipe=Recipe(epochs=1), trials=1,
        confirm=0, workers=1, device="cpu", floor=False,
    )  # fmt: skip
    with new_search(config, runs=tmp_path).log:
        pass
    folder = tmp_path / "vgg-pets-1"
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(UsageError, match=r"gone from the cache: .*pets.npz. Give the same data again.*name='pets'"):
        nas.load_run(folder).resume()
    assert data_config((GREY, PETS), name="pets", cache_dir=str(tmp_path / "cache")) == data
    opened = reopen(nas.load_run("vgg-pets-1", runs=tmp_path).record)
    assert carry_out_here(opened).is_done


KILLED_WHILE_WRITING = """
import resource, signal, sys

import numpy as np

import nas

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the system ends a process that writes more into a file than it may
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
given = np.load(sys.argv[1])
nas.search("vgg", data=(given["X"], given["y"]), max_params="20k")
"""


def test_a_kill_while_data_are_written_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "pets.npz", X=GREY, y=PETS)
    root = tmp_path / "cache"
    monkeypatch.setenv("NASCTL_CACHE", str(root))
    command = [sys.executable, "-B", "-c", KILLED_WHILE_WRITING, tmp_path / "pets.npz"]
    killed = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGXFSZ, killed.stderr
    (begun,) = (path for path in (root / "given").rglob("*") if path.is_file())
    assert begun.name.startswith(".tmp-") and begun.stat().st_size <= 3_000  # it was in the middle
    assert not (tmp_path / "runs").exists()
    config = data_config((GREY, PETS), allow_duplicates=True)
    assert [path for path in (root / "given").rglob("*") if path.is_file()] == [Path(config.source)]
    assert (pixels(open_data(config)) == GREY[:, None]).all()
