"""Slow tests run last, so that a broken build says so early.

Hypothesis draws the same examples at every run. ``HYPOTHESIS_PROFILE=explore pytest`` draws fresh ones.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import browser as browsers
import photos
import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the program does, for workers of a server that tests start
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a hundred programs that tests start need not compile ours each
settings.register_profile("nasctl", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("explore", settings.get_profile("nasctl"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "nasctl"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Freeze what was imported: no collection, of which the program asks for some, need walk through it again."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which photos were used, and whether pages were opened; -q hides the header, so it is said at the end."""
    terminalreporter.write_line(f"photos: {photos.source()}")
    if (reason := browsers.missing()) is None:
        terminalreporter.write_line(f"pages: opened in {browsers.program()}")
        return
    reports = terminalreporter.stats.get("skipped", [])
    number = sum(browsers.SKIPPED in str(report.longrepr) for report in reports)
    terminalreporter.write_line(f"pages: {number} tests skipped, {reason}")


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache, nor the list of trusted plug-ins."""
    os.environ["NASCTL_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")  # not for longer: while it runs, nothing else in this thread can use asyncio
def browser() -> Iterator[browsers.Browser]:
    """A browser for local HTML files; tests that need one are skipped where there is none."""
    if (reason := browsers.missing()) is not None:
        pytest.skip(reason)
    found = browsers.Browser()
    yield found
    found.close()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Nets this small lose by more threads, and a second test run beside this one loses twice."""
    import torch  # not for tests that need none

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
