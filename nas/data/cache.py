"""Decoded sets on disk: found again by content, filled by one process at a time, whole or not there at all.

sets/<content key>/     images.npy, decoded.json, and results that are kept (see ``nas.data.kept``); complete since it
                        has its name
sets/.tmp-<key>-<...>/  being filled by the process that holds locks/<key>, or left by a kill
index/<quick key>.json  what a look at a source of this cheap fingerprint found, after its checksum
floors/                 what classical methods reach on a set and its splits (see ``nas.engine.floor``)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from nas.errors import DataError
from nas.files import (
    at_home,
    locked,
    new_folder,
    read_file,
    remove_leftovers,
    users_folder,
    write_own,
)  # fmt: skip

SEAL = "decoded.json"  # written last; its "files" are sizes and checksums of the arrays beside it
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
OUR_DISK = _FULL | {errno.EACCES, errno.EPERM, errno.EROFS}  # what the cache folder can do wrong


def cache_root(configured: str | None) -> Path:
    """Folder of caches: as configured, else NASCTL_CACHE, else the user's cache folder. DataError without a home."""
    chosen = configured or os.environ.get("NASCTL_CACHE")
    if chosen:
        return at_home(chosen).absolute()
    import platformdirs

    usual = users_folder(platformdirs.user_cache_dir)
    if usual is None:
        raise DataError(
            "There is no home folder to keep decoded images in: set the environment variable NASCTL_CACHE to a folder."
        )
    return usual


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns the system's errors while the cache is written into a DataError with the cure."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        what = "is full" if error.errno in _FULL else f"cannot be written: {error.strerror or error}"
        raise DataError(
            f"The cache folder {root} {what}. Make room there, or name another folder in the environment "
            "variable NASCTL_CACHE."
        ) from error


class Cache:
    """The decoded sets below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def recall(self, quick: str) -> str | None:
        """The text that was remembered under this cheap key, if it is there and undamaged."""
        try:
            path = self.root / "index" / f"{quick}.json"
            checksum, _, text = path.read_text().partition("\n") if path.is_file() else ("", "", "")
        except (OSError, ValueError):
            return None
        return text if checksum == str(zlib.crc32(text.encode())) else None

    def remember(self, quick: str, text: str) -> None:
        """Let ``recall`` give this text again."""
        with writing(self.root):
            write_own(self.root / "index" / f"{quick}.json", f"{zlib.crc32(text.encode())}\n{text}")

    def lookup(self, key: str) -> Path | None:
        """The folder of the set ``key``, if it is there and undamaged."""
        folder = self.root / "sets" / key
        if not is_intact(folder):
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)  # when it was last used
        return folder

    def fill(self, key: str, build: Callable[[Path], None]) -> Path:
        """The folder of the set ``key``, made by ``build(empty folder)`` unless it is there and undamaged.

        Other processes that want the same set wait and get it. DataError if the disk is full.
        """
        sets = self.root / "sets"
        final = sets / key
        with writing(self.root), locked(self.root / "locks" / key):
            sets.mkdir(exist_ok=True)
            remove_leftovers(sets)
            if is_intact(final):
                return final
            if final.exists():
                shutil.rmtree(final)
            try:
                with new_folder(final, durable=True) as fresh:
                    build(fresh)
            except OSError:
                if not is_intact(final):  # where there are no locks, another process may have been first
                    raise
        return final


def held(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # other processes make and remove sets beside us
                total += Path(place, name).stat().st_size
    return total


def seal(folder: Path) -> dict[str, list[int]]:
    """By the name of each array in ``folder``, its bytes and their checksum: the "files" of ``SEAL``."""
    return {path.name: [path.stat().st_size, _checksum(path)] for path in sorted(folder.glob("*.npy"))}


def is_intact(folder: Path) -> bool:
    """True if every array of a set is there as it was written. Reads them: a second for 3 GB."""
    try:
        files = json.loads(read_file(folder / SEAL))["files"]
        return bool(files) and all(_is_sealed(folder / name, seal) for name, seal in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _is_sealed(path: Path, sealed: list[int]) -> bool:
    size, checksum = sealed
    return path.is_file() and path.stat().st_size == size and _checksum(path) == checksum


def _checksum(path: Path) -> int:
    """CRC-32, which notices damage and is as fast as memory."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 18):
            checksum = zlib.crc32(block, checksum)
    return checksum
