"""Temperature and calibration error, against values worked out by hand and networks whose surety is known."""

from __future__ import annotations

import numpy as np
import pytest

from nas.export.calibration import Answers, calibrate, calibration_error, temperature_of

EVEN = np.full(3, 1 / 3)


def honest(count: int, frequencies: np.ndarray, seed: int = 0) -> Answers:
    """Logits whose softmax is how often their labels are right, where classes come as ``frequencies`` says."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3)) + np.log(frequencies)
    odds = np.exp(logits)
    odds /= odds.sum(axis=1, keepdims=True)
    labels = (rng.random((count, 1)) > odds.cumsum(axis=1)).sum(axis=1)
    return Answers(logits, labels)


def test_an_honest_network_has_a_temperature_of_one_and_one_that_is_too_sure_its_factor() -> None:
    logits, labels = honest(40_000, EVEN)
    came = np.bincount(labels) / len(labels)
    assert temperature_of(Answers(logits, labels), came) == pytest.approx(1, abs=0.03)
    assert temperature_of(Answers(3 * logits, labels), came) == pytest.approx(3, abs=0.1)
    assert temperature_of(Answers(0.2 * logits, labels), came) == pytest.approx(0.2, abs=0.01)


def test_the_error_by_hand() -> None:
    """Four answers with a score of 0.75 (logits log 3 and 0), of which two are right."""
    answers = Answers(np.tile([np.log(3), 0.0], (4, 1)), np.array([0, 0, 1, 1]))
    assert calibration_error(answers, np.array([0.5, 0.5]), 1.0) == pytest.approx(0.25)
    assert calibration_error(answers, np.array([0.75, 0.25]), 1.0) == pytest.approx(0)  # as often as it says
    assert calibration_error(answers, np.array([0.5, 0.5]), 1e6) == pytest.approx(0, abs=1e-6)  # a score of 0.5


def test_images_are_weighed_as_if_classes_came_as_the_network_takes_them_to() -> None:
    """A network that takes classes to be alike, judged on a split where they are not, is not called to account."""
    logits, labels = honest(60_000, EVEN)
    keep = np.random.default_rng(1).random(len(labels)) < np.array([1.0, 0.3, 0.05])[labels]
    uneven = Answers(logits[keep], labels[keep])
    assert temperature_of(uneven, EVEN) == pytest.approx(1, abs=0.06)
    assert calibration_error(uneven, EVEN, 1.0) < 0.03


def test_the_temperature_is_fitted_on_one_split_and_judged_on_the_other() -> None:
    select, rank = honest(8000, EVEN, 1), honest(8000, EVEN, 2)
    found = calibrate(Answers(4 * select.logits, select.labels), Answers(4 * rank.logits, rank.labels), EVEN)
    assert found.images == 8000 and found.temperature == pytest.approx(4, abs=0.2)
    assert found.error_after < 0.03 < found.error_before


@pytest.mark.parametrize("sign", [1, -1])
def test_a_network_that_is_always_or_never_right_has_a_temperature(sign: int) -> None:
    logits = sign * 10.0 * np.eye(3)[[0, 1, 2, 0]]
    found = temperature_of(Answers(logits, np.array([0, 1, 2, 0])), EVEN)
    assert 1 < found < 20 if sign == 1 else found == pytest.approx(20, rel=0.01)
