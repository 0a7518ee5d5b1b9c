"""The photo grid: five networks, each with every learning rate, weight decay and decay of it, filled up or not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from baselines.networks.photo_grid import PHOTO_GRID
from baselines.studies.base import Member, Study

RATES, WEIGHT_DECAYS = ("1e-2", "1e-3", "1e-4", "1e-5"), ("1e-2", "1e-3", "1e-4", "1e-5")
GAMMAS = (0.95, 0.96, 0.97, 0.98, 0.99)
# Minority classes filled up by copies, each changed by a random subset of one to six of rotation to 40 degrees, shift
# to 20 %, both mirrors, jitter of 50 % and blur; an epoch sees all of it.
FILLED = {"oversampling": "augment:hue=0.5,mirrors=true", "oversampled_share": 1.0}
# Networks: name, in words, learning rates, pretrained or not; test accuracy of the best cell in per cent.
NETWORKS = (
    ("vgg19", "VGG-19", RATES[1:], (True, False), 87.62),
    ("vgg19-gelu", "VGG-19, GELU head", RATES[1:], (True, False), 86.67),
    ("vgg19-frozen", "VGG-19 frozen to conv3", RATES[1:], (True, False), 88.57),
    ("small-cnn", "plain CNN", RATES, (False,), 76.19),
    ("resnet18-photo", "ResNet-18", RATES, (False,), 67.62),
)
BEST = {name: accuracy for name, _, _, _, accuracy in NETWORKS}


def _cells() -> Iterator[Member]:
    for network, words, rates, begins, _ in NETWORKS:
        for pretrained, rate, weight_decay, gamma, filled in itertools.product(
            begins, rates, WEIGHT_DECAYS, GAMMAS, (True, False)
        ):
            yield Member(
                f"{network}-{'pretrained' if pretrained else 'scratch'}-lr{rate}-wd{weight_decay}"
                f"-g{100 * gamma:.0f}-{'filled' if filled else 'plain'}",
                f"{words}, {'pretrained' if pretrained else 'from scratch'}, rate {rate}, weight decay {weight_decay}, "
                f"gamma {gamma:g}{', filled up' if filled else ''}",
                {
                    "learning_rate": float(rate), "weight_decay": float(weight_decay), "decay": gamma,
                    **(FILLED if filled else {"oversampling": "none"}),
                },
                network=network, pretrained=pretrained,
            )  # fmt: skip


PHOTO = (
    Study(
        "photo-grid",
        "A grid of 1,040 trainings on photos of classes of uneven size: three forms of VGG-19, a ResNet-18 and a plain "
        "CNN, pretrained or not, by learning rate, weight decay, decay of the rate, and minority classes filled up by "
        "augmentation or not; the best published test accuracies on axe, book and hammer are 88.57 % (VGG-19 frozen to "
        "conv3), 87.62 (VGG-19), 86.67 (GELU head), 76.19 (plain CNN) and 67.62 (ResNet-18)"
        ,
        tuple(_cells()), network="vgg19", seeds=1, is_grid=True, test_per_class=30,
        recipe={name: PHOTO_GRID[name] for name in PHOTO_GRID if name != "learning_rate"} | {"loss": "ce"},
    ),
)  # fmt: skip
