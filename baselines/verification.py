"""Verification: do two images show the same identity? Decided by the similarity of their embeddings. Knows numpy alone.

Identities are classes, most often ones that the network was not trained on. The similarity of two embeddings is their
cosine; two images are said to show the same identity where it is at least a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasctlError

Vectors = npt.NDArray[np.float64]  # (images, numbers)
Labels = npt.NDArray[np.int64]
Similarities = npt.NDArray[np.float64]  # (pairs,)
Pairs = tuple[Labels, Labels]
"""Numbers of the first and of the second image of each pair."""

MOST_PAIRS = 500_000  # all pairs of 1,000 images; of more images so many are sampled
PIECE = 16_384  # sampled pairs whose embeddings are gathered at a time
FARS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""False accept rates that thresholds are kept for."""
REPORTED_FAR = 0.001
OBJECTIVE = "verification_auc"
_SEED = 22


class NoPairs(NasctlError):
    """There are no two images of one identity, or none of two identities."""


@dataclass(frozen=True)
class Verification:
    """Metrics of how well similarities tell pairs of one identity from pairs of two.

    ``auc``: area under the ROC curve, the probability that a pair of one identity is more similar than a pair of two.
    ``eer``: equal error rate, where the false accept rate equals the false reject rate. ``tar``: true accept rate at
    ``REPORTED_FAR``. ``thresholds`` and ``tars`` belong to the first of ``FARS``: as many as the pairs can tell.
    """

    auc: float
    eer: float
    tar: float
    same: int  # pairs of one identity
    different: int
    thresholds: tuple[float, ...]
    tars: tuple[float, ...]

    @property
    def numbers(self) -> dict[str, float]:
        """The metrics by name."""
        return {
            OBJECTIVE: self.auc, "verification_eer": self.eer, "verification_tar": self.tar,
            "verification_same": float(self.same), "verification_different": float(self.different),
        }  # fmt: skip

    @property
    def metrics(self) -> dict[str, float | list[float]]:
        """All of it as a run records it."""
        lists = {"verification_thresholds": list(self.thresholds), "verification_tars": list(self.tars)}
        return {**self.numbers, **lists}


METRICS = (OBJECTIVE, "verification_eer", "verification_tar")
COUNTS = ("verification_same", "verification_different")  # of pairs


def verify(embeddings: npt.ArrayLike, labels: Labels, *, most: int = MOST_PAIRS) -> Verification:
    """Compare embeddings (N, D) of images of the identities ``labels`` (N,).

    Every pair counts where there are at most ``most``; else all pairs of one identity, sampled if they are more than
    half of ``most``, and sampled ones of two. What is sampled depends on ``labels`` alone. NoPairs without pairs of
    both kinds.
    """
    same, different = similarities(_directions(embeddings), labels, most)
    return scored(same, different)


