"""Does anything that strangers hand over end in a traceback, hang, leave something half done, or write elsewhere?

Each case is a folder of its own with hostile input (see ``benchmarks/hostile.py``) and the commands that open it. Each
command runs in a fork of this process, with limits on memory. A case fails if a command ends in a traceback or in an
error that nobody foresaw, does not end within the timeout, takes gigabytes, has another exit code than 0, 1, 2 or 130,
writes a file outside the case's own folder, or is refused and leaves part of what it was to make.

    python benchmarks/fuzz.py --number 2000                 # over all kinds, evenly
    python benchmarks/fuzz.py --kinds logs npz --seed 3 --keep failed/
    python benchmarks/fuzz.py --repeat logs/17 --seed 3     # one again, with all that it prints
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hostile

from nas.cli import main as nasctl_main

CODES = (0, 1, 2, 130)
MOST_MEMORY = 2 << 30  # bytes that a command may hold beyond what its imports take
LEFT_OPEN = ("here", "home", "tmp")  # where a case may write
HEAVY = (  # imported once, before the first fork
    "nas.api", "nas.engine.search", "nas.report.tables.search", "nas.cli.commands.search", "nas.cli.commands.runs",
    "nas.cli.commands.data", "nas.cli.commands.report", "nas.cli.commands.evaluate", "nas.cli.commands.predict",
    "nas.cli.commands.analyze", "nas.report.html.write", "nas.trials.weights", "nas.data.images",
    "nas.strategies.guide",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """End of a command: its exit code (None: it was stopped at the timeout), its output, bytes it held."""

    command: Sequence[str]
    code: int | None
    out: str
    errors: str
    memory: int


def error(ended: Ended) -> str | None:
    """Error in how a command ended; None: none."""
    if ended.code is None:
        return "did not end"
    last = next((line for line in reversed(ended.errors.splitlines()) if line.strip()), "")
    if "Traceback (most recent call last)" in ended.errors:
        return f"traceback: {last[:160]}"
    if ended.code not in CODES:
        return f"exit code {ended.code}: {last[:160]}"
    if ended.code and not ended.errors.strip():
        return f"exit code {ended.code} without a message"
    if ended.memory > MOST_MEMORY:
        return f"took {ended.memory / 1e9:.1f} GB"
    return None


def run(command: Sequence[str], place: Path, timeout: float) -> Ended:
    """One command in a fork of this process, in the folder ``here`` of the case; all that it started ends with it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    child = os.fork()
    if child == 0:
        _become(command, place)
    status, usage, ended = 0, None, time.monotonic() + timeout
    while usage is None and time.monotonic() < ended:
        done, status, used = os.wait4(child, os.WNOHANG)
        usage = used if done else None
        if not done:
            time.sleep(0.004)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if usage is None:
        os.wait4(child, 0)
    code = None if usage is None else os.waitstatus_to_exitcode(status)
    texts = [(place / name).read_text(errors="replace") for name in ("stdout", "stderr")]
    memory = 0 if usage is None else usage.ru_maxrss * 1024 - before
    return Ended(command, code, *texts, memory)


def _become(command: Sequence[str], place: Path) -> None:
    """The program, in a child that has just been forked. Does not return."""
    code = 70
    try:
        os.setsid()
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + 3 * MOST_MEMORY,) * 2)
        os.environ.update(HOME=f"{place}/home", TMPDIR=f"{place}/tmp", XDG_STATE_HOME=f"{place}/home/state")
        os.environ.update(NASCTL_CACHE=f"{place}/home/cache", OMP_NUM_THREADS="1")
        tempfile.tempdir = None
        os.chdir(place / "here")
        sys.argv = ["nasctl", *command]
        nasctl_main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def errors_of(case: hostile.Case, place: Path, timeout: float, *, show: bool = False) -> list[str]:
    """Errors in how a case ended, a line for each of its commands."""
    found = []
    outside, content = _names_in(place), hostile.content_of(place / "outside")
    for command in case.commands:
        before = _made(place / "here")
        ended = run(command, place, timeout)
        if show:
            print(f"$ nasctl {shlex.join(command)}\n{ended.out}{ended.errors}exit code {ended.code}\n")
        wrong = error(ended)
        if wrong is None and (strange := _names_in(place) - outside - {"stdout", "stderr"}):
            wrong = f"wrote outside: {sorted(strange)}"
        if wrong is None and hostile.content_of(place / "outside") != content:
            wrong = "wrote outside"
        if wrong is None and ended.code == 2 and (half := _made(place / "here") - before):
            wrong = f"left half made: {sorted(half)[:5]}"
        if wrong is None and case.must_list and list(command) == ["status"]:
            wrong = None if case.must_list in ended.out else "the runs that are not damaged are not listed"
        if wrong is not None:
            found.append(f"nasctl {shlex.join(command)[:300]}: {wrong}")
    return found


