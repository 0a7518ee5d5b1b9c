"""Checks of a run whose objective is verification: which identities its pairs of images are of."""

from __future__ import annotations

from baselines.verification import OBJECTIVE, least_pairs
from nas.config.objectives import is_verification
from nas.data import Dataset


def verification_errors(objective: str, data: Dataset, *, supernet: str | None = None) -> list[str]:
    """Errors of an objective that compares pairs of images, for these data; ``supernet``: a strategy that trains one,
    whose candidates no pair would rank."""
    if not is_verification(objective):
        return []
    if not data.identities:
        return [
            f"--objective {OBJECTIVE} compares images of identities that nothing trains on, and none are held out: "
            "add --verify-identities 0.2, which holds out a fifth of the classes for rank pairs and a fifth for test "
            "pairs."
        ]
    if supernet:
        return [
            f"--objective {OBJECTIVE} is for strategies that train every network: --strategy {supernet} ranks its "
            "candidates by classes. Choose --strategy evolution or random."
        ]
    if not least_pairs(data.split("select").labels):
        return [
            f"--objective {OBJECTIVE} chooses epochs by pairs of images of the select split, which has no two "
            "images of one class. Give more images per class (--min-per-class 20 drops classes with fewer)."
        ]
    return []
