"""The time in which this process could run, for limits: suspensions (Ctrl-Z, a laptop's lid) are left out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

TICK = 0.5  # seconds between two looks at the time
LONGEST = 2.0  # that may lie between two looks of a process that runs; one that was stopped finds more gone by


class AwakeClock:
    """Called, tells the seconds since its first call, less suspensions: more than ``longest`` between two looks at the
    time count as one ``tick``.

    Linux's monotonic clock stands still while the machine sleeps, but continues while a process is stopped. A thread
    looks at the time every ``tick`` seconds from the first call on, whatever the others wait for. Where a process gets
    no turn for longer than ``longest``, that counts as a suspension too: limits only grow by it.
    """

    def __init__(
        self, *, tick: float = TICK, longest: float = LONGEST, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tick, self._longest, self._now = tick, longest, now
        self._lock = threading.Lock()
        self._last: float | None = None
        self._seconds = 0.0

    def __call__(self) -> float:
        with self._lock:
            now = self._now()
            if self._last is None:
                threading.Thread(target=self._look, name="awake clock", daemon=True).start()
            else:
                gone = now - self._last
                self._seconds += gone if gone <= self._longest else self._tick
            self._last = now
            return self._seconds

    def _look(self) -> None:
        while True:
            time.sleep(self._tick)
            self()


awake = AwakeClock()
