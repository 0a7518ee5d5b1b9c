"""Contents of the data cache by data set, and the entries that nobody uses now."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.data.cache import SEAL, held
from nas.data.given import FOLDER
from nas.files import is_locked, read_file, remove_leftovers

GRACE = 3600.0  # seconds since a set was last asked for, in which a process may be about to open it
OTHERS = {  # folders of the cache, and what they hold
    FOLDER: "data given by Python programs",
    "torchvision": "downloaded sets", "unpacked": "unpacked archives", "index": "indexes of data sources",
    "floors": "classical methods' scores", "autotune": "CPU and GPU auto-tuning",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A decoded set of the cache, or a folder of other things."""

    name: str  # of the data set; where it was not recorded, the first letters of the key
    what: str  # how many images of which shape
    num_bytes: int
    last_used: float | None  # Unix time
    in_use: bool
    path: str


def contents(root: Path) -> list[Entry]:
    """Decoded sets, the largest first, then what else there is."""
    mapped = set(_mapped_files())
    sets = [_of_set(folder, mapped) for folder in _sets(root)]
    others = [
        Entry(name, what, held(root / name), None, in_use=True, path=str(root / name))
        for name, what in OTHERS.items()
        if (root / name).is_dir()
    ]
    return [*sorted(sets, key=lambda entry: -entry.num_bytes), *others]


def clean(root: Path) -> list[Entry]:
    """Remove decoded sets that no process has opened or lately asked for, unpacked archives while nothing is decoded,
    and what kills left; what was removed. Each is made anew when it is needed. OSError if it cannot be removed."""
    gone = [entry for entry in contents(root) if not entry.in_use]
    unpacked = root / "unpacked"
    if unpacked.is_dir() and held(unpacked) and not any(map(is_locked, (root / "locks").glob("*"))):
        gone.append(Entry("unpacked", OTHERS["unpacked"], held(unpacked), None, in_use=False, path=str(unpacked)))
    for entry in gone:
        shutil.rmtree(entry.path)
    if (root / "sets").is_dir():
        remove_leftovers(root / "sets")
    return gone


def _sets(root: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (path for path in (root / "sets").iterdir() if path.is_dir() and not path.name.startswith("."))


def _of_set(folder: Path, mapped: set[str]) -> Entry:
    name, what, used = "", "damaged", folder.stat().st_mtime
    with contextlib.suppress(OSError, ValueError, AttributeError):
        name = str(json.loads(read_file(folder / SEAL)).get("name", ""))
        count, channels, height, width = np.load(folder / "images.npy", mmap_mode="r").shape
        what = f"{count:,} images {channels}x{height}x{width}"
    inside = f"{folder.resolve()}/"
    in_use = time.time() - used < GRACE or any(path.startswith(inside) for path in mapped)
    return Entry(name or folder.name[:8], what, held(folder), used, in_use, str(folder))


def _mapped_files() -> Iterator[str]:
    """Arrays that processes of ours have opened, where the system tells."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):  # of others, or gone
            yield from (line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if line.endswith(".npy"))
