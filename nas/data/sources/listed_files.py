"""The files that a list names: beside the list, in a folder there, with or without their suffix."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from nas.data.sources.tree import is_folder, look_into, stamp
from nas.errors import DataError

_USUAL = ("images", "imgs", "img", "image", "photos", "pictures", "pics", "jpg", "jpeg", "png", "data")
_DEEPEST = 4  # folders below the list that are searched
_MOST = 500_000  # files there that are listed

Located = tuple[str, int, int, int, int]  # path from the list or as given, bytes (-1: missing), times of change, inode


class ListedFiles:
    """Finds files for a list in the folder ``home``. What is below ``home`` is listed once, when first needed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._home = str(home)
        self._by_name: dict[str, list[str]] | None = None

    def find(self, given: str, folders: Sequence[str]) -> Located:
        """Where a file is; where several could be meant, one in a folder of these names. DataError if that decides
        nothing. A missing one has the size -1."""
        name = given.replace("\\", "/") if os.sep == "/" else given
        for candidate in dict.fromkeys((given, name)):
            if located := self._stat(candidate):
                return located
        found = self._below(name)
        if len(found) > 1:
            found = _preferred(found, folders) or found
        if len(found) > 1:
            raise DataError(f"{given!r} may be {found[0]} or {found[1]}. Write the folder too.")
        for candidate in found or [f"{base}/{name}" for base in ("..", *(f"../{one}" for one in _USUAL))]:
            if located := self._stat(candidate):
                return located
        return given, -1, 0, 0, 0

    def _stat(self, name: str) -> Located | None:
        try:
            status = os.stat(os.path.join(self._home, name))  # noqa: PTH116, PTH118 - twice as fast, for every line
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return name, *stamp(status)

    def _below(self, name: str) -> list[str]:
        """Images below ``home`` whose path ends like this, or does so without its suffix."""
        if self._by_name is None:
            self._by_name = {}
            for number, path in enumerate(_walk(self.home, "", _DEEPEST)):
                if number >= _MOST:
                    break
                file = path.rpartition("/")[2]
                for key in (file, file.rpartition(".")[0]):
                    self._by_name.setdefault(key, []).append(path)
        candidates = self._by_name.get(name.rpartition("/")[2], [])
        ending = f"/{name.removeprefix('./')}"
        return sorted(
            {
                path
                for path in candidates
                if f"/{path}".endswith(ending) or f"/{path}".rpartition(".")[0].endswith(ending)
            }
        )


def _preferred(found: Sequence[str], folders: Sequence[str]) -> list[str]:
    for names in (folders, _USUAL):
        chosen = [path for path in found if any(part.lower() in names for part in PurePosixPath(path).parts[:-1])]
        if len(chosen) == 1:
            return chosen
    return []


def _walk(root: Path, prefix: str, depth: int) -> Iterator[str]:
    """Images by suffix, in order, hidden folders left out."""
    from nas.data.images import SUFFIXES, suffix_of

    try:
        seen, _ = look_into(root / prefix)
    except OSError:
        return
    for entry in seen:
        path = f"{prefix}/{entry.name}" if prefix else entry.name
        if is_folder(entry):
            if depth:
                yield from _walk(root, path, depth - 1)
        elif suffix_of(entry.name) in SUFFIXES:
            yield path
