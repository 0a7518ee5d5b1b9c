"""Slow tests run last, so that a broken build says so early."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("nasctl", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("nasctl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache."""
    os.environ["NASCTL_CACHE"] = str(tmp_path_factory.mktemp("cache"))
