"""The cache: shared by processes, whole after a kill, rebuilt after damage, honest about a full disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, open_data
from nas.data.cache import seal
from nas.errors import DataError

OPEN = """
import sys
from nas.data import DataConfig, open_data
data = open_data(DataConfig(source=sys.argv[1], cache_dir=sys.argv[2]))
print(data.key, data.split("test").images.sum())
"""
HANG = """
import sys, time
from nas.data import DataConfig, open_data
def progress(done, total):
    if done > int(sys.argv[3]):
        print("half way", flush=True)
        time.sleep(60)
open_data(DataConfig(source=sys.argv[1], cache_dir=sys.argv[2]), progress=progress)
"""
FULL = """
import resource, sys
from nas.data import DataConfig, open_data
from nas.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    open_data(DataConfig(source=sys.argv[1], cache_dir=sys.argv[2]))
except DataError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 images of 8x8 pixels in two classes."""
    path = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (path / name).mkdir()
        for number in range(200):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path / name / f"{number}.png")
    return path


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def listed(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "sets").iterdir())


def config(folder: Path, cache: Path) -> DataConfig:
    return DataConfig(source=str(folder), cache_dir=str(cache))


def test_processes_that_fill_it_at_once_agree(folder: Path, tmp_path: Path) -> None:
    processes = [start(OPEN, folder, tmp_path) for _ in range(3)]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert all(process.returncode == 0 for process in processes) and len(answers) == 1
    assert len(listed(tmp_path)) == 1
    assert answers.pop().startswith(open_data(config(folder, tmp_path)).key)


@pytest.mark.parametrize("after", [0, 500])  # of 800 steps: while looking at files, while decoding them
def test_kill_leaves_nothing_half_done(folder: Path, tmp_path: Path, after: int) -> None:
    victim = start(HANG, folder, tmp_path, after)
    assert victim.stdout is not None and victim.stdout.readline() == "half way\n"
    if after:
        assert [name[:5] for name in listed(tmp_path)] == [".tmp-"]
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    data = open_data(config(folder, tmp_path))
    assert listed(tmp_path) == [data.cache_path.name]
    assert sum(map(sum, data.counts.values())) == 400


def test_a_waiting_process_gets_the_set_of_one_that_dies(folder: Path, tmp_path: Path) -> None:
    victim = start(HANG, folder, tmp_path, 500)
    assert victim.stdout is not None and victim.stdout.readline() == "half way\n"
    waiting = start(OPEN, folder, tmp_path)
    time.sleep(0.5)
    assert waiting.poll() is None
    victim.kill()
    victim.wait()
    victim.stdout.close()
    assert waiting.communicate(timeout=60)[0] and waiting.returncode == 0
    assert len(listed(tmp_path)) == 1


def test_leftovers_of_other_sets_are_swept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sets" / ".tmp-0123abcd-0123456789ab").mkdir(parents=True)
    (tmp_path / "locks").mkdir()
    open_data(config(folder, tmp_path))
    assert len(listed(tmp_path)) == 1


def test_labels_lie_beside_the_pixels(folder: Path, tmp_path: Path) -> None:
    """For programs that read the cache: of a copy that was decoded after files were exchanged, as they lie now."""
    data = open_data(config(folder, tmp_path))
    rows = data.rows["train"]
    assert (np.load(data.cache_path / "labels.npy")[rows] == data.split("train").labels).all()
    one, other = (next(path.iterdir()) for path in sorted(folder.iterdir())[:2])
    exchanged = [one.read_bytes(), other.read_bytes()]
    try:
        other.write_bytes(exchanged[0])
        one.write_bytes(exchanged[1])
        again = open_data(config(folder, tmp_path))
        images, labels = np.load(again.cache_path / "images.npy"), np.load(again.cache_path / "labels.npy")
        assert again.cache_path != data.cache_path
        for name in ("train", "test"):
            split = again.split(name)
            assert (labels[split.rows] == split.labels).all() and (images[split.rows] == split.images).all()
    finally:
        one.write_bytes(exchanged[0])
        other.write_bytes(exchanged[1])


@pytest.mark.parametrize("damage", ["images.npy", "labels.npy", "decoded.json", "index", "label", "pixels"])
def test_damage_is_repaired(folder: Path, tmp_path: Path, damage: str) -> None:
    data = open_data(config(folder, tmp_path))
    before = data.split("test").images.copy()
    if damage == "index":
        for file in (tmp_path / "index").iterdir():
            file.write_text("{")
    elif damage == "label":
        for file in (tmp_path / "index").iterdir():
            file.write_text(file.read_text().replace('"labels": [0', '"labels": [1'))
    elif damage == "pixels":  # of the same size
        content = bytearray((data.cache_path / "images.npy").read_bytes())
        content[-5000:-4000] = bytes(1000)
        (data.cache_path / "images.npy").write_bytes(content)
    else:
        os.truncate(data.cache_path / damage, 100)
    again = open_data(config(folder, tmp_path))
    assert again.key == data.key and (again.split("test").images == before).all()
    (again.cache_path / "images.npy").unlink()
    assert (open_data(config(folder, tmp_path)).split("test").images == before).all()


def test_found_by_content_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    first = open_data(config(folder, tmp_path / "cache"))
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert open_data(config(copy, tmp_path / "cache")).key == first.key
    assert len(listed(tmp_path / "cache")) == 1 and len(list((tmp_path / "cache" / "index").iterdir())) == 2
    Image.new("RGB", (8, 8)).save(copy / "a" / "0.png")
    changed = open_data(config(copy, tmp_path / "cache"))
    assert changed.key != first.key and changed.cache_path != first.cache_path
    (copy / "a" / "1.png").unlink()
    assert sum(map(sum, open_data(config(copy, tmp_path / "cache")).counts.values())) == 399


def test_second_start_reads_no_image(folder: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    first = open_data(config(folder, tmp_path), progress=lambda done, total: steps.append(done))
    assert steps
    steps.clear()
    second = open_data(config(folder, tmp_path), progress=lambda done, total: steps.append(done))
    assert not steps and second == first


def test_disk_limit_is_named_with_its_cure(folder: Path, tmp_path: Path) -> None:
    output, _ = start(FULL, folder, tmp_path / "cache").communicate(timeout=60)
    assert f"{tmp_path / 'cache'} is full" in output and "NASCTL_CACHE" in output
    assert listed(tmp_path / "cache") == []


def test_cache_folder_that_cannot_be(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NASCTL_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(ValueError, match=r"cannot be written.*NASCTL_CACHE"):
        open_data(DataConfig(source=str(folder)))
    monkeypatch.setenv("NASCTL_CACHE", str(tmp_path / "chosen"))
    assert open_data(DataConfig(source=str(folder))).cache_path.is_relative_to(tmp_path / "chosen")


def test_what_others_put_there_is_made_anew_or_named(folder: Path, tmp_path: Path) -> None:
    config = DataConfig(source=str(folder), cache_dir=str(tmp_path / "cache"))
    data = open_data(config)
    (remembered,) = (tmp_path / "cache" / "index").glob("*.json")
    checksum, _, text = remembered.read_text().partition("\n")
    remembered.unlink()
    os.mkfifo(remembered)
    assert open_data(config).key == data.key and remembered.read_text() == f"{checksum}\n{text}"
    wrong = json.dumps(json.loads(text) | {"labels": [-1] * 400})
    remembered.write_text(f"{zlib.crc32(wrong.encode())}\n{wrong}")
    assert open_data(config).key == data.key and remembered.read_text() == f"{checksum}\n{text}"
    np.save(data.cache_path / "images.npy", np.zeros((3, *data.input_shape), np.uint8))
    sealed = json.loads((data.cache_path / "decoded.json").read_text())
    (data.cache_path / "decoded.json").write_text(json.dumps(sealed | {"files": seal(data.cache_path)}))
    with pytest.raises(DataError, match=r"holds 3 images in place of 400. Remove it"):
        open_data(config)
