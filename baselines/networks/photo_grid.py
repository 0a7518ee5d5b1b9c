"""The networks of the photo grid: VGG-19 with other heads, and a ResNet-18 of which all learns.

The system whose study that is gives no widths of its heads; these are ours: 512, and 256 behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from baselines.registry import Construction, NetworkKind, Settings, Shape, register_network
from baselines.weights_files import VGG19

if TYPE_CHECKING:
    from torch import nn

# An example run of that system: 30 epochs, batches of 32; early stopping after 20.
PHOTO_GRID: dict[str, Any] = {
    "optimizer": "adam", "learning_rate": 1e-4, "schedule": "exponential", "epochs": 30, "patience": 20,
    "batch_size": 32, "crop_padding": 0, "flip": False,
}  # fmt: skip
THREE_STAGES = "VGG-19 frozen up to conv3, new convolutions and head"
HEADS = {  # made by, arguments, in words
    "vgg19": ("VGG19", {"head": "relu"}, "VGG-19 with a new head of batch normalization, ReLU and dropout"),
    "vgg19-gelu": ("VGG19", {"head": "gelu"}, "VGG-19 with a new head of one linear layer more, and GELU"),
    "vgg19-frozen": ("VGG19ThreeStages", {}, THREE_STAGES),
}


def _load_weights(module: nn.Module, settings: Settings) -> None:
    if settings.get("weights"):
        from pathlib import Path

        from baselines.imagenet import load_into

        load_into(module, Path(settings["weights"]), settings.get("weights_sha256"), VGG19)


def _register_vgg19(name: str) -> None:
    made_by, arguments, words = HEADS[name]

    def construct(settings: Settings, shape: Shape, classes: int) -> Construction:
        return Construction("vgg19", made_by, {"num_classes": classes, **arguments})

    def text(settings: Settings) -> str:
        return f"{words}, {'pretrained on ImageNet' if settings.get('weights') else 'from scratch'}"

    recipe = PHOTO_GRID | ({"freeze": "features"} if name == "vgg19-frozen" else {})
    register_network(NetworkKind(name, words, construct, text, recipe=recipe, pretrained=_load_weights, weights=VGG19))


for _name in HEADS:
    _register_vgg19(_name)

register_network(
    NetworkKind(
        "resnet18-photo",
        "torchvision's ResNet-18 from random weights, all of it trained; images as they are",
        lambda settings, shape, classes: Construction("resnet18_photo", "ResNet18", {"num_classes": classes}),
        lambda settings: "ResNet-18, all of it trained from scratch",
        recipe=PHOTO_GRID,
    )
)
