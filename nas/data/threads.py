"""Work over many images at once, in threads: Pillow and file reading let go of the interpreter's lock."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_CHUNK = 128  # images a task: enough to make handing it over cheap, few enough for a smooth progress bar


def map_chunks(work: Callable[[range], T], count: int, report: Callable[[int], None]) -> list[T]:
    """``work`` over ranges that cover 0 to ``count``, results in order.

    ``report(done)`` is called in the calling thread. Only a few chunks wait at a time, so memory stays
    bounded and an interruption is answered immediately. The first exception of ``work`` ends it all.
    """
    num_threads = min(16, os.cpu_count() or 1)
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    results: list[T] = []
    pending: deque[Future[T]] = deque()
    with warnings.catch_warnings():  # Pillow warns about odd metadata and large images it then reads well
        warnings.simplefilter("ignore")
        pool = ThreadPoolExecutor(num_threads, thread_name_prefix="nasctl-decode")
        try:
            for chunk in chunks:
                pending.append(pool.submit(work, chunk))
                if len(pending) > 2 * num_threads:
                    results.append(pending.popleft().result())
                    report(chunks[len(results) - 1].stop)
            while pending:
                results.append(pending.popleft().result())
                report(chunks[len(results) - 1].stop)
        finally:
            pool.shutdown(cancel_futures=True)
    return results
