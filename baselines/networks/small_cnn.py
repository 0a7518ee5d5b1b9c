"""A small plain CNN, and the recipe that the optimizers of ``baselines.studies`` are compared by.

The system whose study that is names no layers: these are the plainest, 25,578 parameters at 3x32x32 and 10 classes.
"""

from __future__ import annotations

from typing import Any

from baselines.registry import Construction, NetworkKind, register_network

WIDTHS = (16, 32)
# Images as they are, a constant learning rate.
PLAIN: dict[str, Any] = {
    "optimizer": "adam", "learning_rate": 1e-3, "schedule": "constant", "epochs": 10, "batch_size": 64,
    "crop_padding": 0, "flip": False,
}  # fmt: skip
WHEN_SMALL: dict[str, Any] = {"epochs": 30}


register_network(
    NetworkKind(
        "small-cnn",
        "two 3x3 convolutions of 16 and 32 with max pools, and a linear layer; no normalization: it trains in batches "
        "of one image too",
        lambda settings, shape, classes: Construction(
            "small_cnn", "SmallCNN", {"input_shape": shape, "num_classes": classes, "widths": WIDTHS}
        ),
        lambda settings: "small CNN of 16 | 32",
        recipe=PLAIN,
        recipe_when_small=WHEN_SMALL,
    )
)
