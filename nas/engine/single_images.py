"""Checks of a member's recipe against its network: steps of one image, modules that do not learn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from baselines import FixedNetwork
from nas.config.run import MemberConfig
from nas.errors import attempt
from search_spaces import Task, get_space

if TYPE_CHECKING:
    from torch import nn

GIVE_MORE = "Give --batch-size 2 or more"


def single_image_errors(member: MemberConfig, task: Task, cure: str = GIVE_MORE) -> list[str]:
    """The error of a network with batch normalization that is to be trained on one image at a time."""
    if member.recipe.batch_size != 1 or not _normalizes(member, task):
        return []
    name = member.network or f"of the space {member.space}"
    other = ", or choose a network without it, such as --network small-cnn" if member.network else ""
    return [
        f"Steps of one image (--batch-size 1) cannot train the network {name}: its batch normalization takes mean and "
        f"deviation over the images of a step. {cure}{other}."
    ]


def frozen_errors(members: Sequence[MemberConfig], task: Task) -> list[str]:
    """Errors of networks that lack the modules which are to be frozen, or have no other; each network is built once."""
    from baselines.freezing import freeze

    errors: list[str] = []
    different = {
        repr((member.network, member.space, member.sample, member.recipe.freeze)): member
        for member in members
        if member.recipe.freeze and member.chosen != "found"
    }
    for member in different.values():
        attempt(partial(freeze, _module(member, task), member.recipe.freeze), errors)
    return errors


def _normalizes(member: MemberConfig, task: Task) -> bool:
    """True if its network has a layer of batch normalization."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return any(isinstance(layer, _BatchNorm) for layer in _module(member, task).modules())


def _module(member: MemberConfig, task: Task) -> nn.Module:
    """Its network, built without memory for weights."""
    import torch

    with torch.device("meta"):
        if member.network:
            network = FixedNetwork(member.network, member.settings)
            return network.construction(task.input_shape, task.num_classes).build()
        assert member.space
        return get_space(member.space).build(member.sample, task.input_shape, task.num_classes)
