"""Nearest images by pixels, without a copy of the whole split in floating point.

Where the search is exact, so are distances: scikit-learn sums the products of float32 rows in float64, where sums
of whole numbers up to 255^2 times the number of pixels are whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import Split
from nas.data.oversampling.registry import SEED, Rows, gather, pieces

EXACT_IMAGES = 20_000  # splits up to this size are searched whole
COMPONENTS = 48  # by which candidates are found in a larger one
CANDIDATES = 32  # of which the nearest by pixels are taken
CELL_IMAGES = 1_000  # the mean size of a cell
SEARCHED_IMAGES = 64_000  # at least so many, in the cells nearest to its own, are searched for an image
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

    In a larger split CANDIDATES images are found by their first COMPONENTS principal components and ordered by
    pixels. Only a part of it is searched for them: the split is cut into cells by k-means, and for the images of
    a cell the cells with the nearest centres are searched, as many as hold SEARCHED_IMAGES (the inverted file of
    Jegou, Douze and Schmid 2011, section IV). So a neighbour may be missed, and a farther one stands in;
    ``benchmarks/oversampling.py --agreement`` measures how many, and how often that changes what is at the border.
    """
    everything = np.arange(len(split.labels))
    if len(everything) <= EXACT_IMAGES:
        return nearest(split, queries, everything, num_neighbors)
    from sklearn.neighbors import NearestNeighbors

    components = _principal_components(split)
    centres, members = _cells(components)
    sizes = np.array([len(member) for member in members])
    place = np.full(len(everything), -1)
    place[queries] = np.arange(len(queries))
    found = np.empty((len(queries), num_neighbors), dtype=np.int64)
    for centre, own in zip(centres, members, strict=True):
        wanted = own[place[own] >= 0]
        if not len(wanted):
            continue
        by_distance = np.argsort(np.square(centres - centre).sum(axis=1), kind="stable")
        num_cells = int(np.searchsorted(np.cumsum(sizes[by_distance]), SEARCHED_IMAGES)) + 1
        near = np.sort(np.concatenate([members[cell] for cell in by_distance[:num_cells]]))
        index = NearestNeighbors(n_neighbors=min(max(CANDIDATES, num_neighbors), len(near)))
        candidates = near[index.fit(components[near]).kneighbors(components[wanted], return_distance=False)]
        found[place[wanted]] = _ordered(split, wanted, candidates)[:, :num_neighbors]
    return found


def _principal_components(split: Split) -> NDArray[np.float32]:
    """The first principal components of every image (N, COMPONENTS), estimated on some of the images."""
    from sklearn.decomposition import PCA

    everything = np.arange(len(split.labels))
    num_pixels = int(np.prod(split.stored.shape[1:]))
    num_fitted = max(CHUNK_BYTES // num_pixels, 4 * COMPONENTS)
    sample = np.random.default_rng(SEED).permutation(everything)[:num_fitted]
    analysis = PCA(min(COMPONENTS, num_pixels), random_state=SEED).fit(as_floats(split, sample))
    parts = [analysis.transform(as_floats(split, part)) for part in pieces(everything, split, CHUNK_BYTES)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def _cells(components: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[Rows]]:
    """Centres (cells, COMPONENTS) of k-means on some of the images, and the positions of each cell's members."""
    from sklearn.cluster import MiniBatchKMeans

    num_cells = len(components) // CELL_IMAGES
    sample = np.random.default_rng(SEED).permutation(len(components))[: 50 * num_cells]
    means = MiniBatchKMeans(num_cells, batch_size=4096, n_init=1, random_state=SEED).fit(components[sample])
    cells = means.predict(components)
    ends = np.cumsum(np.bincount(cells, minlength=num_cells))
    return means.cluster_centers_, np.split(np.argsort(cells, kind="stable"), ends[:-1])


def _ordered(split: Split, queries: Rows, candidates: Rows) -> Rows:
    """Each query's candidates (n, k), nearest by pixels first."""
    ordered = np.empty_like(candidates)
    for part in pieces(np.arange(len(queries)), split, CHUNK_BYTES // candidates.shape[1]):
        images = as_floats(split, candidates[part].ravel()).reshape(len(part), candidates.shape[1], -1)
        images -= as_floats(split, queries[part])[:, None]
        distances = np.einsum("nkp,nkp->nk", images, images)
        ordered[part] = np.take_along_axis(candidates[part], np.argsort(distances, axis=1, kind="stable"), axis=1)
    return ordered
