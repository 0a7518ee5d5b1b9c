"""Durations and sizes as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(number: int, noun: str, several: str | None = None) -> str:
    """So many of what ``noun`` calls one: 1 epoch, 98 epochs. ``several``: the word for more than one, if irregular."""
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"


def listed(names: Iterable[str], most: int) -> str:
    """The first ``most`` of them with commas, and how many more there are: a, b and 3 more."""
    shown = list(names)
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def memory(num_bytes: float) -> str:
    """Bytes as a person says them: 640 MB, 1.3 GB."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{max(1, round(num_bytes / 1e6))} MB"


def parse_duration(text: str) -> float:
    """``90``, ``90s``, ``10m`` or ``1.5h`` in seconds; ValueError says what is accepted."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in _SECONDS or not 0 < float(match[1]) < 1e9:
        shown = repr(text) if len(text) <= 40 else f"{text[:40]!r}..."
        raise ValueError(f"{shown} is not a duration: write seconds, or a number with s, m or h, such as 90s or 1.5h")
    return float(match[1]) * _SECONDS[match[2]]
