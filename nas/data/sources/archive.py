"""An archive of images: unpacked once into the cache, nothing in it trusted, then read as a folder or label file."""

from __future__ import annotations

import errno
import gzip
import hashlib
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from nas.data.cache import writing
from nas.data.sources.base import Found, Progress, Source
from nas.data.sources.tables import SUFFIXES as TABLES
from nas.data.sources.tree import stamp
from nas.errors import DataError
from nas.files import locked, new_folder, remove_leftovers, write_atomically

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_MOST_FILES = 5_000_000
_ALWAYS_FINE = 1 << 30  # bytes: what unpacks to less is no bomb
_MOST_RATIO = 200  # unpacked to packed: images hardly shrink, what shrinks more than this is no data set
_BLOCK = 1 << 20
_DAMAGED = (  # RuntimeError and NotImplementedError: a password, a compression that zipfile does not know
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, RuntimeError,
    NotImplementedError, ValueError,
)  # fmt: skip

_CLASHES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)  # the fault of names in the archive

Member = tuple[str, int, Callable[[], IO[bytes]]]  # name, bytes, how to open it


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(SUFFIXES)


class Archive:
    """``find`` gives the source of what was unpacked."""

    def __init__(self, path: Path, cache_root: Path, find: Callable[[Path], Source]) -> None:
        self.path = path
        suffix = next(end for end in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(end))
        self.name = path.name[: -len(suffix)] or path.name
        self._root = cache_root / "unpacked"
        self._find = find
        self._inner: Source | None = None

    @property
    def remarks(self) -> Sequence[str]:
        """Those of what is in it."""
        return self._inner.remarks if self._inner else ()

    def fingerprint(self) -> str:
        """Unpacks the archive unless that was done; then that of what is in it."""
        folder = self._unpacked()
        try:
            self._inner = self._find(_entrance(folder))
            return f"archive:{self._inner.fingerprint()}"
        except DataError as error:  # of what people know, not of where it was unpacked
            raise DataError(*(fault.replace(str(folder), str(self.path)) for fault in error.faults)) from error

    def look(self, progress: Progress | None) -> Found:
        """Look at what was unpacked."""
        assert self._inner is not None, "fingerprint comes first"
        return self._inner.look(progress)

    def _unpacked(self) -> Path:
        """The folder of the archive's content, whole or not there at all."""
        folder = self._root / self._content_key()
        with writing(self._root), locked(self._root.parent / "locks" / f"unpacked-{folder.name}"):
            remove_leftovers(self._root)
            if not folder.exists():
                with new_folder(folder, durable=True) as fresh:
                    self._unpack(fresh)
        return folder

    def _content_key(self) -> str:
        """A hash of the archive's bytes, remembered by what the file system says of the file."""
        try:
            facts = (self.path.resolve(), *stamp(self.path.stat()))
            known = self._root / "known" / hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
            if known.exists():
                return known.read_text()
            with self.path.open("rb") as file:
                key = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}. Give a file that can.") from error
        with writing(self._root):
            write_atomically(known, key, parents=True)
        return key

    def _unpack(self, folder: Path) -> None:
        packed = self.path.stat().st_size
        most = min(max(_ALWAYS_FINE, _MOST_RATIO * packed), shutil.disk_usage(folder).free)
        total = count = 0
        try:
            with _members(self.path) as members:
                for name, size, opened in members:
                    total, count = total + size, count + 1
                    if total > most or count > _MOST_FILES:
                        raise DataError(self._too_much(total, count, most))
                    target = folder.joinpath(*self._safe_parts(name))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened() as source, target.open("wb") as file:
                        self._copy(source, file, size, name)
        except DataError:
            raise
        except (*_DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None and error.errno not in _CLASHES:
                raise
            raise DataError(
                f"{self.path} cannot be unpacked: {error or type(error).__name__}. Get it again, or unpack it by hand "
                "and give the folder."
            ) from error

    def _copy(self, source: IO[bytes], file: IO[bytes], size: int, name: str) -> None:
        """No more than was announced."""
        left = size
        while block := source.read(min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise DataError(f"{self.path}: {name} is larger than it says. Such an archive is not opened.")
            file.write(block)

    def _safe_parts(self, name: str) -> tuple[str, ...]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or name[1:2] == ":" or not path.parts or "\0" in name:
            raise DataError(
                f"{self.path} holds {name!r}, which leads outside the archive. Such an archive is not opened; pack the "
                "folder of images again."
            )
        return path.parts

    def _too_much(self, total: int, count: int, most: int) -> str:
        return (
            f"{self.path} unpacks to at least {total:,} bytes in {count:,} files; {most:,} bytes and {_MOST_FILES:,} "
            f"files are the most for its {self.path.stat().st_size:,} bytes and the disk of the cache ({self._root}). "
            "If it is what you expect, unpack it by hand and give the folder."
        )


@contextmanager
def _members(path: Path) -> Iterator[Iterator[Member]]:
    """The files of an archive, hidden ones left out. DataError at a link or device."""
    if zipfile.is_zipfile(path) and path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as packed:
            yield _of_zip(path, packed)
    else:
        with tarfile.open(path, "r:*") as tar:
            yield _of_tar(path, tar)


def _of_zip(path: Path, packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in packed.infolist():
        name = info.filename.replace("\\", "/")
        if info.is_dir() or name.endswith("/") or _is_hidden(name):
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise DataError(_no_file(path, name))
        if info.flag_bits & 1:
            raise DataError(f"{path} is locked by a password. Unpack it by hand and give the folder.")
        yield name, info.file_size, lambda info=info: packed.open(info)  # type: ignore[misc]


def _of_tar(path: Path, tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        if info.isdir() or _is_hidden(info.name):
            continue
        if not info.isreg():
            raise DataError(_no_file(path, info.name))
        yield info.name, info.size, lambda info=info: tar.extractfile(info)  # type: ignore[misc]
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    end = tar.fileobj.read(tarfile.BLOCKSIZE)
    if not end or any(end):  # the library takes that for an end too
        raise tarfile.ReadError("it ends early, or is damaged in the middle")


def _no_file(path: Path, name: str) -> str:
    return (
        f"{path} holds {name!r}, which is a link or a device. Such an archive is not opened: pack the files that links "
        "lead to (tar --dereference --hard-dereference), or unpack it by hand and give the folder."
    )


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") and part != ".." for part in parts) or "__MACOSX" in parts


def _entrance(folder: Path) -> Path:
    """What to read: below single folders, the folder or the one table that lies there beside no class folders."""
    children = sorted(folder.iterdir())
    while len(children) == 1 and children[0].is_dir():
        inner = sorted(children[0].iterdir())
        if not any(child.is_dir() or child.suffix.lower() in TABLES for child in inner):
            break  # images: this is a class, or a folder of named files, and the folder above says so
        folder, children = children[0], inner
    tables = [child for child in children if child.suffix.lower() in TABLES and child.suffix.lower() != ".txt"]
    folders = [child for child in children if child.is_dir()]
    deeper = [child for one in folders for child in one.iterdir() if child.is_dir()]
    return tables[0] if len(tables) == 1 and len(folders) < 2 and not deeper else folder
