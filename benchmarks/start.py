"""Time until something happens: --help, the first trial; and the memory of a worker.

.venv/bin/python benchmarks/start.py [-- --data PATH ...]

The first search fills the cache of the data, the others are measured, from Enter. A trial runs when its worker has
built the network and written the head of its log. Memory of a worker while it trains, from /proc: "own" is what no
other process shares (and what one more worker would cost), "proportional" adds its share of pages that several use.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hardware import hardware

PROGRAM = [sys.executable, "-m", "nas.cli"]
BARE = [sys.executable, "-c", "import torch"]
REPEATS = 5


def seconds(command: list[str]) -> float:
    """Median of five, after one that warms the disk's cache."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def search(folder: Path, number: int, flags: list[str]) -> tuple[float, list[dict[str, int]]]:
    """Seconds until the first trial runs, and the memory of the workers a little later."""
    began = time.perf_counter()
    command = [*PROGRAM, "search", "--space", "densenet", "--max-params", "150k", "--epochs", "60", "--quiet"]
    command += ["--runs", str(folder), "--run", str(number), *flags]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    log = folder / str(number) / "logs" / "1.txt"
    while not log.exists():
        if process.poll() is not None:
            raise SystemExit(f"the search ended with {process.returncode}")
        time.sleep(0.005)
    first = time.perf_counter() - began
    time.sleep(2.0)
    held = [memory(pid) for pid in workers(process.pid)]
    process.terminate()
    process.wait()
    return first, held


def workers(pid: int) -> list[int]:
    """Every process below ``pid`` without children of its own: not the server that workers are forked from."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return [each for each in found if each not in parents.values()]


def memory(pid: int) -> dict[str, int]:
    """Megabytes by kind, and whether it is a worker that trains."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"resident": sizes["Rss"] // 1000, "proportional": sizes["Pss"] // 1000, "own": own // 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rest", nargs="*", help="flags for nasctl search, after --")
    flags = parser.parse_args().rest
    print(hardware())
    help_seconds, bare = seconds([*PROGRAM, "--help"]), seconds(BARE)
    print(f"nasctl --help            {help_seconds:6.2f} s")
    print(f"python -c 'import torch' {bare:6.2f} s  (for comparison)")
    with tempfile.TemporaryDirectory() as folder:
        search(Path(folder), 0, flags)
        runs = [search(Path(folder), number, flags) for number in range(1, REPEATS + 1)]
    firsts = [first for first, _ in runs]
    print(f"first trial running      {statistics.median(firsts):6.2f} s  (longest of {REPEATS}: {max(firsts):.2f} s)")
    print(f"ratio to 'import torch'  {statistics.median(firsts) / bare:6.2f}")
    by_size = sorted((held for held in runs[-1][1] if held), key=lambda held: -held["own"])
    for held in by_size[: len(os.sched_getaffinity(0))]:  # the rest keep track of files and semaphores
        print("a worker's memory        " + ", ".join(f"{size} MB {kind}" for kind, size in held.items()))


if __name__ == "__main__":
    main()
