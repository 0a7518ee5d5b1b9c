"""The floor of verification: how well pixels alone tell pairs of images of one identity from pairs of two.

Three classical similarities, each a cosine. The best on pairs of the rank identities is scored on those of the test
identities, once, as ``baselines.classical`` does for classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from baselines.classical import (
    COMPONENTS,
    MOST_IMAGES,
    ClassicalScores,
    Images,
    Matrix,
    MethodScores,
    numbers_of,
    sample_rows,
)
from baselines.verification import OBJECTIVE, Verification, verify

Embed = Callable[[Matrix], Matrix]


def pixel_verification(
    train: Images, rank: Images, test: Images, *, seed: int = 0, most: int = MOST_IMAGES
) -> ClassicalScores:
    """Score every method on pairs of ``rank``, and the best of them on pairs of ``test``.

    Labels of these are identities. What is learned, the mean image and principal components, is learned from at most
    ``most`` images of ``train``. ``verification.NoPairs`` where there is nothing to compare.
    """
    pixels, labels = train
    rows = sample_rows(labels, most, seed)
    methods = _methods(numbers_of(pixels, rows), seed)
    of_rank, of_test = (numbers_of(images, np.arange(len(known))) for images, known in (rank, test))

    def scored(embed: Embed, numbers: Matrix, images: Images) -> Verification:
        return verify(embed(numbers), images[1])

    found = [
        MethodScores(name, label, {}, scored(embed, of_rank, rank).numbers) for name, (label, embed) in methods.items()
    ]
    best = max(found, key=lambda method: method.rank[OBJECTIVE])
    components = COMPONENTS if best.name == "components" else None
    tested = scored(methods[best.name][1], of_test, test).numbers
    return ClassicalScores(tuple(found), best.name, tested, len(rows), len(labels), components)


def _methods(trained: Matrix, seed: int) -> dict[str, tuple[str, Embed]]:
    """By name what each is called before "on pixels", and how it turns images into vectors."""
    from sklearn.decomposition import PCA

    mean = trained.mean(axis=0)
    number = min(COMPONENTS, *trained.shape)
    components = PCA(number, svd_solver="randomized", whiten=True, random_state=seed).fit(trained)
    return {
        "correlation": ("correlation", lambda numbers: numbers - numbers.mean(axis=1, keepdims=True)),
        "mean-image": ("cosine around the mean image", lambda numbers: numbers - mean),
        "components": ("cosine of whitened principal components", components.transform),
    }