def _made(here: Path) -> set[str]:
    """Names that commands make where they run: runs, and whatever --out, --write and the like name."""
    names = {name for name in _names_in(here) if name.startswith(("out", ".tmp-"))}
    return names | {f"runs/{name}" for name in _names_in(here / "runs")}


def _names_in(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


@contextlib.contextmanager
def made(kind: str, number: int, seed: int, root: Path, stock: hostile.Stock) -> Iterator[tuple[hostile.Case, Path]]:
    """Case ``number`` of a kind, in a folder that is gone at the end."""
    place = root / f"{kind}-{number}"
    for name in (*LEFT_OPEN, "outside"):
        (place / name).mkdir(parents=True)
    (place / "outside" / "precious").write_text("precious")
    try:
        yield hostile.KINDS[kind](random.Random(f"{seed}/{kind}/{number}"), place, stock), place
    finally:
        subprocess.run(["rm", "-rf", place], check=True)  # also where folders are nested a thousand deep


def prepare() -> None:
    """Import what every command needs, once, and let forks share it."""
    for name in HEAVY:
        __import__(name)
    import torch

    torch.set_num_threads(1)
    gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if a case failed."""
    parser = argparse.ArgumentParser(description="Hostile input for nasctl.")
    parser.add_argument("--kinds", nargs="+", choices=hostile.KINDS, default=list(hostile.KINDS))
    parser.add_argument("--number", type=int, default=2000, help="cases in all [default: 2000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds of one command [default: 20]")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy failing cases there, with what was run")
    parser.add_argument("--minutes", type=float, default=1e9, help="end after so many, with what was tried by then")
    parser.add_argument("--repeat", metavar="KIND/NUMBER", help="one case, with all that it prints")
    asked = parser.parse_args(arguments)
    prepare()
    end = time.monotonic() + 60 * asked.minutes
    tried, failed = Counter[str](), Counter[str]()
    turns, given = [asked.kinds[place % len(asked.kinds)] for place in range(asked.number)], Counter[str]()
    work = []
    for kind in turns:  # one that is named twice has twice as many
        work.append((kind, given[kind]))
        given[kind] += 1
    if asked.repeat:
        kind, _, number = asked.repeat.partition("/")
        work = [(kind, int(number))]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        stock = hostile.Stock(Path(root, "stock"))
        for kind, number in work:
            if time.monotonic() > end:
                break
            with made(kind, number, asked.seed, Path(root), stock) as (case, place):
                found = errors_of(case, place, asked.timeout, show=bool(asked.repeat))
                tried[kind] += 1
                failed[kind] += bool(found)
                for line in found:
                    print(f"{kind}/{number} {case.text}: {line}", flush=True)
                if found and asked.keep:
                    kept = asked.keep / f"{kind}-{number}"
                    kept.mkdir(parents=True, exist_ok=True)
                    subprocess.run(["cp", "-a", f"{place}/here/.", kept], check=False)  # pipes, links and all
                    (kept / "FUZZ.txt").write_text("\n".join([case.text, *found]) + "\n")
    print(f"\n{'kind':12}{'tried':>8}{'failed':>8}")
    for kind in tried:
        print(f"{kind:12}{tried[kind]:8}{failed[kind]:8}")
    print(f"{'all':12}{tried.total():8}{failed.total():8}")
    return 1 if failed.total() else 0


if __name__ == "__main__":
    sys.exit(main())