def unit(embeddings: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Vectors (N, D) scaled to a length of 1; those of length 0 stay as they are."""
    return _directions(embeddings).astype(np.float32)


def similarities(
    units: npt.NDArray[np.floating], labels: Labels, most: int = MOST_PAIRS
) -> tuple[Similarities, Similarities]:
    """Cosines of pairs of one identity, and of pairs of two; ``units`` (N, D) have a length of 1."""
    if len(units) * (len(units) - 1) // 2 <= most:
        cosines_NN = units @ units.T
        first, second = np.triu_indices(len(units), 1)
        is_same = labels[first] == labels[second]
        cosines = cosines_NN[first, second]
        return cosines[is_same], cosines[~is_same]
    rng = np.random.default_rng(_SEED)
    same = same_pairs(labels, most // 2, rng)
    different = different_pairs(labels, most - len(same[0]), rng)
    return _cosines(units, same), _cosines(units, different)


def same_pairs(labels: Labels, most: int, rng: np.random.Generator) -> Pairs:
    """All pairs of images of one identity, or ``most`` of them sampled with equal probability."""
    order, starts, counts = _by_identity(labels)
    pairs_C = counts * (counts - 1) // 2
    if pairs_C.sum() <= most:
        triangles = [np.triu_indices(count, 1) for count in counts.tolist()]
        first, second = (
            np.concatenate([each[side] + start for each, start in zip(triangles, starts, strict=True)])
            for side in (0, 1)
        )
        return order[first], order[second]
    of = rng.choice(len(counts), most, p=pairs_C / pairs_C.sum())
    one = rng.integers(0, counts[of])
    other = rng.integers(0, counts[of] - 1)
    return order[starts[of] + one], order[starts[of] + other + (other >= one)]


def different_pairs(labels: Labels, most: int, rng: np.random.Generator) -> Pairs:
    """``most`` pairs of images of two identities, sampled with equal probability."""
    order, starts, counts = _by_identity(labels)
    others_C = len(labels) - counts
    weights = (counts * others_C).astype(float)
    if not weights.any():
        return order[:0], order[:0]
    of = rng.choice(len(counts), most, p=weights / weights.sum())
    one = starts[of] + rng.integers(0, counts[of])
    other = rng.integers(0, others_C[of])
    return order[one], order[np.where(other >= starts[of], other + counts[of], other)]


def scored(same: Similarities, different: Similarities) -> Verification:
    """The metrics of similarities of pairs of one identity and of pairs of two; NoPairs if there are none of either."""
    if not len(same) or not len(different):
        raise NoPairs(f"there are no pairs of {'two identities' if len(same) else 'images of one identity'} to compare")
    same, different = np.sort(same), np.sort(different)
    below, not_above = (np.searchsorted(different, same, side=side) for side in ("left", "right"))
    auc = float((below.astype(np.int64).sum() + not_above.astype(np.int64).sum()) / (2 * len(same) * len(different)))
    fars = [far for far in FARS if far * len(different) >= 1]
    at = [operating_point(same, different, far) for far in fars]
    return Verification(
        auc, equal_error_rate(same, different), operating_point(same, different, REPORTED_FAR)[1], len(same),
        len(different), tuple(threshold for threshold, _ in at), tuple(tar for _, tar in at),
    )  # fmt: skip


def operating_point(same: Similarities, different: Similarities, far: float) -> tuple[float, float]:
    """The least threshold at which no more than ``far`` of the pairs of two identities are accepted, and the share of
    the pairs of one that is; both arrays are sorted."""
    allowed = int(far * len(different) + 1e-9)
    refused = different[len(different) - 1 - allowed] if allowed < len(different) else -np.inf
    threshold = float(np.nextafter(refused, np.inf))
    return threshold, float(1 - np.searchsorted(same, threshold, side="left") / len(same))


def equal_error_rate(same: Similarities, different: Similarities) -> float:
    """Rate at which false accepts and false rejects are equally frequent, on straight lines between the thresholds;
    both arrays are sorted."""
    thresholds = np.unique(np.concatenate([same, different]))
    rejected = np.append(np.searchsorted(same, thresholds, side="left") / len(same), 1.0)
    accepted = np.append(1 - np.searchsorted(different, thresholds, side="left") / len(different), 0.0)
    gap = accepted - rejected  # falls from 1 to -1
    after = int(np.argmax(gap <= 0))
    if after == 0:
        return float((accepted[0] + rejected[0]) / 2)
    high, low = gap[after - 1], gap[after]
    share = high / (high - low)
    return float(accepted[after - 1] + share * (accepted[after] - accepted[after - 1]))


def least_pairs(labels: Labels) -> bool:
    """True if there are two images of one identity among ``labels``, and two identities."""
    _, counts = np.unique(labels, return_counts=True)
    return len(counts) > 1 and bool((counts > 1).any())


def threshold_at(fars: Sequence[float], thresholds: Sequence[float], far: float) -> tuple[float, float] | None:
    """The largest of ``fars`` that is at most ``far``, and its threshold; None if all are larger."""
    kept = [pair for pair in zip(fars, thresholds, strict=True) if pair[0] <= far * (1 + 1e-9)]
    return max(kept) if kept else None


def _directions(embeddings: npt.ArrayLike) -> Vectors:
    """The same in float64: cosines of a network that learned little are all close to 1."""
    vectors = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def _cosines(units: npt.NDArray[np.floating], pairs: Pairs) -> Similarities:
    bounds = pairwise([*range(0, len(pairs[0]), PIECE), len(pairs[0])])
    parts = [
        np.einsum("nd,nd->n", units[pairs[0][start:end]], units[pairs[1][start:end]])
        for start, end in bounds
    ]  # fmt: skip
    return np.concatenate(parts) if parts else np.zeros(0)


def _by_identity(labels: Labels) -> tuple[Labels, Labels, Labels]:
    """Images in the order of their identities; of each identity where it begins, and its number of images."""
    order = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    return order, starts.astype(np.int64), counts.astype(np.int64)
