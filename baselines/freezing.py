"""Parts of a network that do not learn, by the names of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from torch import nn

from search_spaces.errors import UsageError


def freeze(network: nn.Module, patterns: str) -> list[nn.Module]:
    """Freeze what ``patterns`` name: its weights get no gradients. The caller keeps it in evaluation mode, so that it
    is a fixed function, running statistics included.

    Args:
        network: Module, frozen in place.
        patterns: Names of modules with commas between them, as ``named_modules`` has them, each with its parts;
            ``*``, ``?`` and ``[12]`` stand for what they do in file names. Empty: nothing is frozen.

    Returns:
        The modules named.

    Raises:
        UsageError: If a pattern names nothing, or nothing is left that learns.
    """
    frozen: list[nn.Module] = []
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        named = [part for name, part in network.named_modules() if name and fnmatchcase(name, pattern)]
        if not named:
            raise UsageError(
                f"--freeze {pattern}: this network has no module of that name. It has {', '.join(_upper(network))}."
            )
        frozen += named
    for part in frozen:
        part.requires_grad_(False)
    if frozen and not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"--freeze {patterns} leaves nothing that learns: leave out some of it.")
    return frozen


def _upper(network: nn.Module, most: int = 12) -> Iterator[str]:
    """Names of the upper modules, those of a single one in it after its own."""
    names = [name for name, _ in network.named_children()]
    if len(names) == 1:
        names += [f"{names[0]}.{name}" for name, _ in getattr(network, names[0]).named_children()]
    yield from names[:most]
    if len(names) > most:
        yield f"and {len(names) - most} more"
