"""The contract tests of everything that a plug-in registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nas.errors import PluginError
from nas.plugins.loading import blamed, load_plugin
from nas.testing.losses import check_loss
from nas.testing.mixings import check_mixing
from nas.testing.networks import check_network
from nas.testing.objectives import check_objective
from nas.testing.oversamplers import check_oversampler
from nas.testing.regularizers import check_regularizer
from nas.testing.samplers import check_sampler
from nas.testing.sources import check_source
from nas.testing.spaces import check_space
from nas.testing.strategies import check_strategy
from nas.testing.supernets import check_supernet
from search_spaces import SearchSpace
from search_spaces.errors import NotRepresentable


def _check_whole_space(space: SearchSpace) -> None:
    check_space(space, seeds=range(2), exact_peak=False)
    with suppress(NotRepresentable):  # such a space has no supernet, and one-shot strategies say so
        check_supernet(space, count=2)


CHECKS: Mapping[str, Callable[[Any], None]] = {  # by the kind of a registry
    "search space": _check_whole_space,
    "loss": lambda definition: check_loss(definition.make),
    "regularizer": lambda definition: check_regularizer(definition.make),
    "mixing": check_mixing,
    "sampler": check_sampler,
    "oversampling": check_oversampler,
    "objective": lambda objective: check_objective(objective.compute),
    "strategy": lambda kind: check_strategy(kind.make),
    "data source": check_source,
    "baseline network": check_network,
}


def check_plugin(source: str | Path, tell: Callable[[str], object] = lambda line: None) -> None:
    """Load a plug-in and run the contract tests over everything that it registers. Some ten seconds for a space.

    A data source is made without an argument.

    Args:
        source: Path of a Python file, or name of an importable module.
        tell: Gets a line about each thing.

    Raises:
        AssertionError: With all that is broken, a line each.
        PluginError: If the file cannot be loaded.
    """
    added = load_plugin(source).added
    if not added:
        raise AssertionError(f"{source} registers nothing: decorate what it defines, as by register_space.")
    broken = []
    for one in added:
        what = f"{one.registry.kind} {one.name!r}"
        check = CHECKS.get(one.registry.kind)
        if check is None:
            tell(f"{what}: is registered; there are no contract tests of its kind")
            continue
        try:
            check(one.entry)
        except Exception as error:
            why = str(error) if isinstance(error, AssertionError | PluginError) and str(error) else _in_words(error)
            broken.append(f"{what}: {why}")
            tell(f"{what}: BROKEN: {why}")
        else:
            tell(f"{what}: keeps its promises")
    assert not broken, "\n".join(broken)


def _in_words(error: Exception) -> str:
    message = " ".join(str(error).split())
    return blamed(error) or (f"{type(error).__name__}: {message}" if message else type(error).__name__)
