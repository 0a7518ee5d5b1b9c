"""A small architecture of each space."""

from __future__ import annotations

from nas.config.recipe import Recipe

SHORT = Recipe(epochs=2, batch_size=64)

SMALL: dict[str, dict[str, int | str]] = {
    "vgg": {
        "stages": 4,
        "width1": 8,
        **{f"growth{stage}": growth for stage, growth in enumerate((4, 0, 8, 4), 2)},
        **{f"depth{stage}": 2 if stage == 3 else 1 for stage in range(1, 6)},
        **{f"kernel{stage}": 5 if stage == 2 else 3 for stage in range(1, 6)},
        "head": 64,
    },
    "resnet": {
        "stages": 4,
        **{f"width{stage}": width for stage, width in enumerate((8, 12, 20, 24), 1)},
        **{f"depth{stage}": 2 if stage == 1 else 1 for stage in range(1, 5)},
        **{f"block{stage}": kind for stage, kind in enumerate(("bottleneck", "separable", "separable", "basic"), 1)},
    },
    "densenet": {
        "blocks": 4, "stem": 4, "growth": 4, "bottleneck": 2, "layers1": 1, "layers2": 2, "layers3": 3, "layers4": 2,
        "compression": 70,
    },
    "mobilenet": {
        "stages": 7,
        "stem": 8,
        **{f"width{stage}": width for stage, width in enumerate((8, 8, 12, 16, 16, 24, 32), 1)},
        **{f"expansion{stage}": 1 + stage % 2 for stage in range(2, 8)},
        **{f"repeats{stage}": 2 if stage == 5 else 1 for stage in range(2, 7)},
        **{f"kernel{stage}": 5 if stage == 4 else 3 for stage in range(1, 8)},
        **{f"gate{stage}": "se" if stage % 2 else "none" for stage in range(1, 8)},
        "head": 32,
    },
    "cell": {
        "stages": 3, "width": 6, "cells": 1,
        "edge01": "conv3", "edge02": "skip", "edge12": "conv1",
        "edge03": "pool", "edge13": "separable3", "edge23": "skip",
    },
}  # fmt: skip
