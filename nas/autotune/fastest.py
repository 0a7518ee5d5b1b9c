"""The decision how trials run on this machine: from memory if it was measured before, else measured now."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from nas.autotune import cpu, gpu
from nas.autotune.cache import Cache
from nas.autotune.placement import Measurement, Placement, Workload

VERSION = 1  # of what is measured and how; another makes what was remembered unknown


class Kind(Protocol):
    """Device-specific functions, which the modules ``cpu`` and ``gpu`` each have."""

    def identity(self, workload: Workload) -> dict[str, object]:
        """Everything that its measurements depend on, of what JSON can hold."""

    def measure(self, workload: Workload) -> list[Measurement]:
        """The ways to train that ``workload`` leaves open; fewer if time ends or workers fail."""

    def is_complete(self, workload: Workload, measurements: Sequence[Measurement]) -> bool:
        """True if they are worth remembering."""

    def place(self, workload: Workload, measurements: Sequence[Measurement]) -> Placement | None:
        """The choice; None if there are too few for one."""


def fastest_placement(workload: Workload, folder: Path) -> Placement | None:
    """Placement by which trials like ``workload.spec`` train the most images a second; None if nothing could be
    measured.

    ``folder``: where measurements are remembered. Takes seconds if this one is not.
    """
    kind: Kind = gpu if workload.devices[0].startswith("cuda") else cpu
    facts, cache = {"version": VERSION, **kind.identity(workload)}, Cache(folder)
    measurements = remembered(cache, facts)
    if measurements is None:
        measurements = kind.measure(workload)
        if kind.is_complete(workload, measurements):
            cache.add(facts, [asdict(measurement) for measurement in measurements])
    return kind.place(workload, measurements)


_REMEMBERED = TypeAdapter(list[Measurement])


def remembered(cache: Cache, facts: dict[str, object]) -> list[Measurement] | None:
    """Measurements made before under the same ``facts``; None if there are none, or they make no sense."""
    measurements = cache.find_as(_REMEMBERED, facts) or []
    numbers = [n for one in measurements for n in (one.workers, one.threads, one.images_per_second)]
    return measurements if measurements and all(0 < number < math.inf for number in numbers) else None
