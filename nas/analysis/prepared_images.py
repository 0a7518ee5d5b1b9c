"""Training images as an epoch gives them to the network: cropped, mirrored, with holes, mixed, as the recipe has it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from nas.analysis.answers import Network
from nas.config import Recipe
from nas.data.dataset import Split
from nas.training.augmentation import augment
from nas.training.class_counts import ClassCounts
from nas.training.mixing import mix

Pixels = npt.NDArray[np.uint8]  # (C, H, W)


def prepared_images(network: Network, train: Split, recipe: Recipe, most: int) -> list[tuple[int, int, Pixels, Pixels]]:
    """At most ``most`` images of the training split, their classes in turn: place in the split, class, the image as it
    is, and one view of it, normalization undone. Always the same ones."""
    order = np.random.default_rng(0).permutation(len(train.labels))
    turn = np.zeros(len(order), np.int64)  # how many of its class come before each
    seen = np.zeros(network.num_classes, np.int64)
    for at in order.tolist():
        turn[at] = seen[train.labels[at]]
        seen[train.labels[at]] += 1
    chosen = order[np.argsort(turn[order], kind="stable")][:most]
    chosen = chosen[np.argsort(train.labels[chosen], kind="stable")]
    pixels, labels = np.asarray(train.stored[train.rows[chosen]]), train.labels[chosen]
    generator = torch.Generator().manual_seed(0)
    mean, std = torch.tensor(network.mean), torch.tensor(network.std)
    views = augment(torch.from_numpy(pixels), recipe, generator, (mean, std))
    every = torch.from_numpy(train.labels)
    counts = ClassCounts.of(every, every, network.num_classes, balanced=recipe.sampler == "class-balanced")
    given, _ = mix(views, torch.from_numpy(labels), recipe, counts, generator)
    back = ((given * std.view(-1, 1, 1) + mean.view(-1, 1, 1)) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return [(int(at), int(labels[n]), pixels[n], back[n]) for n, at in enumerate(chosen)]
