"""Fixed networks by name. A network registers itself with one decorator over the function that builds it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from search_spaces.errors import find_named

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


_NETWORKS: dict[str, NetworkKind] = {}


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
        if name in _NETWORKS:
            raise ValueError(f"a network {name!r} is registered already")
        _NETWORKS[name] = NetworkKind(
            name, summary, build, text, MappingProxyType(dict(recipe)), recipe_when_small, pretrained
        )
        return build

    return add


def network_names() -> list[str]:
    """Every registered network, sorted."""
    _load_networks()
    return sorted(_NETWORKS)


def get_network(name: str) -> NetworkKind:
    """The network called ``name``; UsageError names the nearest one."""
    _load_networks()
    return find_named(dict(sorted(_NETWORKS.items())), name, "baseline network", "Networks")


def build_network(network: FixedNetwork, input_shape: Shape, num_classes: int) -> nn.Module:
    """The module: float (N, C, H, W) in, logits (N, num_classes) out, with its pretrained weights if it has any.

    UsageError if a file of weights does not fit.
    """
    kind = get_network(network.name)
    module = kind.build(network.settings, input_shape, num_classes)
    if kind.pretrained is not None:
        kind.pretrained(module, network.settings)
    return module


def _load_networks() -> None:
    """Import every module in ``baselines.networks``; each registers itself."""
    from baselines import networks

    for module in pkgutil.iter_modules(networks.__path__):
        importlib.import_module(f"baselines.networks.{module.name}")
