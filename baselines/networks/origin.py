"""The eight small networks of the origin study, exactly, and how it trained them: 21,422 to 647,934 parameters at
1x28x28 and 62 classes. A search under the size of each has to beat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.registry import Construction, NetworkKind, Settings, Shape, register_network

# The study's, for 593,242 images of 28 pixels: no augmentation, a constant learning rate, early stopping. It normalized
# with 0.5 and 0.5; here it is with the mean and the deviation of the training split.
RECIPE: Mapping[str, Any] = {
    "optimizer": "adam", "learning_rate": 1e-3, "schedule": "constant", "epochs": 10, "patience": 3,
    "batch_size": 1024, "crop_padding": 0, "flip": False,
}  # fmt: skip
WHEN_SMALL: Mapping[str, Any] = {"epochs": 30, "batch_size": 32}


@dataclass(frozen=True)
class OriginNet:
    """One of the eight. ``arguments`` are those of the class in ``baselines.modules.origin``, without the task's."""

    space: str  # of the family that it comes from
    params: int  # at 1x28x28 and 62 classes
    text: str
    made_by: str
    arguments: Mapping[str, Any]
    recipe: Mapping[str, Any] | None = None  # what the study did otherwise for it

    def describe(self, settings: Settings) -> str:
        """The network in words."""
        return self.text

    def construct(self, settings: Settings, input_shape: Shape, num_classes: int) -> Construction:
        """Construction for a task; it has no settings."""
        return Construction(
            "origin", self.made_by, {"input_shape": input_shape, "num_classes": num_classes, **self.arguments}
        )


ORIGIN_NETS: Mapping[str, OriginNet] = {
    "model1": OriginNet(
        "vgg", 52_822, "VGG without normalization, 2x8 | 2x16, flattened", "Plain", {"widths": (8, 16)},
        {"batch_size": 16_384},
    ),
    "model1_heavy": OriginNet(
        "vgg", 647_934, "VGG without normalization, 2x64 | 2x128, flattened", "Plain", {"widths": (64, 128)}
    ),
    "model2": OriginNet(
        "resnet", 21_422, "ResNet of one block of 16 and one of 32", "Residual", {"width": 16, "blocks": 1}
    ),
    "model2_2": OriginNet(
        "resnet", 173_214, "ResNet of two blocks of 32 and two of 64", "Residual", {"width": 32, "blocks": 2}
    ),
    "model3": OriginNet(
        "densenet", 70_838, "DenseNet of 4 | 4 layers, growth 12", "Dense", {"growth": 12, "layers": 4}
    ),
    "model3_2": OriginNet(
        "densenet", 462_638, "DenseNet of 6 | 6 layers, growth 24", "Dense", {"growth": 24, "layers": 6}
    ),
    "model3_blsmote": OriginNet(
        "densenet", 119_318, "DenseNet of 6 | 6 layers, growth 12", "Dense", {"growth": 12, "layers": 6},
        {"batch_size": 512},
    ),
    "model4": OriginNet(
        "mobilenet", 149_566, "MobileNet of separable 64 | 128 128 | 256 256, stem 32", "Separable",
        {"stem": 32, "stages": ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))},
    ),
}  # fmt: skip

for _name, _net in ORIGIN_NETS.items():
    register_network(
        NetworkKind(
            _name,
            f"The origin study's {_net.text}; {_net.params:,} parameters at 1x28x28 and 62 classes",
            _net.construct,
            _net.describe,
            recipe={**RECIPE, **(_net.recipe or {})},
            recipe_when_small=WHEN_SMALL,
        )
    )
