"""Things that are registered for one test, as a plug-in would, and taken back after it."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.config import options
from nas.config.objectives import OBJECTIVES
from nas.data.oversampling import OVERSAMPLERS
from nas.runs.listeners import LISTENERS
from nas.strategies.registry import STRATEGIES
from nas.training.losses import LOSSES
from nas.training.mixing import MIXINGS
from nas.training.regularizers import REGULARIZERS
from nas.training.sampling import SAMPLERS
from search_spaces import registry

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
REGISTRIES = (OBJECTIVES, LISTENERS, LOSSES, REGULARIZERS, MIXINGS, SAMPLERS, OVERSAMPLERS, STRATEGIES)


@contextmanager
def registering(*examples: str) -> Iterator[None]:
    """Whatever is registered in the block, and by these files of ``docs/examples``, is gone after it."""
    tables = [options._DECLARED, *(each._entries for each in REGISTRIES)]
    before = [dict(table) for table in tables]  # type: ignore[call-overload]
    known = list(registry._ADDED)
    try:
        for example in examples:
            runpy.run_path(str(EXAMPLES / example))
        yield
    finally:
        registry._ADDED[:] = known
        for table, entries in zip(tables, before, strict=True):
            table.clear()
            table.update(entries)
