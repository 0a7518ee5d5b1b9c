"""Objectives that a search can maximize, by name: functions of an ``Evaluation``. Loads no torch, so that plans can
check names.

The metrics of every evaluation (``baselines.metrics``) are all objectives; one that is registered besides them is
computed where a run is ranked by it, under the text that chose it: ``fbeta:beta=2``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from baselines.evaluation import Evaluation, NotGiven
from baselines.metrics import METRICS
from baselines.verification import OBJECTIVE as VERIFICATION
from baselines.verification import verify
from nas.config.options import base_name, bound, canonical, options_of, read_options
from nas.errors import NasctlError, ObjectiveError, out_of_memory, told
from search_spaces.registry import Registry

Compute = Callable[..., float]
"""An evaluation, and options by name, to one number; more is better."""
AnyCompute = TypeVar("AnyCompute", bound=Callable[..., Any])

DEFAULT = "balanced_accuracy"
BALANCED = ("balanced_accuracy", "macro_f1", "worst_recall")


@dataclass(frozen=True)
class Objective:
    """A registered objective. ``balanced``: it counts all classes alike, however many images they have."""

    compute: Compute
    balanced: bool = False


OBJECTIVES: Registry[Objective] = Registry(
    "objective", "Objectives", ((name, Objective(metric, name in BALANCED)) for name, metric in METRICS.items())
)


def _verification_auc(evaluation: Evaluation) -> float:
    """The area under the ROC curve of pairs of images by the similarity of their embeddings."""
    return verify(evaluation.embeddings, evaluation.labels).auc


OBJECTIVES.add(VERIFICATION, Objective(_verification_auc))


def register_objective(name: str, *, balanced: bool = False) -> Callable[[AnyCompute], AnyCompute]:
    """Register an objective: a function of an ``Evaluation`` that returns one finite number, more for better answers.

    Of an error, return the negative. Parameters after the first are options, ``--objective name:key=value``, of the
    types in their annotations.

    Args:
        name: Name for ``--objective``.
        balanced: It counts all classes alike, so that ``--recipe auto`` trains uneven classes alike too.

    Returns:
        A decorator that gives the function back.

    Raises:
        ValueError: If the name is taken.
        TypeError: For an option that text cannot give.

    ::

        @register_objective("recall_quantile", balanced=True)
        def recall_quantile(evaluation, share: float = 0.1):
            return float(np.quantile(evaluation.recall_C, share))  # --objective recall_quantile:share=0.25
    """

    def register(compute: AnyCompute) -> AnyCompute:
        options_of(compute, 1)
        OBJECTIVES.add(name, Objective(compute, balanced))
        return compute

    return register


def find_objective(text: str) -> Objective:
    """The objective of ``name:key=value``, its options bound. UsageError names the nearest name, or option."""
    found = OBJECTIVES.find(base_name(text))
    return replace(found, compute=bound("objective", text, found.compute, 1))


def resolve_objective(text: str) -> str:
    """``text`` as runs record it; UsageError as ``find_objective``."""
    found = OBJECTIVES.find(base_name(text))
    return canonical(base_name(text), read_options("objective", text, found.compute, 1))


def is_verification(text: str) -> bool:
    """True if an objective compares pairs of images: on rank and test those of identities that are held out."""
    return base_name(text) == VERIFICATION


def beside_verification(text: str) -> str:
    """The objective to compute of the classes where identities are held out, which have the metrics of pairs."""
    return DEFAULT if is_verification(text) else text


def is_balanced(text: str) -> bool:
    """True if an objective counts all classes alike; False of one that is not registered here."""
    name = base_name(text)
    return name in OBJECTIVES and OBJECTIVES[name].balanced


def measure(text: str, evaluation: Evaluation) -> float:
    """The objective called ``text`` of an evaluation.

    ObjectiveError, with the place in its file, if it raises or gives no finite number. ``NotGiven`` passes, and so does
    a lack of memory.
    """
    found = find_objective(text)
    try:
        value = found.compute(evaluation)
    except NotGiven:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        why = str(error) if isinstance(error, NasctlError) else told(error, found.compute)
        raise ObjectiveError(f"the objective {text} failed: {why}") from error
    try:
        number = float(value)
    except (TypeError, ValueError):
        shown = " ".join(repr(value).split())[:60]
        raise ObjectiveError(f"the objective {text} gave {shown}, which is not one number") from None
    if not math.isfinite(number):
        raise ObjectiveError(f"the objective {text} gave {number}, which is not a finite number")
    return number


def lacking(text: str) -> str | None:
    """Reason why an objective cannot be computed from labels and predicted classes alone, which is all that classical
    methods give; None if it can."""
    try:
        measure(text, Evaluation((0, 1, 0, 1), predicted=(0, 1, 1, 1), num_classes=2))
    except NotGiven as error:
        return f"the objective {text} needs {error.array}, which classical methods do not have"
    except ObjectiveError:  # four images may be too few for it
        return None
    return None


def lengthens_by(text: str) -> str:
    """The metric by which a search with this objective finds out whether longer trainings gain: its own if its chance
    error is known, which is that of a mean of recalls."""
    return text if text in METRICS else DEFAULT
