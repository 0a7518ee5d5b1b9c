"""Two-dimensional projections (PCA, t-SNE) of the input of a network's last layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nas.analysis.measure import Answers
from nas.analysis.record import MOST_EMBEDDED, Embedding

Floats = npt.NDArray[np.floating[Any]]
PERPLEXITY = 30  # of t-SNE: scikit-learn's own, where there are images enough


def sampled_evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most ``most`` of the places 0 to ``count`` - 1, sorted: always the same ones."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def embedding_of(answers: Answers, *, tsne: bool = False) -> Embedding | None:
    """Principal components of what entered the last layer, and with ``tsne`` t-SNE (van der Maaten and Hinton 2008);
    None without such a layer. Of more than ``MOST_EMBEDDED`` images as many are sampled evenly."""
    if answers.features is None or len(answers.features) < 2:
        return None
    kept = sampled_evenly(len(answers.features), MOST_EMBEDDED)
    features, places = answers.features[kept].astype(np.float64), answers.embedded[kept]
    points, explained = principal_components(features)
    return Embedding(
        num_features=features.shape[1],
        indexes=places.tolist(),
        labels=answers.labels[places].tolist(),
        right=(answers.labels[places] == answers.predicted[places]).tolist(),
        pca=_pairs(points),
        explained=explained,
        tsne=_pairs(t_sne(features)) if tsne else None,
    )


def principal_components(features: Floats) -> tuple[Floats, tuple[float, float]]:
    """The first two (N, 2) of ``features`` (N, D), and the share of the variance of each; what there is none of is 0.
    Of the two signs that each may have, the one that makes its largest weight positive."""
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    points = np.zeros((len(features), 2))
    points[:, : axes.shape[1]] = centred @ axes
    shares = np.zeros(2)
    shares[: axes.shape[1]] = values[::-1][:2].clip(min=0) / max(values.clip(min=0).sum(), 1e-300)
    return points, (float(shares[0]), float(shares[1]))


def t_sne(features: Floats) -> Floats:
    """(N, 2), equal for equal features on one machine; takes seconds for 1,000 images."""
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    # From the principal components, so that where groups lie means something (Kobak and Berens 2019).
    scaled = features / max(float(features.std()), 1e-12)
    found = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(scaled)
    return np.asarray(found, np.float64)


def _pairs(points: Floats) -> list[tuple[float, float]]:
    return [(round(float(x), 4), round(float(y), 4)) for x, y in points]
