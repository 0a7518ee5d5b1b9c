"""Check of steps of one image, which batch normalization cannot learn from."""

from __future__ import annotations

from baselines import FixedNetwork
from nas.config.run import MemberConfig
from search_spaces import Task, get_space

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


def _normalizes(member: MemberConfig, task: Task) -> bool:
    """True if its network, built without memory for weights, has a layer of batch normalization."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    with torch.device("meta"):
        if member.network:
            network = FixedNetwork(member.network, member.settings)
            module = network.construction(task.input_shape, task.num_classes).build()
        else:
            assert member.space
            module = get_space(member.space).build(member.sample, task.input_shape, task.num_classes)
    return any(isinstance(layer, _BatchNorm) for layer in module.modules())
