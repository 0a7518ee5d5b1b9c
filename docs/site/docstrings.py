"""Docstrings as Markdown: doctests become blocks of code, and remarks behind attributes become their docstrings.

An extension of Griffe, which reads the program for ``docs/reference.md`` without importing it.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^([ ]*)>>> .*(?:\n[ ]*\S.*)*", re.MULTILINE)
LITERAL = re.compile(r"::\n\n(?=[ ]{4})")  # the block that follows is indented, which Markdown takes for code
REMARK = re.compile(r"^[^#'\"]*?(?:\"[^\"]*\"|'[^']*'|[^#'\"])*#\s+(?!noqa|type:|fmt:)(.+)$")


class Docstrings(griffe.Extension):
    """Called by Griffe for everything that it finds."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        if attr.docstring is None and attr.lines and (found := REMARK.match(attr.lines[0])):
            words = found[1].strip()
            attr.docstring = griffe.Docstring(words[0].upper() + words[1:] + ".", parent=attr)


def as_markdown(text: str) -> str:
    """A docstring with its doctests, which end at an empty line, as fenced blocks."""
    fenced = DOCTEST.sub(lambda found: f"{found[1]}```pycon\n{found[0]}\n{found[1]}```", text)
    return LITERAL.sub(":\n\n", fenced)
