"""Groups of images by a pattern on their names: one patient, one video, one burst."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from nas.data.sources.base import Found, Progress, Source
from nas.data.sources.files import numbered
from nas.errors import DataError
from nas.units import listed

_SHOWN = 5


class Grouped:
    """Another source, its images grouped by their names."""

    def __init__(self, source: Source, pattern: str) -> None:
        self.source = source
        self.name = source.name
        self.pattern = _compiled(pattern)

    @property
    def remarks(self) -> Sequence[str]:
        """The source's own."""
        return self.source.remarks

    def fingerprint(self) -> str:
        """The source's own and the pattern."""
        text = f"{self.source.fingerprint()}\0{self.pattern.pattern}"
        return f"grouped:{hashlib.blake2b(text.encode(errors='surrogateescape')).hexdigest()}"

    def look(self, progress: Progress | None) -> Found:
        """The source's own and groups. DataError if some images have none."""
        found = self.source.look(progress)
        if "image 0" in found.names[:1]:
            raise DataError(
                f"--group is a pattern on file names, and the images of {self.name} have none. Leave it out."
            )
        groups = groups_of(found.names, self.pattern)
        return replace(found, groups=numbered(groups), grouped_by=f"the pattern {self.pattern.pattern}")


def groups_of(names: Sequence[str], pattern: re.Pattern[str] | str) -> list[str]:
    """The group of every name: what the pattern's first group matches, or all that it matches.

    A pattern with a slash is looked for in the path, any other in the file's name. DataError if some names have none.
    """
    pattern = _compiled(pattern) if isinstance(pattern, str) else pattern
    is_path = "/" in pattern.pattern
    matches = [pattern.search(name if is_path else name.rpartition("/")[2]) for name in names]
    groups = [(match[1] if pattern.groups else match[0]) or "" if match else "" for match in matches]
    without = [name for name, group in zip(names, groups, strict=True) if not group]
    if without:
        where = "paths" if is_path else "file names"
        raise DataError(
            f"--group {pattern.pattern!r} finds no group in the {where} of {len(without):,} of {len(names):,} images: "
            f"{listed(without, _SHOWN)}. Give a regular expression that finds one in each, such as "
            r"'(patient\d+)_'; with a slash it is looked for in the whole path."
        )
    return groups


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"--group {pattern!r} is not a regular expression: {error}. Give one such as " r"'(patient\d+)_'."
        ) from error
