"""Samplers of an epoch's images: their order, and the division into batches.

A new sampler is one decorated function here, and its name in ``nas.config.recipe_rules``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nas.config import Recipe
from nas.config.auto_recipe import images_seen
from nas.config.options import base_name, bound, declare
from nas.config.recipe import default_batch_size
from nas.training.tensor_split import JoinedSplit, TensorSplit
from search_spaces.registry import Registry

# The number of images wanted and a generator to their positions, on the generator's device.
Sampler = Callable[[int, torch.Generator], Tensor]
Images = TensorSplit | JoinedSplit
MakeSampler = Callable[..., Sampler]  # of images, and options by name

SAMPLERS: Registry[MakeSampler] = Registry("sampler", "Samplers")


def register_sampler(name: str) -> Callable[[MakeSampler], MakeSampler]:
    """Register a sampler: a function of an epoch's images that returns a function of a count and a generator.

    That function gives positions (count,), int64. Parameters after the images are options:
    ``--sampler root:power=0.5``.

    Args:
        name: Name for ``--sampler``.

    Returns:
        A decorator that gives the function back.

    Raises:
        ValueError: If the name is taken.
    """

    def register(make: MakeSampler) -> MakeSampler:
        SAMPLERS.add(name, make)
        declare("sampler", name, make, 1)
        return make

    return register


def make_sampler(images: Images, recipe: Recipe) -> Sampler:
    """The recipe's way to sample an epoch's images. UsageError if there is none of its name."""
    return bound("sampler", recipe.sampler, SAMPLERS.find(base_name(recipe.sampler)), 1)(images)


@register_sampler("uniform")
def uniform_sampler(images: Images) -> Sampler:
    """Each image at most once, in random order."""
    num_images = len(images)

    def sample(count: int, generator: torch.Generator) -> Tensor:
        return torch.randperm(num_images, generator=generator, device=generator.device)[:count]

    return sample


@register_sampler("class-balanced")
def class_balanced_sampler(images: Images) -> Sampler:
    """Each class that has images equally likely, then each of its images, with replacement (Kang et al. 2020, q = 0).

    An epoch has as many samples as before: images of large classes are left out, those of small ones come again.
    """
    labels_N = images.labels
    by_class_N = labels_N.argsort(stable=True)
    counts_C = torch.bincount(labels_N)
    starts_C = counts_C.cumsum(0) - counts_C
    (present_K,) = counts_C.nonzero(as_tuple=True)

    def sample(count: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        class_n = present_K[torch.randint(len(present_K), (count,), generator=generator, device=device)]
        share_n = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        place_n = (share_n * counts_C[class_n]).long().clamp(max=counts_C[class_n] - 1)
        return by_class_N[starts_C[class_n] + place_n]

    return sample


IMAGES_OF_A_GROUP = 4  # as in the batches of Hermans et al. 2017, of 18 persons with 4 images each


@register_sampler("class-groups")
def class_groups_sampler(images: Images) -> Sampler:
    """Four images of a class one after the other, so that a batch has pairs however many classes there are (the PK
    batches of Hermans et al. 2017). Classes come as often as they are.

    Every image comes once, in new groups in every epoch; the last group of a class has those that are left. A batch is
    whole groups where its size and the numbers of images of all classes are multiples of four.
    """
    size = IMAGES_OF_A_GROUP
    labels_N = images.labels
    counts_C = torch.bincount(labels_N)
    groups_C = (counts_C + size - 1) // size
    starts_C = counts_C.cumsum(0) - counts_C
    class_G = torch.repeat_interleave(torch.arange(len(counts_C), device=labels_N.device), groups_C)
    first_G = size * (torch.arange(len(class_G), device=labels_N.device) - (groups_C.cumsum(0) - groups_C)[class_G])
    within_GK = first_G.unsqueeze(1) + torch.arange(size, device=labels_N.device)
    is_one_GK = within_GK < counts_C[class_G].unsqueeze(1)
    place_GK = (starts_C[class_G].unsqueeze(1) + within_GK).clamp(max=len(labels_N) - 1)

    def sample(count: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        share_N = torch.rand(len(labels_N), generator=generator, device=device, dtype=torch.float64)
        by_class_N = (labels_N + share_N).argsort()  # in random order within each class
        order_G = torch.randperm(len(place_GK), generator=generator, device=device)
        return by_class_N[place_GK[order_G][is_one_GK[order_G]]][:count]

    return sample


def epoch_plan(train_split: TensorSplit, synthetic: TensorSplit | None, recipe: Recipe) -> tuple[Images, list[int]]:
    """The images that an epoch samples from, and the sizes of its batches."""
    images: Images = train_split
    if synthetic is not None and len(synthetic):
        images = JoinedSplit(train_split, synthetic)
    num_seen = images_seen(len(images), recipe, oversampled=images is not train_split)
    return images, batch_sizes(num_seen, recipe.batch_size or default_batch_size(num_seen))


def batch_sizes(num_images: int, batch_size: int) -> list[int]:
    """Sizes of an epoch's batches. A last batch of one image is left out: batch normalization cannot train on it."""
    whole, rest = divmod(num_images, batch_size)
    return [batch_size] * whole + ([rest] if rest > 1 else [])
