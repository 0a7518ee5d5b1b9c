"""torchvision's DenseNet-121, ResNet-18 and ResNet-50 with a new last layer, from ImageNet weights or from scratch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from baselines.networks.resnet18 import default_input_size
from baselines.registry import Construction, NetworkKind, Settings, Shape, register_network
from baselines.weights_files import DENSENET121, RESNET18, RESNET50, ImageNetWeights

if TYPE_CHECKING:
    from torch import nn

RECIPE: dict[str, Any] = {"optimizer": "adam", "learning_rate": 1e-3, "epochs": 30, "batch_size": 64}
WHEN_SMALL: dict[str, Any] = {"batch_size": 32}


def _construct(
    weights: ImageNetWeights, frozen: bool, settings: Settings, input_shape: Shape, num_classes: int
) -> Construction:
    arguments = {
        "name": weights.builder,
        "num_classes": num_classes,
        "input_size": int(settings.get("input_size") or max(default_input_size(input_shape), weights.least_side)),
        "frozen": frozen,
        "from_scratch": not settings.get("weights"),
    }
    return Construction("torchvision_nets", "TorchvisionNet", arguments)


def _text(words: str, frozen: bool, settings: Settings) -> str:
    from pathlib import Path

    size = f"images at {settings['input_size']} pixels" if settings.get("input_size") else "images at 224 pixels"
    held = ", all but the last layer frozen" if frozen else ""
    if settings.get("weights"):
        return f"{words}, {Path(settings['weights']).name}{held}, {size}"
    return f"{words} FROM SCRATCH{held and held + ' at random weights'}, {size}"


def _load_weights(weights: ImageNetWeights, module: nn.Module, settings: Settings) -> None:
    if settings.get("weights"):
        from pathlib import Path

        from baselines.imagenet import load_into

        load_into(module, Path(settings["weights"]), settings.get("weights_sha256"), weights)


for _name, _words, _weights, _frozen in (
    ("densenet121", "DenseNet-121", DENSENET121, False),
    ("resnet18-whole", "ResNet-18", RESNET18, False),
    ("resnet50", "ResNet-50", RESNET50, False),
    ("resnet50-features", "ResNet-50", RESNET50, True),
):
    register_network(
        NetworkKind(
            _name,
            f"torchvision's {_words}, {'all but its last layer frozen' if _frozen else 'all of it trained'}; images "
            "resized on the device",
            partial(_construct, _weights, _frozen),
            partial(_text, _words, _frozen),
            recipe=RECIPE,
            recipe_when_small=WHEN_SMALL,
            pretrained=partial(_load_weights, _weights),
            weights=_weights,
        )
    )
