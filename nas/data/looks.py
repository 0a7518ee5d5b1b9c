"""Cached inspection of a source, as text, so that the next start reads no image."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np

from nas.data.sources.base import PARTS, Found, Header, Unread

VERSION = "2"  # of the text, and of how headers are read


def written(found: Found) -> str:
    """All but how to read the images. Names must be printable."""
    return json.dumps(
        {
            "classes": found.classes,
            "labels": found.labels.tolist(),
            "parts": found.parts.tolist(),
            "names": list(found.names),
            "headers": found.headers,
            "kinds": found.kinds.tolist(),
            "digest": found.digest,
            "broken": found.broken,
            "num_ignored": found.num_ignored,
            "notes": found.notes,
            "groups": None if found.groups is None else found.groups.tolist(),
            "grouped_by": found.grouped_by,
            "remarks": found.remarks,
            "synthetic": None if found.synthetic is None else np.flatnonzero(found.synthetic).tolist(),
        }
    )


def read(text: str) -> Found | None:
    """Read what ``written`` gave; None for a text that something else wrote."""
    try:
        found = _read(json.loads(text))
        return found if _agrees(found) else None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _agrees(found: Found) -> bool:
    """True if everything is told of every image, and of classes and parts that there are."""
    count = len(found.labels)
    lists = (found.parts, found.names, found.kinds, *([] if found.groups is None else [found.groups]))
    limits = ((found.labels, len(found.classes)), (found.parts, len(PARTS)), (found.kinds, len(found.headers)))
    return all(len(each) == count for each in lists) and all(
        bool(((each >= 0) & (each < limit)).all()) for each, limit in limits
    )


def _read(kept: dict[str, Any]) -> Found:
    synthetic = None if kept["synthetic"] is None else np.zeros(len(kept["labels"]), dtype=bool)
    if synthetic is not None:
        synthetic[kept["synthetic"]] = True
    return Found(
        classes=tuple(kept["classes"]),
        labels=np.array(kept["labels"], dtype=np.int64),
        parts=np.array(kept["parts"], dtype=np.uint8),
        names=kept["names"],
        headers=tuple(_header(*header) for header in kept["headers"]),
        kinds=np.array(kept["kinds"], dtype=np.int64),
        digest=kept["digest"],
        read=None,
        broken=tuple(Unread(*one) for one in kept["broken"]),
        num_ignored=kept["num_ignored"],
        notes=Counter(kept["notes"]),
        groups=None if kept["groups"] is None else np.array(kept["groups"], dtype=np.int64),
        grouped_by=kept["grouped_by"],
        remarks=tuple(kept["remarks"]),
        synthetic=synthetic,
    )


def _header(
    height: int, width: int, grey: bool, mode: str, form: str, extent: list[float] | None, notes: list[str]
) -> Header:
    return Header(height, width, grey, mode, form, (extent[0], extent[1]) if extent else None, tuple(notes))
