"""The files that a list names: beside the list, in a folder there, with or without their suffix."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice, takewhile
from pathlib import Path

from nas.data.sources.folder_names import part_of
from nas.data.sources.tree import is_folder, is_picture, look_into, stamp

_USUAL = ("images", "imgs", "img", "image", "photos", "pictures", "pics", "jpg", "jpeg", "png", "data")
_part = cache(part_of)
_SAMPLE = 100  # names by which it is tried where files lie
_DEEPEST = 4  # folders below the list that are searched
_MOST = 500_000  # files there that are listed

Located = tuple[str, int, int, int, int]  # path from the list or as given, bytes (-1: missing), times of change, inode


class ListedFiles:
    """Finds files for a list in the folder ``home``. What is below ``home`` is listed once, when first needed.

    ``doubtful`` are names that fit several files, with these; ``preferred`` those where one of them lies where images
    usually do, which is taken and stands first.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.doubtful: dict[str, list[str]] = {}
        self.preferred: dict[str, list[str]] = {}
        self._home = str(home)
        self._by_name: dict[str, list[str]] | None = None
        self._beside = [folder for one in _USUAL if (home / (folder := f"../{one}")).is_dir()]

    def find(self, given: str, part: int | None) -> Located:
        """Path of a file; where several could be meant, one in a folder of this part. A missing or doubtful one has the
        size -1."""
        name = _slashes(given)
        for candidate in dict.fromkeys((given, name)):
            if located := self._stat(candidate):
                return located
        found = self._below(name) or ([f"../{name}"] if self._stat(f"../{name}") else [])
        found = found or [path for folder in self._beside if self._stat(path := f"{folder}/{name}")]
        if len(found) > 1:
            found = self._decided(given, found, part)
        located = self._stat(found[0]) if len(found) == 1 else None
        return located or (given, -1, 0, 0, 0)

    def _decided(self, given: str, found: list[str], part: int | None) -> list[str]:
        own = [path for path in found if part is not None and part in map(_part, path.split("/")[:-1])]
        if len(own) == 1:
            return own
        usual = [path for path in own or found if set(_USUAL) & set(path.lower().split("/")[:-1])]
        if len(usual) == 1:
            self.preferred[given] = [*usual, *(path for path in found if path != usual[0])]
            return usual
        self.doubtful[given] = own or found
        return []

    def holds_some(self, names: Sequence[str]) -> bool:
        """True if some of these files are there, perhaps without the folders that all begin with."""
        if not names or any(self.find(name, None)[1] >= 0 for name in names):
            return bool(names)
        return bool(self.doubtful) or bool(self.foreign_start(names))

    def like(self, name: str) -> str:
        """A file below ``home`` whose name differs in its suffix or in capitals alone; empty: none."""
        file = _slashes(name).rpartition("/")[2].casefold()
        wanted = {file, file.rpartition(".")[0]} - {""}
        return next((paths[0] for key, paths in self._listed().items() if key.casefold() in wanted), "")

    def foreign_start(self, names: Sequence[str]) -> str:
        """The folders that all ``names`` begin with, none of which is there, without which most of them are found."""
        paths = [_slashes(name).split("/") for name in names]
        first, last = min(paths)[:-1], max(paths)[:-1]  # what these share, all do
        common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
        sample = paths[:: max(1, len(paths) // _SAMPLE)]

        def num_found(count: int) -> int:
            rests = ["/".join(path[count:]) for path in sample]
            return sum(bool(self._below(rest)) or self._stat(rest) is not None for rest in rests)

        most = max(range(len(common) + 1), key=num_found)  # the first of equals: as few folders as will do
        return "".join(f"{folder}/" for folder in common[:most]) if num_found(most) else ""

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
        candidates = self._listed().get(name.rpartition("/")[2], [])
        ending = f"/{name.removeprefix('./')}"
        return sorted(
            {
                path
                for path in candidates
                if f"/{path}".endswith(ending) or f"/{path}".rpartition(".")[0].endswith(ending)
            }
        )

    def _listed(self) -> dict[str, list[str]]:
        """The paths of images below ``home`` by their names, and by their names without suffix."""
        if self._by_name is None:
            self._by_name = {}
            for path in islice(_walk(self.home, "", _DEEPEST), _MOST):
                file = path.rpartition("/")[2]
                for key in (file, file.rpartition(".")[0]):
                    self._by_name.setdefault(key, []).append(path)
        return self._by_name


def _slashes(path: str) -> str:
    return path.replace("\\", "/") if os.sep == "/" else path


def _walk(root: Path, prefix: str, depth: int) -> Iterator[str]:
    """Images by suffix, in order, hidden folders left out."""
    try:
        seen, _ = look_into(root / prefix)
    except OSError:
        return
    for entry in seen:
        path = f"{prefix}/{entry.name}" if prefix else entry.name
        if is_folder(entry):
            if depth:
                yield from _walk(root, path, depth - 1)
        elif is_picture(entry.name):
            yield path
