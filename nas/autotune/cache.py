"""Disk cache of measurements on this machine: a JSON value by the facts that it depends on, a file each."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from nas.files import write_atomically

T = TypeVar("T")
Facts = Mapping[str, object]  # of what JSON can hold


@dataclass(frozen=True)
class Cache:
    """A folder that several processes may use at a time. What cannot be read is not known, and stops nothing."""

    folder: Path

    def find(self, facts: Facts) -> object:
        """The value that was kept under equal ``facts``, as JSON holds it; None if there is none."""
        try:
            document = json.loads(self.place(facts).read_text(encoding="utf-8"))
            return document["value"] if document["facts"] == json.loads(_text(facts)) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def find_as(self, kind: TypeAdapter[T], facts: Facts) -> T | None:
        """The value that was kept under equal ``facts`` as a ``kind``; None if there is none such."""
        try:
            return kind.validate_python(self.find(facts))
        except ValidationError:
            return None

    def add(self, facts: Facts, value: object) -> None:
        """Let ``find`` find ``value``, whole or not at all. Where the folder cannot be written, nothing is kept."""
        with contextlib.suppress(OSError):
            write_atomically(self.place(facts), _text({"facts": facts, "value": value}), parents=True)

    def place(self, facts: Facts) -> Path:
        """The file for ``facts``."""
        return self.folder / f"{hashlib.blake2b(_text(facts).encode(), digest_size=16).hexdigest()}.json"


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
