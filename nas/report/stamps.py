"""Stamps of a folder's pictures: what each was drawn from, so that none is drawn twice from the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nas import __version__
from nas.files import write_atomically
from nas.runs import TrialRecord

NAME = "drawn.json"


@dataclass(frozen=True)
class Stamp:
    """Stamp of what a picture was drawn from; why there is no picture, if there is none."""

    key: str
    remark: str | None = None


def stamp_key(trials: Sequence[TrialRecord], *more: object) -> str:
    """Of a picture of these trials' results, by this version, and ``more``."""
    results = [(trial.id, trial.result_number) for trial in trials]
    return hashlib.sha256(repr((__version__, results, more)).encode()).hexdigest()[:16]


def read_stamps(folder: Path) -> dict[str, Stamp]:
    """By the names of pictures; empty if nothing was drawn, or it cannot be read."""
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return {str(name): Stamp(str(one["key"]), one["remark"]) for name, one in known.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def write_stamps(folder: Path, stamps: Mapping[str, Stamp]) -> None:
    """Once their pictures are drawn."""
    text = json.dumps({name: asdict(stamp) for name, stamp in stamps.items()}, indent=1)
    write_atomically(folder / NAME, text)
