"""A folder of class folders, or of folders of splits that hold class folders each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nas.data.sources.base import Found, Progress
from nas.data.sources.files import Entry, as_bytes, found_in_files
from nas.data.sources.folders.layout import understand
from nas.data.sources.folders.masks import check_twins
from nas.data.sources.folders.reading import Layout, Level
from nas.data.sources.tree import Patterns, scan
from nas.errors import DataError


class Folder:
    """Images below a folder; hidden files and what is no image are passed over."""

    def __init__(self, path: Path, patterns: Patterns | None = None, level: Level = None) -> None:
        self.path = path
        self.name = path.resolve().name
        self.remarks: Sequence[str] = ()
        self._patterns, self._level = patterns or Patterns(), level
        self._layout = Layout([])
        self._classes: list[str] = []
        self._entries: list[Entry] = []
        self._num_beside = 0  # files that are passed over because of where they lie

    def fingerprint(self) -> str:
        """A hash of every file's name, size, times of change and place on the disk; reads no file.

        DataError if it cannot be told which folders are the classes.
        """
        try:
            tree = scan(self.path, self._patterns)
            num_files = tree.root.num_files + sum(tree.hidden.values())
            self._layout = layout = understand(tree, self._level)
        except OSError as error:
            raise DataError(
                f"The folder {error.filename} cannot be read: {error.strerror}. Make it readable, or leave it "
                "out by --ignore."
            ) from error
        self.remarks = layout.remarks
        self._num_beside = num_files - sum(len(found.files) for found in layout.classes) + len(layout.missing)
        self._classes = sorted({found.class_name for found in layout.classes})
        self._entries = [
            Entry(file.name, found.part, found.class_name, *file[1:])
            for found in layout.classes
            for file in found.files
        ]
        notes = sorted(layout.notes.items())
        facts = self.path.resolve(), self._num_beside, bool(self._patterns.match), notes
        text = hashlib.blake2b(repr(facts).encode())
        for name in self._classes:
            text.update(f"{name}\0".encode(errors="surrogateescape"))
        text.update(as_bytes(self._entries))
        return f"folder:{text.hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """Read every file once: its hash, its header. Files without an image's suffix are tried too.

        DataError if many files seem to be masks of others, and no pattern says which to take.
        """
        found = found_in_files(
            self.path, self._entries, classes=self._classes, missing=self._layout.missing or None, progress=progress
        )
        if not self._patterns.match:
            check_twins(found.names, self._patterns)
        return replace(found, notes=found.notes + self._layout.notes, num_ignored=found.num_ignored + self._num_beside)
