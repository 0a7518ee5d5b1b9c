"""Resolution of a name or a path to a source of images."""

from __future__ import annotations

from pathlib import Path

from nas.config import DataConfig
from nas.data.given import why_gone
from nas.data.sources.archive import Archive, is_archive, what_else
from nas.data.sources.base import Source
from nas.data.sources.digits import Digits
from nas.data.sources.folders.folder import Folder
from nas.data.sources.grouped import Grouped
from nas.data.sources.npz import Npz
from nas.data.sources.registry import SOURCES
from nas.data.sources.tables.label_file import LabelFile
from nas.data.sources.tables.table import SUFFIXES as TABLES
from nas.data.sources.torchvision_sets import NAMED, Named, which_emnist
from nas.data.sources.tree import Patterns
from nas.data.sources.written import TABLE, WrittenFolder, is_written
from nas.errors import DataError, nearest
from nas.files import at_home


def find_source(config: DataConfig, cache_root: Path) -> Source:
    """The source that ``config`` names: a name first, the program's own or a plug-in's, then a path.

    DataError if it names nothing.
    """
    path = at_home(config.source)
    if is_archive(path) and _is_file(path):
        return Archive(
            path, cache_root, lambda inner: find_source(config.model_copy(update={"source": str(inner)}), cache_root)
        )
    source = _named(config, cache_root)
    told = [name for name in ("match", "ignore", "class_level") if getattr(config, name)]
    if told and not isinstance(source, Folder):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in told)
        if isinstance(source, WrittenFolder):
            raise DataError(f"{flags} chooses files by name, and {config.source} is read by its {TABLE}: leave it out.")
        raise DataError(f"{flags} is about files in folders, and {config.source} is not a folder: leave it out.")
    if isinstance(source, LabelFile):
        return source
    if config.columns:
        raise DataError(f"--columns names the columns of a label file, and {config.source} is none: leave it out.")
    return Grouped(source, config.group) if config.group else source


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _named(config: DataConfig, cache_root: Path) -> Source:
    text = config.source
    if text == "digits":
        return Digits()
    if text in NAMED:
        return Named(text, cache_root / "torchvision")
    name, _, argument = text.partition(":")
    if name in SOURCES:
        return SOURCES[name](argument)
    path = at_home(text)
    try:
        is_folder, is_there = bool(text) and path.is_dir(), bool(text) and path.exists()
    except OSError as error:  # a name that is too long, a folder above it that is closed to us
        raise DataError(f"{text} cannot be read: {error.strerror}. Make it readable, or give another path.") from error
    if is_there and not is_folder and not _is_file(path):
        raise DataError(f"{text} is a pipe, a socket or a device, not a data set. Give a folder, an archive or a file.")
    written = path.parent if path.name == TABLE and not config.columns else path
    if is_there and is_written(written):
        return WrittenFolder(written)
    if is_folder:
        return Folder(path, Patterns.of(config.match, config.ignore), config.class_level)
    if is_there and path.suffix.lower() == ".npz":
        return Npz(path)
    if is_there and path.suffix.lower() in TABLES:
        return LabelFile(path, config.column_of, config.group)
    raise _no_source(text, path, is_there=is_there)


def _no_source(text: str, path: Path, *, is_there: bool) -> DataError:
    """Message on a name or path that means no data set."""
    if gone := why_gone(path):
        return DataError(gone)
    if is_there and (what := what_else(path)):
        return DataError(f"{text} cannot be read: {what}. Get it again, or unpack it by hand and give the folder.")
    if is_there:
        return DataError(
            f"{text} is a file that holds no data set that nasctl can read. Give a folder of images or an "
            "archive of one "
            "(.zip, .tar, .tar.gz), an .npz file with the arrays 'images' and 'labels', or a .csv file with the "
            "columns 'path' and 'label'."
        )
    if text.lower() == "emnist":
        return DataError(which_emnist())
    names = ["digits", *NAMED, *SOURCES]
    return DataError(
        f"There is no folder, .npz file or built-in data set {text!r}.{nearest(text, names)} "
        f"Give the path of a folder or file that exists, or one of: {', '.join(names)}."
    )
