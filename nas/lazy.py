"""Public names of a package that are imported when they are first used (PEP 562): torch takes seconds."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy(package: str, places: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of ``package``. ``places`` maps a module's full name to the names that it defines;
    a module of the package itself may stand under its own name."""
    module_of = {name: module for module, names in places.items() for name in names}

    def find(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(module_of[name])
        return module if module.__name__ == f"{package}.{name}" else getattr(module, name)

    return find
