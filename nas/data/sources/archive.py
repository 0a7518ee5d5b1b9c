"""An archive of images: unpacked once into the cache, nothing in it trusted, then read as a folder or label file."""

from __future__ import annotations

import errno
import gzip
import hashlib
import lzma
import os
import re
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
from nas.data.sources.tables.table import SUFFIXES as TABLES
from nas.data.sources.tree import is_hidden, is_picture, look_into, may_be_image, most_unpacked, stamp
from nas.errors import DataError
from nas.files import locked, new_folder, remove_leftovers, write_atomically
from nas.units import counted, listed

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_MOST_FILES = 5_000_000
_BLOCK = 1 << 20
_SHOWN = 6
_MANIFEST = ".nasctl-unpacked"  # hidden, so it is no file of the set; written last
_ZIP = b"PK\x03\x04"
_MARKS = {_ZIP: "zip", b"Rar!": "RAR", b"7z\xbc\xaf": "7z", b"\x28\xb5\x2f\xfd": "Zstandard"}  # how files begin
_DAMAGED = (  # RuntimeError and NotImplementedError: a password, a compression that zipfile does not know
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, RuntimeError,
    NotImplementedError, ValueError,
)  # fmt: skip

_CLASHES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)  # the error of names in the archive

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
        self._folder = self._root  # of what was unpacked, once it was
        self._inner: Source | None = None
        self._hidden = ""  # a remark on images in hidden folders, if there are any

    @property
    def remarks(self) -> Sequence[str]:
        """Those of what is in it, and on what was not unpacked."""
        inner = [self._of_archive(remark) for remark in self._inner.remarks] if self._inner else []
        return [*inner, self._hidden] if self._hidden else inner

    def fingerprint(self) -> str:
        """Unpacks the archive unless that was done; then that of what is in it."""
        self._folder = self._unpacked()
        try:
            self._inner = self._find(_entrance(self._folder))
            return f"archive:{self._inner.fingerprint()}"
        except DataError as error:  # of what people know, not of where it was unpacked
            raise DataError(*map(self._of_archive, error.messages)) from error

    def _of_archive(self, text: str) -> str:
        """Reword what is said of the folder for the archive; what is in an archive cannot be given as data."""
        folder = str(self._folder)
        has_command = re.search(f"--data '?{re.escape(folder)}/", text)
        return text.replace(folder, str(self.path)) + " (Unpack the archive by hand for that.)" * bool(has_command)

    def look(self, progress: Progress | None) -> Found:
        """Look at what was unpacked."""
        assert self._inner is not None, "fingerprint comes first"
        return self._inner.look(progress)

    def _unpacked(self) -> Path:
        """The folder of the archive's content, whole or not there at all."""
        folder = self._root / self._content_key()
        with writing(self._root), locked(self._root.parent / "locks" / f"unpacked-{folder.name}"):
            remove_leftovers(self._root)
            if not _is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                with new_folder(folder, durable=True) as fresh:
                    hidden = self._unpack(fresh)
                    (fresh / _MANIFEST).write_text(f"{_inventory(fresh)}\n{hidden}", errors="surrogateescape")
            self._hidden = (folder / _MANIFEST).read_text(errors="surrogateescape").partition("\n")[2]
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
            raise DataError(
                f"{self.path} cannot be read: {error.strerror}. Make it readable, or give another file."
            ) from error
        with writing(self._root):
            write_atomically(known, key, parents=True)
        return key

    def _unpack(self, folder: Path) -> str:
        """A remark on hidden images, if there are any."""
        packed = self.path.stat().st_size
        most = min(most_unpacked(packed), shutil.disk_usage(folder).free)
        total = count = 0
        packed_inside, has_data = [], False
        hidden: list[str] = []
        try:
            with _members(self.path, hidden) as members:
                for name, size, opened in members:
                    total, count = total + size, count + 1
                    if total > most or count > _MOST_FILES:
                        raise DataError(self._too_much(total, count, most))
                    packed_inside += [name] if is_archive(Path(name)) else []
                    has_data |= may_be_image(name) or name.lower().endswith(".npz")  # a table is none alone
                    target = folder.joinpath(*self._safe_parts(name))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened() as source, target.open("wb") as file:
                        self._copy(source, file, size, name)
        except DataError:
            raise
        except (*_DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None and error.errno not in _CLASHES:
                raise
            what = "it is not an archive of a known kind" if "\n" in str(error) else error or type(error).__name__
            raise DataError(
                f"{self.path} cannot be unpacked: {what_else(self.path) or what}. Get it again, or unpack it by hand "
                "and give the folder."
            ) from error
        if not count:
            raise DataError(f"{self.path} holds no files. Get it again, or give another.")
        if packed_inside and not has_data:
            raise DataError(
                f"{self.path} holds no images but {counted(len(packed_inside), 'archive')}: "
                f"{listed(packed_inside, _SHOWN)}. Unpack it by hand, and give what is in it."
            )
        images = [name for name in hidden if is_picture(name) and not PurePosixPath(name).name.startswith("._")]
        if not images:
            return ""
        return f"{counted(len(images), 'hidden image')} in the archive left out: {listed(images, _SHOWN)}"

    def _copy(self, source: IO[bytes], file: IO[bytes], size: int, name: str) -> None:
        """No more than was announced."""
        left = size
        while block := source.read(min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise DataError(f"{self.path}: {name} is larger than the archive says. Such an archive is not opened.")
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
            f"{self.path} unpacks to at least {total:,} bytes in {count:,} files; at most {most:,} bytes and "
            f"{_MOST_FILES:,} files are allowed for an archive of {self.path.stat().st_size:,} bytes and the "
            f"free space on the disk of the cache ({self._root}). If it is what you "
            "expect, unpack it by hand and give the folder."
        )


@contextmanager
def _members(path: Path, hidden: list[str]) -> Iterator[Iterator[Member]]:
    """The files of an archive; hidden ones are left out and go to ``hidden``. DataError at a link or device."""
    with path.open("rb") as file:
        is_zip = file.read(4) == _ZIP or path.suffix.lower() == ".zip"
    if is_zip and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            yield _of_zip(path, packed, hidden)
    else:
        with tarfile.open(path, "r:*") as tar:
            yield _of_tar(path, tar, hidden)


def _of_zip(path: Path, packed: zipfile.ZipFile, hidden: list[str]) -> Iterator[Member]:
    for info in packed.infolist():
        name = info.filename.replace("\\", "/")
        if not name:  # the library asks for its last character
            raise DataError(
                f"{path} holds a file without a name. Such an archive is not opened: pack the folder again."
            )
        if info.is_dir() or name.endswith("/"):
            continue
        if _is_hidden(name):
            hidden.append(name)
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise DataError(_no_file(path, name))
        if info.flag_bits & 1:
            raise DataError(f"{path} is protected by a password. Unpack it by hand and give the folder.")
        yield name, info.file_size, lambda info=info: packed.open(info)  # type: ignore[misc]


def _of_tar(path: Path, tar: tarfile.TarFile, hidden: list[str]) -> Iterator[Member]:
    for info in tar:
        if info.isdir():
            continue
        if _is_hidden(info.name):
            hidden.append(info.name)
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
    return any(is_hidden(part) and part != ".." for part in PurePosixPath(name).parts)


def _is_whole(folder: Path) -> bool:
    """True if what was unpacked there is as it was then: the same files of the same sizes."""
    try:
        return (folder / _MANIFEST).read_text(errors="surrogateescape").partition("\n")[0] == _inventory(folder)
    except OSError:
        return False


def _inventory(folder: Path) -> str:
    """A hash of the names and sizes of all files below a folder, but for the manifest."""
    text = hashlib.blake2b(digest_size=16)
    for path, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name != _MANIFEST:
                inner = os.path.join(path, name)  # noqa: PTH118 - of every file, at every start
                size = os.stat(inner).st_size  # noqa: PTH116
                text.update(f"{inner[len(str(folder)) :]}\0{size}\0".encode(errors="surrogateescape"))
    return text.hexdigest()


def what_else(path: Path) -> str | None:
    """Kind of a file that cannot be opened as an archive, if its first bytes tell. OSError if it cannot be read."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "it is empty"
    if start.lstrip()[:1] == b"<":
        return "it is a web page, perhaps a login page, not an archive"
    kind = next((kind for mark, kind in _MARKS.items() if start.startswith(mark)), None)
    if kind == "zip":
        return None if zipfile.is_zipfile(path) else "it is cut short: the list of files at its end is missing"
    return f"it is an archive of the kind {kind}, which is not opened here" if kind else None


def _seen(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in look_into(folder)[0]]


def _entrance(folder: Path) -> Path:
    """Path to read: below single folders, the folder or the one table that lies there beside no class folders."""
    children = _seen(folder)
    while len(children) == 1 and children[0].is_dir():
        inner = _seen(children[0])
        if not any(child.is_dir() or child.suffix.lower() in TABLES for child in inner):
            break  # images: this is a class, or a folder of named files, and the folder above says so
        folder, children = children[0], inner
    tables = [child for child in children if child.suffix.lower() in TABLES and child.suffix.lower() != ".txt"]
    folders = [child for child in children if child.is_dir()]
    deeper = [child for one in folders for child in one.iterdir() if child.is_dir()]
    return tables[0] if len(tables) == 1 and len(folders) < 2 and not deeper else folder
