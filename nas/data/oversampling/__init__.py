"""Oversampling by name: synthetic images that even out the classes of a training split.

Give it the training split alone, after splitting: a neighbour made from a validation image would leak it.
A new method is one file with one decorated function here, imported below; the contract tests run over every
registered name. Importing this package loads numpy and pydantic only.
"""

from nas.data.oversampling import augmented, copies, smote
from nas.data.oversampling.registry import OVERSAMPLERS, SEED, Oversampler, Synthetic, register_oversampler
from nas.data.oversampling.smote import K_NEIGHBORS, M_NEIGHBORS, borderline_smote
from nas.data.oversampling.stored import oversample

__all__ = [
    "K_NEIGHBORS",
    "M_NEIGHBORS",
    "OVERSAMPLERS",
    "SEED",
    "Oversampler",
    "Synthetic",
    "augmented",
    "borderline_smote",
    "copies",
    "oversample",
    "register_oversampler",
    "smote",
]
