"""Plug-ins of installed packages: the entry points of the group ``nasctl.plugins``, each a module to import."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points

from nas.errors import PluginError
from nas.plugins.loading import LOADING, load_module

GROUP = "nasctl.plugins"
_looked = False


def load_installed() -> None:
    """Import what installed packages offer, once in a process, before names are looked up or a run is opened.

    One that cannot be imported becomes a warning and stops nothing: what it would have registered is missing.
    """
    with LOADING:
        _load_installed()


def _load_installed() -> None:
    global _looked
    if _looked:
        return
    _looked = True  # first: a plug-in may ask for names itself
    for point in entry_points(group=GROUP):
        try:
            load_module(point.module, installed=True)
        except PluginError as error:
            package = f" of the package {point.dist.name} {point.dist.version}" if point.dist else ""
            warnings.warn(f"The installed plug-in {point.name!r}{package} is left out. {error}", stacklevel=2)


def forget() -> None:
    """Look again next time."""
    global _looked
    _looked = False
