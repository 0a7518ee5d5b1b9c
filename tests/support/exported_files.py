"""What is inside an exported folder, down to the members of archives."""

from __future__ import annotations

import getpass
import io
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every file, and of every member of a file that is an archive."""
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        yield path.name, content
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from ((f"{path.name}: {name}", archive.read(name)) for name in archive.namelist())


def traces_of_this_machine(folder: Path, *others: Path) -> list[str]:
    """Where an exported folder names a path of this machine or one of ``others``, the machine, or its user."""
    paths = {str(path) for path in (ROOT, Path.home(), Path(sys.prefix), folder.parent.absolute(), *others)}
    names = {name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4}  # "root" is a word
    words = {word for word in paths | names | {"site-packages", 'File "', "Traceback"} if word != "/"}
    return [f"{word} in {name}" for name, content in contents(folder) for word in words if word.encode() in content]
