"""Print the lowest versions that pyproject.toml allows of what nasctl needs to run, as constraints for pip.

    python .ci/lowest.py > lowest.txt; PIP_CONSTRAINT=lowest.txt make test

Tools of development are left alone.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOWEST = re.compile(r"^([\w.-]+)>=(\d+)(?:\.(\d+))?(?![\w.])")  # thop has one version, with a date in it


def lowest() -> list[str]:
    """``name==2.11.*`` of every dependency with a lower bound: that minor version, with its corrections."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [f"{found[1]}=={found[2]}.{found[3] or 0}.*" for each in needed if (found := LOWEST.match(each))]


if __name__ == "__main__":
    print("\n".join(lowest()))
