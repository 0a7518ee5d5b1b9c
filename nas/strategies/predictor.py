"""Predictor of an architecture's score: Bayesian ridge regression and a Gaussian process on the trials so far.

The mean of two models of different kinds: a Bayesian ridge regression (MacKay 1992, "Bayesian interpolation"), which
says most after few trials, and a Gaussian process with a squared-exponential kernel (Rasmussen and Williams 2006),
which sees what does not add up. How smooth and how noisy scores are is averaged over a grid, weighed by the marginal
likelihood: nothing is fitted that a dozen trials cannot tell. Targets are normal scores of ranks, since a search asks
which is better, and a single failure must not stretch the scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.runs.ranking import average_ranks

Floats = npt.NDArray[np.float64]

SIGNALS = np.array([0.03, 0.1, 0.3, 1.0, 3.0])  # of the ridge: variance that features explain, a unit of noise
SCALES = (0.5, 0.8, 1.2, 2.0, 3.5)  # lengths of the kernel, in root mean squared distances of two networks
NOISES = np.array([0.03, 0.1, 0.3, 1.0])  # of the process: variance of noise, a unit of signal
KEPT = 3  # pairs of scale and noise that predict, the likeliest

Grid = tuple[tuple[float, float, float], ...]  # scale, noise, weight


def normal_scores(values: Floats) -> Floats:
    """Normal scores of N values (more is better): their values if sampled from a standard normal, by rank, equal ones
    alike (Blom 1958)."""
    from scipy.special import ndtri  # takes a fifth of a second, which tables of runs need not

    return np.asarray(ndtri((average_ranks(values) - 0.375) / (len(values) + 0.25)), float)


def in_scores(normal_M: Floats, values_N: Floats) -> Floats:
    """M normal scores as scores again, by where they fall among the N values that normal scores were made of."""
    order = np.argsort(values_N, kind="stable")
    known, scores = normal_scores(values_N)[order], values_N[order]
    slope = (scores[-1] - scores[0]) / max(known[-1] - known[0], 1e-9)  # beyond the ends
    beyond = np.maximum(normal_M - known[-1], 0) + np.minimum(normal_M - known[0], 0)
    return np.asarray(np.interp(normal_M, known, scores) + slope * beyond, float)


@dataclass(frozen=True)
class Prediction:
    """Means and standard deviations of M scores, in normal scores of the trials known."""

    mean_M: Floats
    sd_M: Floats


class Predictor:
    """Fitted to N networks with D features each, of mean 0 and standard deviation 1, and their normal scores.

    ``grid``: how smooth and noisy scores are, as another predictor found it (``grid``); None: to be found.
    """

    def __init__(self, features_ND: Floats, scores_N: Floats, grid: Grid | None = None) -> None:
        self._center = float(scores_N.mean())
        self._ridge = _Ridge(features_ND, scores_N - self._center)
        self._process = _Process(features_ND, scores_N - self._center, grid)

    @property
    def grid(self) -> Grid:
        """Smoothness and noise of scores."""
        return self._process.grid

    @property
    def noise(self) -> float:
        """The standard deviation of one training's normal score about what is to be expected of its network."""
        return math.sqrt((self._ridge.noise + self._process.noise) / 2)

    def predict(self, features_MD: Floats) -> Prediction:
        """Of M networks. The models' own doubt, and how far they are apart, are in the standard deviation."""
        (ridge_M, doubt_M), (process_M, doubts_M) = self._ridge.predict(features_MD), self._process.predict(features_MD)
        variance_M = (doubt_M + doubts_M) / 2 + (ridge_M - process_M) ** 2 / 4
        return Prediction((ridge_M + process_M) / 2 + self._center, np.sqrt(np.maximum(variance_M, 1e-12)))


def expected_improvement(prediction: Prediction, best: float) -> Floats:
    """By how much each of M networks is expected to be above ``best``, where it is above it (Mockus 1978)."""
    from scipy.special import ndtr

    gap_M = prediction.mean_M - best
    z_M = gap_M / prediction.sd_M
    density_M = np.exp(-z_M * z_M / 2) / np.sqrt(2 * np.pi)
    return np.asarray(gap_M * ndtr(z_M) + prediction.sd_M * density_M, float)


