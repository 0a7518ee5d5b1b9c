"""Processes that the system kills since memory ran out: for real, in a control group with little of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.executors.fork_server import TRAINING

ROOT = Path(__file__).parents[2]
LIMIT = 200 << 20  # bytes for all processes of the group; the program takes a quarter
INSIDE = 'echo $$ > "$0" && exec "$@"'

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from nas.errors import MachineError
from nas.executors import LocalExecutor, WorkerSlot
from trial_functions import spec

def main():
    with LocalExecutor([WorkerSlot("cpu", 1)], run=sys.argv[1]) as executor:
        for seed in (6, 0):
            executor.submit(spec(seed=seed))
            for result in executor.wait(60):
                print(result.status, result.error)

if __name__ == "__main__":
    try:
        main()
    except MachineError as error:
        print("error:", error)
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group below our own with little memory."""
    found = None
    for line in Path("/proc/self/cgroup").read_text().splitlines() if Path("/proc/self/cgroup").exists() else []:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found = (
                Path("/sys/fs/cgroup/memory", path.lstrip("/")),
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
            )
        elif not controllers and found is None:
            found = Path("/sys/fs/cgroup", path.lstrip("/")), "memory.max", "memory.swap.max"
    if found is None:
        pytest.skip("no control groups: no real lack of memory can be made")
    above, limit, swap = found
    made = above / f"nasctl-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made, so no real lack of memory: {error}")
    try:
        try:
            (made / limit).write_text(str(LIMIT))
            if (made / swap).exists():
                (made / swap).write_text("0" if swap == "memory.swap.max" else str(LIMIT))
        except OSError as error:
            pytest.skip(f"no control group can be given a limit, so no real lack of memory: {error}")
        yield made
    finally:
        end = time.monotonic() + 10
        while made.exists() and time.monotonic() < end:
            try:
                made.rmdir()
            except OSError:  # the last process is still ending
                time.sleep(0.05)


def said(group: Path, tmp_path: Path, run: str) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(ROOT / "tests" / "support")))
    command = ["sh", "-c", INSIDE, str(group / "cgroup.procs"), sys.executable, str(program), run]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_worker_fails_its_trial_and_says_memory(group: Path, tmp_path: Path) -> None:
    assert said(group, tmp_path, "trial_functions:as_told") == [
        "failed worker was killed by signal 9 (SIGKILL); probably the system ran out of memory",
        "finished None",
    ]


def test_the_process_that_workers_are_forked_from_is_an_error_of_the_machine_that_says_memory(
    group: Path, tmp_path: Path
) -> None:
    """It imports torch, for which there is not enough."""
    assert said(group, tmp_path, TRAINING) == [
        "error: the process that workers are forked from was killed by the system, which ran out of memory: free some, "
        "or use fewer --workers; it was tried 3 times"
    ]
