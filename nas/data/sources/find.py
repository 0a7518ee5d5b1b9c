"""Which source of images a name or a path means."""

from __future__ import annotations

from pathlib import Path

from nas.config import DataConfig
from nas.data.sources.base import Source
from nas.data.sources.digits import Digits
from nas.data.sources.folder import Folder
from nas.data.sources.npz import Npz
from nas.data.sources.torchvision_sets import NAMED, Named
from nas.data.sources.tree import Patterns
from nas.errors import DataError, nearest


def find_source(config: DataConfig, cache_root: Path) -> Source:
    """The source that ``config`` names: built-in name first, then path. DataError if it names nothing."""
    text = config.source
    if text == "digits":
        return Digits()
    if text in NAMED:
        return Named(text, cache_root / "torchvision")
    path = Path(text).expanduser()
    try:
        is_folder, is_there = bool(text) and path.is_dir(), bool(text) and path.exists()
    except OSError as error:  # a name that is too long, a folder above it that is closed to us
        raise DataError(f"{text} cannot be read: {error.strerror}. Give a path that can.") from error
    if is_folder:
        return Folder(path, Patterns.of(config.match, config.ignore), config.class_level)
    if is_there and path.suffix.lower() == ".npz":
        return Npz(path)
    names = ["digits", *NAMED]
    if is_there:
        raise DataError(
            f"{text} is a file that holds no data set we can read. Give a folder of images (unpack an "
            "archive first), or an .npz file with the arrays 'images' and 'labels'."
        )
    raise DataError(
        f"There is no folder, .npz file or built-in data set {text!r}.{nearest(text, names)} "
        f"Give the path of a folder or .npz file that exists, or one of: {', '.join(names)}."
    )