class _Ridge:
    """Weights of the features with a normal prior; its variance, against that of noise, is averaged over SIGNALS."""

    def __init__(self, features_ND: Floats, targets_N: Floats) -> None:
        count, width = features_ND.shape
        self._width = max(width, 1)
        values, self._basis = np.linalg.eigh(features_ND.T @ features_ND / self._width)
        projected = self._basis.T @ (features_ND.T @ targets_N) / np.sqrt(self._width)
        shrink_SD = SIGNALS[:, None] / (1 + np.outer(SIGNALS, np.maximum(values, 0)))
        residuals_S = targets_N @ targets_N - shrink_SD @ projected**2
        noise_S = np.maximum(residuals_S / count, 1e-6)
        log_determinant_S = np.log1p(np.outer(SIGNALS, np.maximum(values, 0))).sum(axis=1)
        self._weights_S = _weights(-0.5 * (count * np.log(noise_S) + log_determinant_S))
        self.noise = float(self._weights_S @ noise_S)
        self._solutions_SD, self._variances_SD = shrink_SD * projected, noise_S[:, None] * shrink_SD

    def predict(self, features_MD: Floats) -> tuple[Floats, Floats]:
        rotated = features_MD @ self._basis / np.sqrt(self._width)
        return _mixed(self._weights_S, self._solutions_SD @ rotated.T, self._variances_SD @ (rotated**2).T)


class _Process:
    """A Gaussian process with noise; scales and noises are averaged over the likeliest of the grid."""

    def __init__(self, features_ND: Floats, targets_N: Floats, grid: Grid | None) -> None:
        self._known, count = features_ND, len(targets_N)
        distances = _squared(features_ND, features_ND)
        self._unit = max(float(distances.mean()), 1e-9)
        decomposed = {}
        for scale in SCALES if grid is None else {scale for scale, *_ in grid}:
            values, basis = np.linalg.eigh(np.exp(-distances / (2 * self._unit * scale**2)))
            decomposed[scale] = np.maximum(values, 0), basis, basis.T @ targets_N
        if grid is None:
            pairs, evidence = [], []
            for scale, (values, _, projected) in decomposed.items():
                for noise in NOISES:
                    spectrum = values + noise
                    pairs.append((scale, float(noise)))
                    signal = max(float((projected**2 / spectrum).mean()), 1e-6)
                    evidence.append(-0.5 * (count * np.log(signal) + np.log(spectrum).sum()))
            weights = _weights(np.array(evidence))
            best = np.argsort(-weights, kind="stable")[:KEPT]
            grid = tuple((*pairs[index], float(weights[index] / weights[best].sum())) for index in best)
        self.grid: Grid = grid
        self._decomposed = decomposed
        self.noise = sum(weight * noise * self._signal(scale, noise) for scale, noise, weight in grid)

    def predict(self, features_MD: Floats) -> tuple[Floats, Floats]:
        distances = _squared(features_MD, self._known)
        rotated = {
            scale: np.exp(-distances / (2 * self._unit * scale**2)) @ basis
            for scale, (_, basis, _) in self._decomposed.items()
        }
        means, variances = [], []
        for scale, noise, _ in self.grid:
            values, _, projected = self._decomposed[scale]
            spectrum = values + noise
            means.append(rotated[scale] @ (projected / spectrum))
            variances.append(self._signal(scale, noise) * np.maximum(1 - rotated[scale] ** 2 @ (1 / spectrum), 1e-9))
        return _mixed(np.array([weight for *_, weight in self.grid]), np.stack(means), np.stack(variances))

    def _signal(self, scale: float, noise: float) -> float:
        """The variance of scores, without noise, that is likeliest."""
        values, _, projected = self._decomposed[scale]
        return max(float((projected**2 / (values + noise)).mean()), 1e-6)


def _squared(a_MD: Floats, b_ND: Floats) -> Floats:
    """Squared distances (M, N)."""
    squared = (a_MD**2).sum(axis=1)[:, None] + (b_ND**2).sum(axis=1) - 2 * a_MD @ b_ND.T
    return np.asarray(np.maximum(squared, 0), float)


def _weights(log_evidence: Floats) -> Floats:
    weights = np.exp(log_evidence - log_evidence.max())
    return np.asarray(weights / weights.sum(), float)


def _mixed(weights_K: Floats, means_KM: Floats, variances_KM: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of a mixture of K models, each of M networks."""
    mean_M = weights_K @ means_KM
    return mean_M, weights_K @ (variances_KM + (means_KM - mean_M) ** 2)
