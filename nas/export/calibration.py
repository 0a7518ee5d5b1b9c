"""Temperature scaling and calibration error of a network's scores.

Arrays in, metrics out. A score of 0.9 should be right nine times in ten. Networks trained to the end are more confident
than that; dividing their logits by a temperature, fitted on images that they were not trained on, leaves every label as
it is and corrects the scores (Guo et al., "On Calibration of Modern Neural Networks", 2017).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from nas.export.request import Calibration

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]

BINS = 15  # of scores, as in the paper
MOST = 20.0  # temperature; the least is its inverse


class Answers(NamedTuple):
    """Answers of a network to labelled images."""

    logits: Floats  # (N, classes)
    labels: Labels  # (N,)


def calibrate(select: Answers, rank: Answers, frequencies: Floats) -> Calibration:
    """Fit the temperature on one split and measure its effect on another.

    ``frequencies`` (classes,) is how often the network takes each class to come. Images are weighed so that their
    classes come so often, whatever they do in the splits.
    """
    temperature = temperature_of(select, frequencies)
    return Calibration(
        temperature,
        len(select.labels),
        round(calibration_error(rank, frequencies, 1.0), 6),
        round(calibration_error(rank, frequencies, temperature), 6),
    )


def temperature_of(answers: Answers, frequencies: Floats) -> float:
    """The temperature of the least mean cross-entropy, to four digits.

    A label counts as one of n + 2, of which all classes share one (Platt 1999): a few images that are all answered
    rightly do not make a network that is always sure.
    """
    weights = _weights(answers.labels, frequencies)
    rows = np.arange(len(answers.labels))
    unsure = 1 / (len(rows) + 2)

    def loss(log_temperature: float) -> float:
        logs = log_softmax(answers.logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return -float(weights @ ((1 - unsure) * logs[rows, answers.labels] + unsure * logs.mean(axis=1)))

    found = minimize_scalar(loss, bounds=(-np.log(MOST), np.log(MOST)), method="bounded")
    return float(f"{np.exp(found.x):.4g}")


def calibration_error(answers: Answers, frequencies: Floats, temperature: float) -> float:
    """The expected calibration error: how far the score of the best class and the share of right answers lie apart,
    averaged over bins of the score (Naeini et al. 2015)."""
    scores = softmax(answers.logits.astype(np.float64) / temperature, axis=1)
    best = scores.argmax(axis=1)
    weights = _weights(answers.labels, frequencies)
    bins = np.minimum((scores.max(axis=1) * BINS).astype(int), BINS - 1)
    apart = np.bincount(bins, weights * (scores.max(axis=1) - (best == answers.labels)), minlength=BINS)
    return float(np.abs(apart).sum())


def _weights(labels: Labels, frequencies: Floats) -> Floats:
    """(N,), with a sum of 1: as if the classes came as often as ``frequencies`` says."""
    counts = np.bincount(labels, minlength=len(frequencies))
    weights = (frequencies / np.maximum(counts, 1))[labels]
    return np.asarray(weights / weights.sum())
