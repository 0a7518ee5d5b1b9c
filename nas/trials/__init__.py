"""One training across a process: its specification in, its result out, and the worker's function between them.
SQLite, NNI and rich do not belong here."""

from typing import TYPE_CHECKING

from nas.lazy import lazy
from nas.trials.spec import TrialResult, TrialSpec

if TYPE_CHECKING:
    from nas.trials.run_trial import run_trial

__all__ = ["TrialResult", "TrialSpec", "run_trial"]

__getattr__ = lazy(__name__, {"nas.trials.run_trial": ["run_trial"]})
