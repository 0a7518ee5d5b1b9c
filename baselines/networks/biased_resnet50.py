"""The bottleneck residual net with biased convolutions, and the recipe of the system that recognized faces by it."""

from __future__ import annotations

from typing import Any

from baselines.registry import Construction, NetworkKind, register_network

# 80 to 141 epochs there; 150 are four cycles of warm restarts, of 10, 20, 40 and 80 epochs.
FACES: dict[str, Any] = {
    "loss": "ce", "label_smoothing": 0.2, "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": False,
    "weight_decay": 1e-4, "schedule": "warm-restarts", "restart_epochs": 10, "restart_factor": 2, "epochs": 150,
    "batch_size": 128, "crop_padding": 0, "flip": True, "rotate": 12.0, "jitter": 0.2, "grey": 0.1,
    "erasing": 0.5, "erasing_area": 0.1,
}  # fmt: skip


register_network(
    NetworkKind(
        "biased-resnet50",
        "a ResNet-50 with biased convolutions, 37,877,528 parameters at 3x224x224 and 7,000 classes",
        lambda settings, shape, classes: Construction(
            "biased_resnet50", "BiasedResNet50", {"channels": shape[0], "num_classes": classes}
        ),
        lambda settings: "ResNet-50 with biased convolutions",
        recipe=FACES,
        recipe_when_small={"batch_size": 64, "learning_rate": 0.05, "epochs": 30},  # the rate by the batch
    )
)
