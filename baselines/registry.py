"""Fixed networks by name. A network registers itself with one decorator over the function that builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from search_spaces.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Settings = Mapping[str, Any]  # of a network, JSON-safe
Shape = tuple[int, int, int]  # channels, height, width
Build = Callable[[Settings, Shape, int], "nn.Module"]

SMALL = 20_000  # training images


@dataclass(frozen=True)
class NetworkKind:
    """A fixed network. ``build(settings, input_shape, num_classes)`` gives it with random weights.

    ``recipe`` holds what it is trained with unless a study says otherwise, by the names of the recipe's fields;
    ``recipe_when_small`` goes over it where fewer than ``SMALL`` images are trained on.
    ``pretrained`` puts the weights that ``settings`` names into a network that was built; None: there are none.
    """

    name: str
    summary: str
    build: Build
    text: Callable[[Settings], str]  # a network with these settings, in words
    recipe: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    recipe_when_small: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    pretrained: Callable[[nn.Module, Settings], None] | None = None


@dataclass(frozen=True)
class FixedNetwork:
    """One fixed network with its settings: what crosses to the process that trains it."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)


NETWORKS: Registry[NetworkKind] = Registry("baseline network", "Networks", families="baselines.networks")


def register_network(
    name: str,
    *,
    summary: str,
    text: Callable[[Settings], str],
    recipe: Settings,
    recipe_when_small: Settings = MappingProxyType({}),
    pretrained: Callable[[nn.Module, Settings], None] | None = None,
) -> Callable[[Build], Build]:
    """Make a function that builds a network known under ``name``; a second network of that name is a ValueError."""

    def add(build: Build) -> Build:
        usual = MappingProxyType(dict(recipe))
        NETWORKS.add(name, NetworkKind(name, summary, build, text, usual, recipe_when_small, pretrained))
        return build

    return add


def network_names() -> list[str]:
    """Every registered network, sorted."""
    return list(NETWORKS)


def get_network(name: str) -> NetworkKind:
    """The network called ``name``; UsageError names the nearest one."""
    return NETWORKS.find(name)


def build_network(network: FixedNetwork, input_shape: Shape, num_classes: int) -> nn.Module:
    """The module: float (N, C, H, W) in, logits (N, num_classes) out, with its pretrained weights if it has any.

    UsageError if a file of weights does not fit.
    """
    kind = get_network(network.name)
    module = kind.build(network.settings, input_shape, num_classes)
    if kind.pretrained is not None:
        kind.pretrained(module, network.settings)
    return module
