"""Contract tests of image sources: the same images in every process, each with one class and one part.

``make`` is what ``register_source`` decorates: the text behind the colon of ``--data NAME:TEXT`` in, a source out.
"""

from __future__ import annotations

import numpy as np

from nas.data.dataset import Preprocessing
from nas.data.sources.base import PARTS, Found
from nas.data.sources.registry import MakeSource

SOME = 8  # images that are read
TARGETS = ((1, 8, 8), (3, 12, 8))


def check_source(make: MakeSource, argument: str = "") -> None:
    """Check every promise of this module.

    Args:
        make: The source, as ``register_source`` takes it.
        argument: Text behind the colon of ``--data NAME:TEXT``.

    Raises:
        AssertionError: With the promise that was broken.
    """
    one, other = make(argument), make(argument)
    assert one.name and one.name.isprintable(), f"a source is called {one.name!r}"
    before = one.fingerprint()
    assert before == other.fingerprint(), "the same argument gave another fingerprint: use a seed of your own"
    found, again = one.look(None), other.look(None)
    assert found.digest == again.digest, "the same argument gave other images: use a seed of your own"
    assert one.fingerprint() == before, "the fingerprint is another after a look"
    check_found(found)
    check_pixels(found)


def check_found(found: Found) -> None:
    """Each image has a class, a part, a name and a header; there are two classes or more."""
    counts = {len(found.labels), len(found.parts), len(found.names), len(found.kinds)}
    assert len(counts) == 1, f"there are {len(found.labels)} labels, and so many parts, names and headers: {counts}"
    assert len(found.labels), "there is no image"
    classes = len(found.classes)
    assert classes >= 2 and len(set(found.classes)) == classes, f"the classes are {found.classes}: give two or more"
    inside = set(np.unique(found.labels).tolist())
    assert inside == set(range(classes)), f"labels are {sorted(inside)}, and classes 0 to {classes - 1}"
    assert int(found.parts.max()) < len(PARTS), f"a part is {found.parts.max()}, and there are {len(PARTS)}"
    assert int(found.kinds.max()) < len(found.headers), "an image has no header"


def check_pixels(found: Found) -> None:
    """An image is read as the pixels that are asked for: uint8 (C, H, W), the same each time."""
    assert found.read is not None, "images cannot be read"
    extents = [header.extent for header in found.headers if header.extent]
    levels = (min(low for low, _ in extents), max(high for _, high in extents)) if extents else None
    for shape in TARGETS:
        target = Preprocessing.of(shape, "resize", levels)
        for index in range(min(SOME, len(found.labels))):
            pixels = found.read(index, target)
            assert pixels.shape == shape, f"image {index} was read as {pixels.shape}, not {shape}"
            assert pixels.dtype == np.uint8, f"image {index} was read as {pixels.dtype}, not uint8"
            assert np.array_equal(pixels, found.read(index, target)), f"image {index} was read otherwise the next time"
