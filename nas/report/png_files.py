"""Check of the PNG file that a flag names, before the work whose plot goes there."""

from __future__ import annotations

import os
from pathlib import Path

from nas.errors import UsageError


def check_png(flag: str, path: Path) -> None:
    """Check that a PNG file can be written. ``flag`` without its dashes; UsageError says what is in the way."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--{flag} {path} is not a PNG file: give a name that ends in .png.")
    if not path.parent.is_dir():
        raise UsageError(f"--{flag} {path}: there is no folder {path.parent}. Create it first, or choose another.")
    if path.is_dir():
        raise UsageError(f"--{flag} {path} is a folder: name a file in it, such as {path / 'plot.png'}.")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(
            f"--{flag} {path} cannot be written: the folder {path.parent} is not writable. Choose another."
        )
