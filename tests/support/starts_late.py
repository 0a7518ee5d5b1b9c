"""A module of trials whose import takes longer than the trials' time limit in the tests."""

from __future__ import annotations

import time

from trial_functions import nothing

time.sleep(1.0)

__all__ = ["nothing"]
