"""Take the picture of a report, as README.md and docs/reports.md show it.

    .venv/bin/python docs/pictures/report.py runs/NAME/report.html docs/pictures/report.png [--section choices] [--dark]

Needs Chromium and the extra ``browser``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from browser import Browser, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--section", help="id of one section [default: from the top]")
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--dark", action="store_true")
    asked = parser.parse_args()
    if (reason := missing()) is not None:
        sys.exit(reason)
    browser = Browser()
    with browser.open_page(asked.page, width=asked.width, height=asked.height, dark=asked.dark) as shown:
        if asked.section:
            shown.page.locator(f"section#{asked.section}").screenshot(path=asked.picture)
        else:
            shown.screenshot(asked.picture, whole=False)
    browser.close()


if __name__ == "__main__":
    main()
