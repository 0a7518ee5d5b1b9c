"""A data source: drawn rings and discs, ``--data rings`` or ``--data rings:300`` for so many of each."""

import numpy as np

from nas.plugins import ArraySource, register_source


@register_source("rings")
def rings(argument: str) -> ArraySource:
    each = int(argument or 200)
    rng = np.random.default_rng(0)  # the same images in every process
    labels = ["disc", "ring"] * each
    y, x = np.mgrid[:16, :16]
    images = []
    for label in labels:
        middle, radius = rng.uniform(6, 10, 2), rng.uniform(3, 5)
        distance = np.hypot(y - middle[0], x - middle[1])
        shape = distance < radius if label == "disc" else abs(distance - radius) < 1
        images.append(np.clip(shape * 160 + rng.normal(48, 24, shape.shape), 0, 255))
    return ArraySource("rings", np.array(images, np.uint8), labels)
