"""The program as a user starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NASCTL = str(Path(sys.executable).with_name("nasctl"))


def nasctl(*arguments: object, cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NASCTL, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )


def fails(*arguments: object, cwd: Path) -> str:
    """The message of a command that must be refused, without a traceback, leaving no run behind."""
    done = nasctl(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not (cwd / "runs").exists()
    return done.stderr
