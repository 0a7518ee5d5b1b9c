"""Contract tests of objectives: one finite number for whatever a network answers, more for better answers.

``compute`` is what ``register_objective`` decorates: an ``Evaluation`` in, a number out. Its options have their
defaults; for others, give ``functools.partial(compute, k=3)``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from baselines.evaluation import Evaluation
from nas.config.objectives import Compute
from nas.errors import told

SIZE, CLASSES, FEATURES = 60, 4, 8
LABELS = np.arange(SIZE) % CLASSES


def check_objective(compute: Compute) -> None:
    """Check every promise of this module.

    Args:
        compute: The objective: an ``Evaluation`` to one finite number, more for better answers.

    Raises:
        AssertionError: With the promise that was broken.
    """
    check_numbers(compute)
    check_direction(compute)
    check_repetition(compute)
    check_order(compute)


def answered(labels: npt.NDArray[np.int64], share: float, *, seed: int = 0) -> Evaluation:
    """Answers of a network that is right for about a ``share`` of the images, and surely wrong for the others; its
    embeddings of the former lie close to others of their class, and those of the latter anywhere."""
    rng = np.random.default_rng(seed)
    right_N1 = rng.random((len(labels), 1)) < share
    one_hot_NC = np.eye(CLASSES)[labels]
    logits_NC = rng.normal(0, 0.3, (len(labels), CLASSES)) + np.where(right_N1, 5, -5) * one_hot_NC
    centres_NF = np.random.default_rng(1).normal(0, 3, (CLASSES, FEATURES))[labels]
    embeddings_NF = rng.normal(0, 0.3, (len(labels), FEATURES))
    embeddings_NF += np.where(right_N1, centres_NF, rng.normal(0, 3, centres_NF.shape))
    return Evaluation(labels, logits_NC, embeddings_NF)


def check_numbers(compute: Compute) -> None:
    """One finite number, also where a class has no images here, and where all images get the same answer, as of a
    network in its first epochs."""
    same = np.tile(np.arange(CLASSES, 0, -1.0), (SIZE, 1)), np.ones((SIZE, FEATURES))
    for what, evaluation in (
        ("half of the answers are right", answered(LABELS, 0.5)),
        ("all answers are right", answered(LABELS, 1)),
        ("a class has no images", answered(LABELS[LABELS > 0], 0.5)),
        ("all answers are the same", Evaluation(LABELS, *same)),
    ):
        number(compute, evaluation, what)


def check_direction(compute: Compute) -> None:
    """More is better: all right is more than half, half is more than none."""
    none, half, whole = (number(compute, answered(LABELS, share), f"{share:.0%} right") for share in (0, 0.5, 1))
    assert whole > none, f"more must be better: {whole:g} where all answers are right, {none:g} where none is"
    assert none <= half <= whole, f"between {none:g} for none right and {whole:g} for all, half right gave {half:g}"


def check_repetition(compute: Compute) -> None:
    """Equal answers, equal numbers; nothing is sampled from the generators that training may use."""
    before = torch.random.get_rng_state(), str(np.random.get_state())
    first, again = (number(compute, answered(LABELS, 0.5), "half right") for _ in range(2))
    assert first == again, f"equal answers gave {first:g}, then {again:g}"
    after = torch.random.get_rng_state(), str(np.random.get_state())
    assert torch.equal(before[0], after[0]) and before[1] == after[1], "it samples from a global generator"


def check_order(compute: Compute) -> None:
    """The order of the images means nothing, to rounding."""
    given = answered(LABELS, 0.5)
    order = np.argsort(LABELS, kind="stable")[::-1]  # by class, another one first and last
    other = Evaluation(given.labels[order], given.logits[order], given.embeddings[order])
    first, second = number(compute, given, "half right"), number(compute, other, "in another order")
    assert math.isclose(first, second, rel_tol=1e-5, abs_tol=1e-6), f"the order of images made {first:g} {second:g}"


def number(compute: Compute, evaluation: Evaluation, what: str) -> float:
    """Result of ``compute``; AssertionError unless that is one finite number."""
    try:
        value = compute(evaluation)
    except Exception as error:
        raise AssertionError(f"where {what} it failed: {told(error, compute)}") from error
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise AssertionError(f"where {what} it gave {value!r:.80}, not one number") from None
    assert math.isfinite(found), f"where {what} it is {found}: it must be a finite number"
    return found
