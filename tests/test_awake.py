"""The clock of limits, which leaves suspensions out."""

from __future__ import annotations

import time
from itertools import chain, repeat

from nas.awake import AwakeClock


def test_what_a_process_was_stopped_for_is_left_out() -> None:
    moments = chain([1000.0, 1050.0, 1240.0, 9000.0], repeat(9010.0))
    clock = AwakeClock(tick=60.0, longest=200.0, now=lambda: next(moments))  # its thread looks after a minute
    assert [clock() for _ in range(5)] == [0, 50, 240, 300, 310]


def test_it_continues_while_nobody_asks() -> None:
    clock = AwakeClock(tick=0.01, longest=0.1)
    clock()
    time.sleep(0.3)
    assert clock() > 0.2  # in looks of its own, each shorter than that
