"""A process without plug-ins, and a user who has vouched for none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.plugins import installed, loading, recorded


@pytest.fixture(autouse=True)
def _as_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield
    loading.forget()
    recorded.obey()
    installed.forget()
