"""Size of a search's report, the time to write it, and the time until a browser has it open.

    python benchmarks/report.py --trials 100 2000

Trials are simulated: their number alone counts. Chromium opens the page if it is installed, with Playwright.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

import browser  # noqa: E402
from simulated_search import Simulated, run_all  # noqa: E402

from nas.report.html.write import write_report  # noqa: E402
from nas.runs import load_run  # noqa: E402

READY = """() => { const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime; }"""
SORT = """() => { const start = performance.now();
  document.querySelector('#trials thead th:nth-child(3) button').click();
  document.body.offsetHeight; return performance.now() - start; }"""
FILTER = """() => { const start = performance.now(); const input = document.querySelector('[data-filters]');
  input.value = 'finished'; input.dispatchEvent(new Event('input')); document.body.offsetHeight;
  return performance.now() - start; }"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--space", default="resnet")
    asked = parser.parse_args()
    opened = browser.Browser() if browser.missing() is None else None
    for trials in asked.trials:
        with tempfile.TemporaryDirectory() as folder:
            run_all(Path(folder) / "some", Simulated(8), trials=trials, space=asked.space, strategy="random")
            run = load_run("some", Path(folder))
            start = time.perf_counter()
            path = write_report(run)
            seconds = time.perf_counter() - start
            line = f"{trials:,} trials of {asked.space}: written in {seconds:.2f} s, {path.stat().st_size / 1e6:.2f} MB"
            if opened is not None:
                with opened.open_page(path) as shown:
                    ready, sort, words = (shown.page.evaluate(script) for script in (READY, SORT, FILTER))
                line += f"; open after {ready / 1e3:.2f} s, sorted in {sort:.0f} ms, filtered in {words:.0f} ms"
            print(line)
    if opened is None:
        print(browser.missing())
    else:
        opened.close()


if __name__ == "__main__":
    main()
