"""Base of sources whose images are arrays already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data.dataset import Preprocessing
from nas.data.sources.base import Found, Header, numbered_headers


def found_in_arrays(
    images: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    *,
    parts: npt.NDArray[np.uint8],
    classes: Sequence[str],
    origin: str,
) -> Found:
    """Found for images (N, H, W) or (N, H, W, 3) and labels (N,), indices into ``classes``.

    Images of any type of number but uint8 are deep, as files of more than 8 bits are. Classes without any image are
    dropped. ``origin`` is what reports give as the images' format.
    """
    used = np.unique(labels)
    labels = np.searchsorted(used, labels).astype(np.int64)
    grey, deep = images.ndim == 3, images.dtype != np.uint8
    height, width = images.shape[1:3]
    mode = images.dtype.name if deep else "L" if grey else "RGB"
    each = Header(height, width, grey, mode, origin)
    headers, kinds = numbered_headers(_deep(each, images) if deep else [each] * len(images))

    def read(row: int, target: Preprocessing) -> npt.NDArray[np.uint8]:
        from nas.data.images import decode_array

        return decode_array(images[row], target)

    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{images.dtype}{images.shape}{[classes[label] for label in used]}".encode(errors="surrogateescape"))
    for array in (images, labels, parts):
        digest.update(np.ascontiguousarray(array).data)
    return Found(
        classes=tuple(classes[label] for label in used),
        labels=labels,
        parts=parts,
        names=[f"image {row}" for row in range(len(images))],
        headers=headers,
        kinds=kinds,
        digest=digest.hexdigest(),
        read=read,
    )


def _deep(header: Header, images: npt.NDArray[Any]) -> list[Header]:
    from nas.data.pixels import extent_of

    return [header._replace(extent=extent_of(image)) for image in images]
