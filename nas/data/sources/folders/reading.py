"""Reading of a folder: its classes, what is skipped, and the remarks on both."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, NamedTuple

from nas.data.sources.base import TEST, TRAIN
from nas.data.sources.folder_names import part_said
from nas.data.sources.tree import File, Node, Tree, ignoring
from nas.units import counted, listed

Level = int | Literal["leaf"] | None

_TEXTS = (".csv", ".tsv", ".parquet")  # files that may hold labels
# Files that may hold labels and are not read, the likeliest first; texts only in folders called so, as for YOLO.
_UNREAD = (".mat", ".json", ".jsonl", ".xml", ".pkl", ".h5", ".yaml", ".txt")
_SHOWN = 6


class ClassFolder(NamedTuple):
    """The files of one class in one part."""

    part: int
    class_name: str
    files: Sequence[File]


@dataclass(frozen=True)
class Layout:
    """Settings of a folder's reading.

    ``missing`` are files that a list names, with why they cannot be read; ``notes`` say what is left out of how many.
    """

    classes: list[ClassFolder]
    remarks: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


@dataclass
class Reading:
    """State of the reading so far."""

    tree: Tree
    level: Level = None
    remarks: list[str] = field(default_factory=list)

    def shown(self, node: Node) -> str:
        """The folder as the user would type it after the data folder."""
        inner = node.path.relative_to(self.tree.root.path).as_posix()
        return f"{inner}/" if inner != "." else str(node.path)

    def ignoring(self, nodes: Iterable[Node]) -> str:
        """Flag to type to leave these folders out too, and none that is only called as they are."""
        return ignoring((self.shown(node).rstrip("/") for node in nodes), self.tree.patterns)

    def tell_folders_beside(self, node: Node, taken: Sequence[Node], what: str) -> None:
        """A remark on the folders of ``node`` but ``taken``."""
        if left := [f for f in node.folders if f.num_files and f not in taken]:
            shown = (f"{f.name}/ ({counted(f.num_files, 'file')})" for f in left)
            self.remarks.append(f"Folders beside {what} left out: {shortened(shown)}")

    def tell_files_beside(self, node: Node) -> None:
        """A remark on the files that lie directly in ``node``."""
        if node.files:
            names = sorted((f.name for f in node.files), key=lambda name: (not name.lower().endswith(_TEXTS), name))
            self.remarks.append(
                f"{counted(len(names), 'file')} beside the class folders left out: {shortened(names)}"
                f"{self._table_hint(node)}"
            )

    def label_hint(self, node: Node) -> str:
        """Names a file that may hold labels: a table there or at the top, or one of a kind that is not read."""
        unread = self.labels_elsewhere(_UNREAD)
        return self._table_hint(node) or (f"; {unread[0].lower()}{unread[1:]}" if unread else "")

    def labels_elsewhere(self, suffixes: Sequence[str] = (*_TEXTS, *_UNREAD)) -> str:
        """Names a file that may hold the labels, wherever it lies, and says what to do with it."""
        found: dict[str, str] = {}
        for node in self.tree.root.walk():
            for file in node.files:
                suffix = PurePath(file.name).suffix.lower()
                if suffix != ".txt" or node.name.lower().startswith(("label", "annotation")):
                    found.setdefault(suffix, file.name)
        name = next((found[suffix] for suffix in suffixes if suffix in found), "")
        if name.lower().endswith(_TEXTS):
            return f"If {name} holds labels, name it: --data {shlex.quote(str(self.tree.root.path / name))}"
        how = "write them into a table with the columns path and label, and give that: --data labels.csv"
        return f"Labels may be in {name}, which is not read: {how}" if name else ""

    def _table_hint(self, node: Node) -> str:
        for each in (node, self.tree.root):
            names = [file.name for file in each.files if file.name.lower().endswith(_TEXTS)]
            if names := [name for name in names if not is_submission(name)]:
                name = min(names, key=how_unlikely)
                table = shlex.quote(str(self.tree.root.path / name))
                return f"; if {name} holds labels, name it: --data {table}"
        return ""


def is_submission(table: str) -> bool:
    """True if a table is called as the form to fill in of a competition: its labels are made up."""
    return re.search("sample|submission", PurePath(table).stem, re.IGNORECASE) is not None


def how_unlikely(table: str) -> tuple[bool, bool, str]:
    """An order of tables by their names: first those that promise labels to train on, last those of a competition's
    test images."""
    stem = PurePath(table).stem
    return (
        part_said(stem) == TEST or is_submission(stem),
        part_said(stem) != TRAIN and "label" not in stem.lower(),
        table,
    )


def only_folder(node: Node, *, is_split: bool = False) -> Node | None:
    """The one folder below ``node`` that holds anything, unless it is a class.

    It may hold images beside folders of classes; in a split's folder it would be a class then.
    """
    full = node.full
    if len(full) != 1 or (is_split and node.has_images):
        return None
    has_classes = not full[0].has_images or (not is_split and len(full[0].full) > 1)
    return full[0] if has_classes else None


def shortened(names: Iterable[str]) -> str:
    """As many names as can be read at once."""
    return listed(names, _SHOWN)
