"""Text from outside, in a form that every sink can show: the terminal, HTML, TensorBoard, the model card."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}  # categories of characters that have no shape, or turn the text around them
_MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|$#~&!"})


def shown(text: str) -> str:
    """Text without characters that cannot be seen: controls and marks of direction are written as escapes."""
    if text.isprintable():
        return text
    return "".join(_escape(c) if c not in "\n\t" and unicodedata.category(c) in _HIDDEN else c for c in text)


def in_markdown(text: str) -> str:
    """Text that Markdown, with HTML and formulas in it or not, shows as it is, on one line."""
    return shown(" ".join(text.split("\n"))).translate(_MARKDOWN)


def _escape(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def both_ends(order: Sequence[T], most: int) -> tuple[Sequence[T], int, Sequence[T]]:
    """The first and the last of ``order``, about ``most`` together, and how many are between; all, 0 and nothing where
    there are no more."""
    if len(order) <= most:
        return order, 0, order[:0]
    half = most // 2
    return order[:half], len(order) - 2 * half, order[-half:]
