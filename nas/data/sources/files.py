"""Base of sources whose images are files: one inspection of each file, and its result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nas.data.dataset import Preprocessing
from nas.data.sources.base import Found, Header, Progress, Unread, numbered_headers
from nas.data.sources.tree import CONVERTIBLE, is_picture, suffix_of
from nas.data.threads import map_chunks


class Entry(NamedTuple):  # made for every file at every start: half the time of a frozen dataclass
    """A file that may be an image; ``name`` is relative to the data folder."""

    name: str
    part: int
    class_name: str
    size: int  # bytes
    changed: int  # nanoseconds
    node_changed: int = 0  # also where a program set the other time back
    inode: int = 0


def as_bytes(entries: Sequence[Entry]) -> bytes:
    """All that entries say, to be hashed: twice as fast as their text."""
    if not entries:
        return b""
    names, parts, class_names, *numbers = zip(*entries, strict=True)
    texts = "\0".join([*names, *class_names]).encode(errors="surrogateescape")
    return texts + np.array([parts, *numbers], dtype=np.int64).tobytes()


@dataclass(frozen=True)
class Looked:
    """Result of one inspection of one file; exactly one of ``header`` and ``trouble`` unless it is no image."""

    digest: bytes
    header: Header | None
    trouble: str | None = None
    unreadable: bool = False


def found_in_files(
    root: Path,
    entries: Sequence[Entry],
    *,
    classes: Sequence[str],
    missing: Mapping[str, str] | None = None,
    groups: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Found:
    """Found for the files ``entries`` below ``root``: reads each once. Files without an image's suffix are tried too.

    ``classes`` are all classes, sorted; some may have no entry. With ``missing``, somebody listed the entries: each
    must be an image, and those that are not there have, by name, what to say of them here. ``groups`` names each
    entry's group.
    """
    total = 2 * len(entries)
    chunks = map_chunks(
        lambda rows: [_look_at(root, entries[row], missing) for row in rows],
        len(entries),
        lambda done: progress(done, total) if progress else None,
    )
    looked = list(zip(entries, (one for chunk in chunks for one in chunk), strict=True))
    label_of = {name: label for label, name in enumerate(classes)}
    images = [(entry, one) for entry, one in looked if one.header or one.trouble]
    good = [(entry, one.header) for entry, one in images if one.header]
    headers, kinds = numbered_headers([header for _, header in good])
    names = [entry.name for entry, _ in good]
    own = [group for group, (_, one) in zip(groups, looked, strict=True) if one.header] if groups else None

    def read(row: int, target: Preprocessing) -> npt.NDArray[np.uint8]:
        from nas.data.images import decode_file

        return decode_file((root / names[row]).read_bytes(), target)

    return Found(
        classes=tuple(classes),
        labels=np.array([label_of[entry.class_name] for entry, _ in good], dtype=np.int64),
        parts=np.array([entry.part for entry, _ in good], dtype=np.uint8),
        names=names,
        headers=headers,
        kinds=kinds,
        digest=_digest(images),
        read=read,
        broken=tuple(
            Unread(entry.name, one.trouble, entry.part, label_of[entry.class_name])
            for entry, one in images
            if one.trouble
        ),
        num_ignored=len(looked) - len(images),
        repeatable=not any(one.unreadable for _, one in images),
        groups=numbered(own) if own else None,
    )


def numbered(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Equal numbers for equal names."""
    number_of = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([number_of[name] for name in names], dtype=np.int64)


def _look_at(root: Path, entry: Entry, missing: Mapping[str, str] | None) -> Looked:
    from nas.data.images import read_header, reason

    if missing and entry.name in missing:
        return Looked(b"", None, missing[entry.name])
    try:
        content = (root / entry.name).read_bytes()
    except OSError as error:
        return Looked(b"", None, error.strerror or "cannot be read", unreadable=True)
    digest = hashlib.blake2b(content, digest_size=16).digest()
    try:
        header = read_header(content)
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        why = "an empty file" if not content else CONVERTIBLE.get(suffix_of(entry.name)) or reason(error)
        return Looked(digest, None, why if missing is not None or is_picture(entry.name) else None)
    return Looked(digest, header)


def _digest(images: list[tuple[Entry, Looked]]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for entry, one in images:
        total.update(f"{entry.part}\0{entry.class_name}\0{entry.name}\0".encode(errors="surrogateescape"))
        total.update(one.digest + (one.trouble or "").encode(errors="surrogateescape"))
    return total.hexdigest()
