"""The one-cycle residual net, and the recipe of the system that trained it so (``baselines.studies``)."""

from __future__ import annotations

from typing import Any

from baselines.registry import Construction, NetworkKind, register_network

EPOCHS, PEAK_EPOCH = 24, 5
# Padding 4 and a hole of 8 pixels at 32x32; filled with the mean of CIFAR-10's three channel means. The rate rises to
# its maximum in 5 epochs and falls again in the other 19, both in a line, without a last phase near zero. Both ends
# are a tenth of the maximum, which a range test finds.
ONE_CYCLE: dict[str, Any] = {
    "optimizer": "sgd", "rate_to_find": True, "schedule": "one-cycle", "cycle_peak": PEAK_EPOCH / EPOCHS,
    "cycle_shape": "linear", "cycle_start": 0.1, "cycle_end": 0.1, "epochs": EPOCHS, "batch_size": 512,
    "crop_padding": 1, "crop_border": "black", "flip": True, "cutout": 0.25, "cutout_fill": 0.473363,
    "keep_epoch": "last",
}  # fmt: skip


register_network(
    NetworkKind(
        "resnet9",
        "the one-cycle residual net, ResNet-9 (Page 2018), 6,573,120 parameters at 3x32x32 and 10 classes",
        lambda settings, shape, classes: Construction(
            "resnet9", "ResNet9", {"channels": shape[0], "num_classes": classes}
        ),
        lambda settings: "ResNet-9",
        recipe=ONE_CYCLE,
        recipe_when_small={"batch_size": 64},
    )
)
