"""Measuring how trials run fastest on this machine, once, and remembering it. Plans and runs do not belong here."""

from typing import TYPE_CHECKING

from nas.autotune.placement import Measurement, Placement, Workload, execution_of
from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.autotune.fastest import fastest_placement

__all__ = ["Measurement", "Placement", "Workload", "execution_of", "fastest_placement"]

__getattr__ = lazy(__name__, {"nas.autotune.fastest": ["fastest_placement"]})
