"""Names as text that can be printed and stored everywhere: file systems hold bytes that are no text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import replace

from nas.data.sources.base import Found
from nas.errors import DataError

_ESCAPED = {"Cc", "Cs"}  # control characters; surrogates, which stand for bytes that are not UTF-8


def printable(name: str) -> str:
    """The name with control characters and bytes that are no text written as escapes."""
    if name.isprintable():
        return name
    return "".join(_escape(letter) if unicodedata.category(letter) in _ESCAPED else letter for letter in name)


def printable_names(found: Found) -> Found:
    """The same with all names printable. DataError if that makes the names of two classes equal."""
    classes = tuple(map(printable, found.classes))
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise DataError(*(f"Two classes would both be called {name}. Rename one of them." for name in twice))
    return replace(
        found,
        classes=classes,
        names=list(map(printable, found.names)),
        broken=tuple(one._replace(name=printable(one.name)) for one in found.broken),
        notes=Counter({printable(what): number for what, number in found.notes.items()}),
        remarks=tuple(map(printable, found.remarks)),
    )


def _escape(letter: str) -> str:
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # how Python carries the bytes 0x80 to 0xFF of a file's name
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()
