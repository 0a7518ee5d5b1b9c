"""Fixed networks by name: how each is made, and how it is trained."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from baselines.weights_files import ImageNetWeights
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Module = TypeVar("Module", bound="nn.Module")
Settings = Mapping[str, Any]  # of a network, JSON-safe
Shape = tuple[int, int, int]  # channels, height, width

SMALL = 20_000  # training images


@dataclass(frozen=True)
class Construction:
    """Construction of a network: a class in a file of ``baselines.modules``, called with ``arguments`` (literals). Of a
    plug-in's file, ``file`` is the name of its module."""

    file: str
    made_by: str
    arguments: Mapping[str, Any]

    @property
    def module(self) -> ModuleType:
        """The file, imported, and torch with it."""
        return sys.modules.get(self.file) or importlib.import_module(f"baselines.modules.{self.file}")

    def build(self) -> nn.Module:
        """The network with random weights."""
        make: Callable[..., nn.Module] = getattr(self.module, self.made_by)
        return make(**self.arguments)


@dataclass(frozen=True)
class NetworkKind:
    """A fixed network. ``construct(settings, input_shape, num_classes)`` says how it is made.

    ``recipe`` holds what it is trained with unless a study says otherwise, by the names of the recipe's fields;
    ``recipe_when_small`` goes over it where fewer than ``SMALL`` images are trained on.
    ``pretrained`` puts the weights that ``settings`` names into a network that was built; None: there are none.
    ``weights`` says what file that is; such a network has the setting ``weights``, and ``input_size`` if it is resized.
    """

    name: str
    summary: str
    construct: Callable[[Settings, Shape, int], Construction]
    text: Callable[[Settings], str]  # a network with these settings, in words
    recipe: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    recipe_when_small: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    pretrained: Callable[[nn.Module, Settings], None] | None = None
    weights: ImageNetWeights | None = None


@dataclass(frozen=True)
class FixedNetwork:
    """One fixed network with its settings: what crosses to the process that trains it."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    def construction(self, input_shape: Shape, num_classes: int) -> Construction:
        """Construction for a task."""
        return get_network(self.name).construct(self.settings, input_shape, num_classes)


NETWORKS: Registry[NetworkKind] = Registry("baseline network", "Networks", families="baselines.networks")


@overload
def register_network(kind: NetworkKind, /) -> NetworkKind: ...


@overload
def register_network(
    name: str, /, *, summary: str, recipe: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[type[Module]], type[Module]]: ...


def register_network(
    kind: NetworkKind | str, /, *, summary: str = "", recipe: Mapping[str, Any] = MappingProxyType({})
) -> NetworkKind | Callable[[type[Module]], type[Module]]:
    """Register a fixed network under its name; or, with a name, decorate a torch module's class to register it.

    Such a class is made with ``channels`` (of an image) and ``num_classes``.

    Args:
        kind: The network, or the name of the class that is decorated.
        summary: One line of text for lists.
        recipe: Fields of the recipe that it is trained with unless a study says otherwise.

    Returns:
        The network, or the decorator.

    Raises:
        ValueError: If the name is taken.
    """
    if isinstance(kind, NetworkKind):
        NETWORKS.add(kind.name, kind)
        return kind
    name = kind

    def register(module: type[Module]) -> type[Module]:
        def construct(settings: Settings, shape: Shape, classes: int) -> Construction:
            arguments = {"channels": shape[0], "num_classes": classes}
            return Construction(module.__module__, module.__name__, arguments)

        NETWORKS.add(name, NetworkKind(name, summary, construct, lambda settings: name, recipe=recipe))
        return module

    return register


def network_names() -> list[str]:
    """Return the names of all registered networks, sorted."""
    return list(NETWORKS)


def get_network(name: str) -> NetworkKind:
    """Return the network called ``name``.

    Raises:
        UsageError: Names the nearest network.
    """
    return NETWORKS.find(name)


def build_network(network: FixedNetwork, input_shape: Shape, num_classes: int) -> nn.Module:
    """Build a fixed network as a torch module, with its pretrained weights if it has any.

    Args:
        network: Name and settings of the network.
        input_shape: (channels, height, width) of an image.
        num_classes: Number of classes.

    Returns:
        A module: float (N, C, H, W) in, logits (N, num_classes) out.

    Raises:
        UsageError: If a file of weights does not fit.
    """
    module = network.construction(input_shape, num_classes).build()
    kind = get_network(network.name)
    if kind.pretrained is not None:
        kind.pretrained(module, network.settings)
    return module
