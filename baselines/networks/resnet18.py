"""torchvision's ResNet-18 as the origin study used it: stages 1 to 3 frozen, a new classifier, ImageNet weights.

Trainable are conv1, bn1, layer4 and fc: 8,435,070 parameters at 62 classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.registry import Construction, NetworkKind, Settings, Shape, register_network
from baselines.weights_files import RESNET18

if TYPE_CHECKING:
    from torch import nn

FULL_SIDE = 224


def default_input_size(input_shape: Shape) -> int:
    """The side in pixels that images are resized to: 224, the network's own, for images of 28 pixels and more;
    four times their side for smaller ones, which 224 would blur eightfold and more at 49 times the cost."""
    side = min(input_shape[1:])
    return FULL_SIDE if side >= 28 else 4 * side


def _text(settings: Settings) -> str:
    size = f"images at {settings['input_size']} pixels" if settings.get("input_size") else "images at 224 pixels"
    if settings.get("weights"):
        from pathlib import Path

        return f"ResNet-18, {Path(settings['weights']).name}, layer1 to layer3 frozen, {size}"
    return f"ResNet-18 FROM SCRATCH: layer1 to layer3 frozen at random weights, {size}"


def _load_weights(module: nn.Module, settings: Settings) -> None:
    if settings.get("weights"):
        from pathlib import Path

        from baselines.imagenet import load_into

        load_into(module, Path(settings["weights"]), settings.get("weights_sha256"), RESNET18)


def _construct(settings: Settings, input_shape: Shape, num_classes: int) -> Construction:
    """``settings``: input_size (pixels a side) and weights (a file; none: random weights)."""
    size = int(settings.get("input_size") or default_input_size(input_shape))
    arguments = {"num_classes": num_classes, "input_size": size, "from_scratch": not settings.get("weights")}
    return Construction("resnet18", "FrozenResNet18", arguments)


register_network(
    NetworkKind(
        "resnet18",
        "torchvision's ResNet-18, layer1 to layer3 frozen, fc replaced; images resized on the device",
        _construct,
        _text,
        recipe={  # the study's, for 593,242 images: Adam 1e-3, constant, early stopping, no augmentation
            "optimizer": "adam", "learning_rate": 1e-3, "schedule": "constant", "epochs": 5, "patience": 5,
            "batch_size": 512, "crop_padding": 0, "flip": False,
        },
        recipe_when_small={"epochs": 15, "batch_size": 32},
        pretrained=_load_weights,
        weights=RESNET18,
    )
)  # fmt: skip
