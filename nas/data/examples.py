"""A few images of each class, as they are and as a network takes them; and what kinds of images each class holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nas.config import DataConfig
from nas.data.cache import cache_root
from nas.data.dataset import Preprocessing
from nas.data.printable_names import printable_names
from nas.data.selection import OUT, select
from nas.data.sources.base import Found, Progress
from nas.data.sources.find import find_source
from nas.data.splits import Rows

_SHOWN_SIDE = 160  # pixels that originals are shrunk to

Pixels = npt.NDArray[np.uint8]  # (C, H, W)


@dataclass(frozen=True)
class ClassExamples:
    """Of one class: how many images there are, of what kinds, and some of them, each as it is (upright, small) and as
    it is prepared."""

    name: str
    count: int
    sizes: tuple[tuple[int, int], ...]  # width and height: the smallest, and the largest if that is another
    kinds: tuple[str, ...]  # formats and modes, the most frequent first
    pairs: tuple[tuple[Pixels, Pixels], ...]


def class_examples(
    config: DataConfig,
    target: Preprocessing,
    names: Sequence[str],
    most: int,
    each: int,
    *,
    progress: Progress | None = None,
) -> list[ClassExamples]:
    """``each`` examples of every class of ``names``, of the first and the last if there are more than ``most``.

    Looks at every image of the source once more. DataError if it cannot be read.
    """
    source = find_source(config, cache_root(config.cache_dir))
    source.fingerprint()
    found = printable_names(source.look(progress))
    used = select(config, found).parts != OUT
    places = [found.classes.index(name) for name in names]
    chosen = places if len(places) <= most else [*places[: most // 2], *places[-(most // 2) :]]
    return [
        _of(found, found.classes[label], np.flatnonzero(used & (found.labels == label)), target, each)
        for label in chosen
    ]


def _of(found: Found, name: str, rows: Rows, target: Preprocessing, each: int) -> ClassExamples:
    headers = [found.headers[kind] for kind in found.kinds[rows].tolist()]
    by_area = sorted({(header.width, header.height) for header in headers}, key=lambda size: (math.prod(size), size))
    kinds = Counter(f"{header.format} {header.mode}" for header in headers)
    return ClassExamples(
        name=name,
        count=len(rows),
        sizes=tuple(by_area[:1] + by_area[1:][-1:]),
        kinds=tuple(kind for kind, _ in kinds.most_common()),
        pairs=tuple(_pairs(found, rows, target, each)),
    )


def _pairs(found: Found, rows: Rows, target: Preprocessing, each: int) -> list[tuple[Pixels, Pixels]]:
    """Examples from the whole length of the class; those that are broken after all are passed over."""
    assert found.read is not None, "only today's look can read"
    pairs: list[tuple[Pixels, Pixels]] = []
    for row in dict.fromkeys(int(rows[place]) for place in np.linspace(0, len(rows) - 1, 3 * each).round().astype(int)):
        height, width, grey = found.headers[found.kinds[row]][:3]
        scale = min(1, _SHOWN_SIDE / max(height, width))
        small = replace(
            target,
            channels=1 if grey else 3,
            height=max(1, round(scale * height)),
            width=max(1, round(scale * width)),
            fit="resize",
        )
        try:
            pairs.append((found.read(row, small), found.read(row, target)))
        except Exception:
            continue
    step = max(1, len(pairs) // each)
    return pairs[::step][:each]
