"""Files that keep the data of a Python program after it ends: each content once.

given/<hash of the content>/NAME.npz or NAME.csv   complete since it has its name

A run names such a file as its data. Nobody but the program could make it again, so ``nasctl cache --clean`` leaves it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nas.data.cache import writing
from nas.files import new_files

FOLDER = "given"


def keep_arrays(arrays: Mapping[str, npt.NDArray[Any]], name: str, root: Path) -> Path:
    """The file NAME.npz of these arrays below the cache ``root``. DataError if it cannot be written."""
    content = hashlib.blake2b(digest_size=16)
    for key, array in sorted(arrays.items()):
        content.update(f"{key}\0{array.dtype.str}{array.shape}\0".encode())
        content.update(np.ascontiguousarray(array).data.cast("B"))
    return _kept(content.hexdigest(), f"{name}.npz", root, lambda file: np.savez(file, allow_pickle=False, **arrays))


def keep_text(text: str, file_name: str, root: Path) -> Path:
    """The file of this text below the cache ``root``. DataError if it cannot be written."""
    content = text.encode(errors="surrogateescape")
    key = hashlib.blake2b(content, digest_size=16).hexdigest()
    return _kept(key, file_name, root, lambda file: file.write(content))


def is_kept(path: Path) -> bool:
    """True if a file is one that was kept here, by its path."""
    return re.fullmatch(rf".*/{FOLDER}/[0-9a-f]{{32}}/[^/]+\.(npz|csv)", str(path)) is not None


def why_gone(path: Path) -> str | None:
    """Message on a file that was kept here and is gone; None if it is none such."""
    if path.exists() or not is_kept(path):
        return None
    return (
        f"The data that a Python program gave are gone from the cache: {path}. Give the same data again, which "
        "restores this file:"
        f" nas.api.in_memory.data_config((X, y), name={path.stem!r})."
    )


def _kept(key: str, file_name: str, root: Path, write: Callable[[IO[bytes]], object]) -> Path:
    path = root / FOLDER / key / file_name
    with writing(root):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was first
            if not path.exists():
                with new_files(path) as (fresh,), fresh.open("wb") as file:
                    write(file)
    return path
