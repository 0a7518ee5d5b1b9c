"""Nearest images by pixels, without a copy of the whole split in floating point.

Distances are exact: scikit-learn sums the products of float32 rows in float64, and sums of whole numbers up to
255^2 times the number of pixels are whole there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import Split
from nas.oversampling.registry import SEED, Rows, gather, pieces

EXACT_IMAGES = 20_000  # splits up to this size are searched whole
CELL_IMAGES = 1_000  # the mean size of a cell of a larger one
SEARCHED_IMAGES = 8_000  # at least so many, in the cells nearest to its own, are searched for an image
CHUNK_BYTES = 8 << 20  # pixels that are turned into float32 at once


def as_floats(split: Split, positions: Rows) -> NDArray[np.float32]:
    """The images at positions of a split as float32 rows (n, C * H * W); in uint8 differences would wrap."""
    images = gather(split, positions)
    return images.reshape(len(images), -1).astype(np.float32)


def nearest(split: Split, queries: Rows, references: Rows, num_neighbors: int) -> Rows:
    """Positions of the nearest ``references`` of every query, (queries, at most num_neighbors), nearest first.

    A query that is a reference too finds itself, at distance 0. Of equally distant images any may come first.
    """
    from sklearn.neighbors import NearestNeighbors  # takes seconds to import, and most trials do not oversample

    found: Rows = np.empty((len(queries), 0), dtype=np.int64)
    distances: NDArray[np.float64] = np.empty((len(queries), 0))
    for chunk in pieces(references, split, CHUNK_BYTES):
        index = NearestNeighbors(n_neighbors=min(num_neighbors, len(chunk))).fit(as_floats(split, chunk))
        parts = [index.kneighbors(as_floats(split, part)) for part in pieces(queries, split, CHUNK_BYTES)]
        distances = np.hstack([distances, np.concatenate([part[0] for part in parts])])
        found = np.hstack([found, chunk[np.concatenate([part[1] for part in parts])]])
        if found.shape[1] > num_neighbors:
            order = np.argsort(distances, axis=1, kind="stable")[:, :num_neighbors]
            distances = np.take_along_axis(distances, order, axis=1)
            found = np.take_along_axis(found, order, axis=1)
    return found


def nearest_of_all(split: Split, queries: Rows, num_neighbors: int) -> Rows:
    """As ``nearest`` among all images of the split: exactly up to EXACT_IMAGES of them.

    A larger split is cut into cells of about CELL_IMAGES by k-means, and for the images of a cell only the cells
    with the nearest centres are searched, as many as hold SEARCHED_IMAGES (the inverted file of Jegou, Douze and
    Schmid 2011, section IV, with exact distances inside). So some neighbours are missed and farther ones stand in;
    ``benchmarks/oversampling.py`` measures how many, and how seldom that changes what is at the border.
    """
    everything = np.arange(len(split.labels))
    if len(everything) <= EXACT_IMAGES:
        return nearest(split, queries, everything, num_neighbors)
    centres, cells = _cells(split)
    members = np.split(np.argsort(cells, kind="stable"), np.cumsum(np.bincount(cells, minlength=len(centres)))[:-1])
    sizes = np.array([len(member) for member in members])
    asked = np.zeros(len(everything), dtype=bool)
    asked[queries] = True
    place = np.empty(len(everything), dtype=np.int64)
    place[queries] = np.arange(len(queries))
    found = np.empty((len(queries), num_neighbors), dtype=np.int64)
    for centre, own in zip(centres, members, strict=True):
        wanted = own[asked[own]]
        if not len(wanted):
            continue
        by_distance = np.argsort(np.square(centres - centre).sum(axis=1), kind="stable")
        num_cells = int(np.searchsorted(np.cumsum(sizes[by_distance]), SEARCHED_IMAGES)) + 1
        near = np.sort(np.concatenate([members[cell] for cell in by_distance[:num_cells]]))
        found[place[wanted]] = nearest(split, wanted, near, num_neighbors)
    return found


def _cells(split: Split) -> tuple[NDArray[np.float64], Rows]:
    """Centres (cells, pixels) and each image's cell (N,), by k-means on some of the images."""
    from sklearn.cluster import MiniBatchKMeans

    everything = np.arange(len(split.labels))
    num_cells = len(everything) // CELL_IMAGES
    sample = np.random.default_rng(SEED).permutation(everything)[: 20 * num_cells]
    means = MiniBatchKMeans(num_cells, batch_size=4096, n_init=1, random_state=SEED).fit(as_floats(split, sample))
    cells = [means.predict(as_floats(split, part)) for part in pieces(everything, split, CHUNK_BYTES)]
    return means.cluster_centers_.astype(np.float64), np.concatenate(cells).astype(np.int64)
