"""Names of class folders that say that two are one."""

from __future__ import annotations

from collections.abc import Sequence

from nas.data.sources.base import PARTS
from nas.data.sources.folder_names import likeness
from nas.data.sources.folders.reading import ClassFolder, shortened
from nas.errors import DataError


def check_alike(folders: Sequence[ClassFolder]) -> None:
    """DataError if two classes are called the same but for capitals, spaces, or how letters are encoded.

    Single letters are classes of their own in both cases.
    """
    parts_of: dict[str, list[str]] = {}
    for folder in folders:
        if folder.files and PARTS[folder.part] not in parts_of.setdefault(folder.class_name, []):
            parts_of[folder.class_name].append(PARTS[folder.part])
    alike: dict[str, list[str]] = {}
    for name in sorted(parts_of):
        alike.setdefault(name if len(name) == 1 else likeness(name), []).append(name)
    pairs = [names for names in alike.values() if len(names) > 1]
    if not pairs:
        return
    has_parts = len({folder.part for folder in folders if folder.files}) > 1
    shown = (
        " and ".join(f"{name!r} in {'/'.join(parts_of[name])}" if has_parts else repr(name) for name in names)
        for names in pairs
    )
    raise DataError(
        f"Class folders have nearly the same name: {shortened(shown)}. They differ only in capitals, spaces, "
        "'_', '-', a 'Copy' "
        "at the end, or in how letters are encoded. Give the folders of one class the same name; if each is a "
        "class of its own:"
        " --match '*'."
    )
