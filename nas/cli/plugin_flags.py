"""Loading of the plug-ins of ``--plugin`` and ``--trust-plugin``, and messages about those that a run lacks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.cli.streams import complain
from nas.plugins.installed import load_installed
from nas.plugins.loading import load_plugins
from nas.plugins.recorded import obey

if TYPE_CHECKING:
    from nas.runs import Run


def use_plugins(given: Sequence[str] | None, *, trusting: bool = False) -> None:
    """Load what a command was given, after what is installed. PluginError with every error; a broken installed plug-in
    is told on standard error, and left out.

    ``trusting``: files that runs name may be executed as well.
    """
    obey()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_installed()
    for warning in caught:
        complain(f"nasctl: {warning.message}")
    obey([one.plugin for one in load_plugins(given)], trusting=trusting)


def tell_plugin_errors(run: Run) -> None:
    """On standard error, why architectures are shown by their labels alone."""
    complain(*(f"nasctl: {error}" for error in run.plugin_errors))
