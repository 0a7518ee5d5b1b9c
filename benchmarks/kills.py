"""Is any work lost when a search is killed, or its disk is full? About 200 situations, each ended by resuming.

A small search is disturbed, and resumed (or begun again, if nothing was recorded) until it ends. Its log must then
be that of a search that nothing disturbed, its weights too; what had been recorded before must still stand in it; no
part of a file may be left; and no message may be a traceback or say nothing of how to resume.

    main        SIGKILL to the search at random instants
    calls       SIGKILL at system calls of the search that write files: each in turn, or so many evenly distributed
    ENOSPC, EIO such a call of the search or of its worker fails with that error, once
    worker      SIGKILL to a worker at random instants: its trial fails, and no other
    server      SIGKILL to the process that workers are forked from
    export      SIGKILL to an export, then exported again: the same bytes
    disk        a file system of ten sizes that is full, then has room (root alone may mount it)

Calls are counted and disturbed with strace; without it those kinds are left out, and the table says so.

    python benchmarks/kills.py                     # all: an hour on 2 idle cores
    python benchmarks/kills.py --quick             # one of each kind
    python benchmarks/kills.py --guided --only main  # of the default search
    python benchmarks/kills.py --only calls EIO --minutes 10
    python benchmarks/kills.py --kept kills.jsonl --minutes 10  # again and again: resumes, the table is of all
    python benchmarks/kills.py --seed 0 --situation "calls 3/50" --keep  # one again, its folder kept
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from nas.runs.events import Event, SearchStarted, SessionStarted, SessionStopped, TrialEnded
from nas.runs.log import has_begun, read_log

NASCTL = [sys.executable, "-c", "from nas.cli import main; main()"]
SEARCH = (
    "search --space vgg --strategy random --max-params 6k --trials 3 --epochs 1 --confirm 1 --confirm-epochs 1 "
    "--workers 1 --device cpu --quiet --run r"
)
GUIDED = SEARCH.replace("--strategy random ", "").replace("--trials 3", "--trials 10")  # the default strategy
NUMBERS = {  # how many of each kind
    "main": 20, "calls": 50, "ENOSPC": 45, "EIO": 45, "worker": 10, "server": 10, "export": 10, "disk": 10,
}  # fmt: skip
WRITING = ("write", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync", "rename", "mkdir", "unlink")
LONGEST = 300.0  # seconds of one command
ATTEMPTS = 4  # to resume: one, and more where the disturbance continues
PACKAGES = ("nas", "baselines", "budgets", "search_spaces")  # whose code is tried
WAYS_ON = ("resume", "the same command", "give the command again")


@dataclass(frozen=True)
class Program:
    """Program that is disturbed: the commands that begin and resume the run ``folder / runs / r``."""

    begin: list[str]
    resume: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, command: list[str], folder: Path, *, wrapped: list[str] | None = None) -> subprocess.Popen[bytes]:
        """Begin a command; what it says is added to ``output.txt``."""
        with (folder / "output.txt").open("ab") as output:
            return subprocess.Popen(
                [*(wrapped or []), *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=os.environ | self.environment, start_new_session=True,
            )  # fmt: skip

    def run(self, command: list[str], folder: Path, *, wrapped: list[str] | None = None) -> int:
        """Its exit status; an error if it does not end."""
        return ended(self.start(command, folder, wrapped=wrapped))


class Lost(Exception):
    """Error for what should not have happened."""


def ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(LONGEST)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Lost(f"it did not end within {LONGEST:.0f} s") from None


def story(folder: Path) -> list[Event]:
    """The events of the run, without what differs from one to the next: sessions, and how long things took."""
    run = folder / "runs" / "r"
    if not has_begun(run):
        return []
    events = [entry.event for entry in read_log(run, histories=True)]
    return [timeless(event) for event in events if not isinstance(event, SessionStarted | SessionStopped)]


def timeless(event: Event) -> Event:
    match event:
        case SearchStarted(facts=facts):
            return replace(event, facts=replace(facts, trial_seconds=None, placement=None))
        case TrialEnded(result):
            history = [{name: value for name, value in row.items() if name != "seconds"} for row in result.history]
            return replace(event, result=replace(result, seconds=0.0, history=history))
    return event


def check_words(folder: Path, code: int | None = None) -> None:
    """No traceback in what was said, and a way on if a command ended with ``code``."""
    text = (folder / "output.txt").read_text(errors="replace")
    for word in ("Traceback", "Aborted!"):
        if word in text:
            raise Lost(f"it says {word}: {text[-300:]!r}")
    if code and not any(way in text for way in WAYS_ON):
        raise Lost(f"exit {code} without a way on: {text[-300:]!r}")


def finish(program: Program, folder: Path) -> None:
    """Resume, or begin again, until the run is done."""
    for _ in range(ATTEMPTS):
        command = program.resume if has_begun(folder / "runs" / "r") else program.begin
        if (code := program.run(command, folder)) == 0:
            return
    raise Lost(f"exit {code} when it was resumed: {(folder / 'output.txt').read_text()[-300:]!r}")


def check_equal(folder: Path, reference: Path, kept: list[Event]) -> None:
    """Nothing lost, nothing different, nothing left over."""
    found, expected = story(folder), story(reference)
    if found[: len(kept)] != kept:
        raise Lost("what was recorded is not there any more")
    if found != expected:
        first = next((n for n, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), len(found))
        raise Lost(f"another log from event {first}: {found[first : first + 1]}"[:400])
    for path in (reference / "runs" / "r" / "weights").iterdir():
        if not filecmp.cmp(path, folder / "runs" / "r" / "weights" / path.name, shallow=False):
            raise Lost(f"other weights: {path.name}")
    if left := [path.name for path in (folder / "runs").rglob(".tmp-*")]:
        raise Lost(f"left over: {left}")


def disturbed(program: Program, folder: Path, reference: Path, process: subprocess.Popen[bytes]) -> None:
    """Follow a disturbance: ``process`` ends, is resumed, and compared."""
    code = ended(process)
    check_words(folder, code if code > 0 else None)
    kept = story(folder)
    if code:
        finish(program, folder)
        check_words(folder)
    check_equal(folder, reference, kept)


def kill_later(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()


# System calls that write files


@dataclass(frozen=True)
class Call:
    """The ``number``-th call of a name by one process: the search itself, or its worker."""

    name: str
    number: int
    in_worker: bool


def calls_of(program: Program, folder: Path) -> list[Call]:
    """The calls of a search that write into its run's folder, in their order, from an undisturbed run."""
    trace = folder / "trace.txt"
    strace = ["strace", "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={','.join(WRITING)},execve"]
    process = program.start(program.begin, folder, wrapped=strace)
    if ended(process):
        raise Lost(f"strace: {(folder / 'output.txt').read_text()[-300:]}")
    counts: Counter[tuple[str, str]] = Counter()
    found, main, writers = list[Call](), "", set[str]()
    for line in trace.read_text(errors="replace").splitlines():
        matched = re.match(r"(\d+) +(\w+)\((.*)", line)
        if matched is None:
            continue
        process_id, name, rest = matched.groups()
        main = main or process_id
        counts[process_id, name] += 1
        if name in WRITING and re.search(r"[\"/]runs/r[\"/.]", rest):
            found.append(Call(name, counts[process_id, name], process_id != main))
            writers.add(process_id)
    # strace counts in every process it follows: a call of the worker must not be one of a process between them, too.
    others = Counter[str]()
    for (process_id, name), count in counts.items():
        if process_id not in writers:
            others[name] = max(others[name], count)
    return [call for call in found if not call.in_worker or call.number > others[call.name]]


def injected(call: Call, what: str) -> list[str]:
    """strace that lets a call kill its process (``signal=SIGKILL``) or fail (``error=EIO``)."""
    follow = ["-f", "--seccomp-bpf"] if call.in_worker else []
    chosen = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:{what}:when={call.number}"]
    return ["strace", *follow, "-q", "-o", "/dev/null", *chosen]


def evenly(calls: list[Call], number: int) -> list[Call]:
    """So many of them, evenly."""
    if number >= len(calls):
        return calls
    return [calls[int((place + 0.5) * len(calls) / number)] for place in range(number)]


# Situations


Act = Callable[[Path], None]


@dataclass(frozen=True)
class Situation:
    """Situation to make in an empty folder. ``name`` is its number among those of its kind, "calls 3/50", which with
    the seed says which it is; ``what`` says more of it."""

    kind: str
    name: str
    what: str
    act: Act


class Bench:
    """The reference, and the situations that are compared with it."""

    def __init__(
        self, home: Path, numbers: dict[str, int], seed: int, program: Program | None = None, search: str = SEARCH
    ) -> None:
        self.home, self.numbers, self.seed = home, numbers, seed
        environment = {"NASCTL_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        typed = Program([*NASCTL, *search.split()], [*NASCTL, "resume", "r", "--quiet"], environment)
        self.program = program or typed
        self.reference = home / "reference"
        for name in ("cached", "reference") if program is None else ("reference",):  # the first fills the cache
            (home / name).mkdir()
            started = time.monotonic()
            if self.program.run(self.program.begin, home / name):
                raise Lost((home / name / "output.txt").read_text())
        self.seconds = time.monotonic() - started
        self.left_out: dict[str, str] = {}

    def situations(self) -> Iterator[Situation]:
        """Kinds in turn and each in random order, so that a part has of all."""
        kinds = [list(self._of(kind)) for kind, number in self.numbers.items() if number]
        for found in kinds:
            random.Random(f"order {self.seed}").shuffle(found)
        for place in range(max(map(len, kinds), default=0)):
            yield from (found[place] for found in kinds if place < len(found))

    def _of(self, kind: str) -> Iterator[Situation]:
        """Those of a kind, the same whatever others are tried."""
        number = self.numbers[kind]
        if kind in ("calls", "ENOSPC", "EIO"):
            found = self._calls(kind, number)
        elif kind == "disk":
            found = self._disks(number)
        else:
            found = self._moments(kind, number)
        for place, (what, act) in enumerate(found):
            yield Situation(kind, f"{kind} {place + 1}/{number}", what, act)

    def _moments(self, kind: str, number: int) -> Iterator[tuple[str, Act]]:
        act = {"main": self._main, "worker": self._worker, "server": self._server, "export": self._export}[kind]
        chance = random.Random(f"{kind} {self.seed}")
        for place in range(number):
            share = (place + chance.random()) / number
            yield f"killed at {share:.2f} of its time", lambda folder, share=share: act(folder, share)

    def _calls(self, kind: str, number: int) -> Iterator[tuple[str, Act]]:
        if shutil.which("strace") is None:
            self.left_out[kind] = "strace is not installed"
            return
        if not hasattr(self, "calls"):
            (self.home / "traced").mkdir(exist_ok=True)
            try:
                self.calls = calls_of(self.program, self.home / "traced")
            except Lost as error:
                self.left_out[kind] = f"the calls could not be counted: {error}"
                return
        what = "signal=SIGKILL" if kind == "calls" else f"error={kind}"
        usable = [call for call in self.calls if kind != "calls" or not call.in_worker]
        for call in evenly(usable, number):
            who = "worker" if call.in_worker else "search"
            wrapped = injected(call, what)
            yield (
                f"at {call.name} {call.number} of the {who}",
                lambda folder, wrapped=wrapped: self._wrapped(folder, wrapped),
            )

    def _wrapped(self, folder: Path, wrapped: list[str]) -> None:
        process = self.program.start(self.program.begin, folder, wrapped=wrapped)
        disturbed(self.program, folder, self.reference, process)

    def _main(self, folder: Path, share: float) -> None:
        process = self.program.start(self.program.begin, folder)
        kill_later(process, share * self.seconds)
        disturbed(self.program, folder, self.reference, process)

    def _worker(self, folder: Path, share: float) -> None:
        process = self.program.start(self.program.begin, folder)
        self._kill_one(process, share, lambda main: [w for server in servers(main) for w in children(server)])
        if ended(process):
            raise Lost(f"the search ended with its worker: {(folder / 'output.txt').read_text()[-300:]!r}")
        check_words(folder)
        expected = {event.result.id: event for event in story(self.reference) if isinstance(event, TrialEnded)}
        results = [event for event in story(folder) if isinstance(event, TrialEnded)]
        failed = [event.result.id for event in results if event.result.status == "failed"]
        others = [e for e in results if e.result.id not in failed and e.stage == "search"]
        if len(failed) > 1 or any(expected[event.result.id] != event for event in others):
            raise Lost(f"failed: {failed}, or another result")

    def _server(self, folder: Path, share: float) -> None:
        process = self.program.start(self.program.begin, folder)
        self._kill_one(process, share, servers)
        disturbed(self.program, folder, self.reference, process)

    def _kill_one(self, main: subprocess.Popen[bytes], share: float, find: Callable[[int], list[int]]) -> None:
        end = time.monotonic() + share * self.seconds
        while main.poll() is None and (time.monotonic() < end or not find(main.pid)):
            time.sleep(0.02)
        for found in find(main.pid)[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found, signal.SIGKILL)

    def _export(self, folder: Path, share: float) -> None:
        whole = self._whole_export()
        command = [*NASCTL, "export", "--best", "--run", str(self.reference / "runs" / "r"), "--out", "out"]
        process = self.program.start(command, folder)
        kill_later(process, share * self.export_seconds)
        process.wait()
        if (out := folder / "out").exists() and not list(out.iterdir()):
            raise Lost("an empty folder")
        if not out.exists() and self.program.run(command, folder):
            raise Lost((folder / "output.txt").read_text()[-300:])
        check_words(folder)
        names = sorted(path.name for path in whole.iterdir())
        if sorted(path.name for path in out.iterdir()) != names or filecmp.cmpfiles(whole, out, names, False)[1]:
            raise Lost("other files")
        if left := list(folder.glob(".tmp-*")):
            raise Lost(f"left over: {left}")

    def _whole_export(self) -> Path:
        whole = self.home / "exported"
        if not whole.exists():
            command = [*NASCTL, "export", "--best", "--run", str(self.reference / "runs" / "r"), "--out", str(whole)]
            started = time.monotonic()
            if self.program.run(command, self.home):
                raise Lost((self.home / "output.txt").read_text())
            self.export_seconds = time.monotonic() - started
        return whole

    def _disks(self, number: int) -> Iterator[tuple[str, Act]]:
        if os.geteuid() != 0 or shutil.which("mount") is None:
            self.left_out["disk"] = "only root may mount a file system"
            return
        used = sum(path.stat().st_blocks * 512 for path in (self.reference / "runs").rglob("*"))
        for place in range(number):
            kilobytes = int(used * 1.2 * (place + 0.3) / number / 1024)
            yield f"of {kilobytes} kB", lambda folder, size=kilobytes: self._disk(folder, size)

    def _disk(self, folder: Path, kilobytes: int) -> None:
        runs = folder / "runs"
        runs.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(runs)]
        subprocess.run(mount, check=True)
        try:
            code = self.program.run(self.program.begin, folder)
            check_words(folder, code)
            subprocess.run(["mount", "-o", "remount,size=64m", str(runs)], check=True)
            kept = story(folder)
            if code:
                finish(self.program, folder)
                check_words(folder)
            check_equal(folder, self.reference, kept)
        finally:
            subprocess.run(["umount", "-l", str(runs)], check=False)


def children(process: int) -> list[int]:
    """Process ids of what a process started; its threads, too, may have."""
    found: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def servers(main: int) -> list[int]:
    """Servers that workers of the search are forked from."""
    return [child for child in children(main) if "multiprocessing.forkserver" in command_line(child)]


def command_line(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    return ""


# What came of them


@dataclass(frozen=True)
class Outcome:
    """A situation that was tried, by code with the digest ``code``; ``fault``: what should not have happened."""

    kind: str
    name: str
    what: str
    seed: int
    code: str
    seconds: float
    fault: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.seed


def digest_of_code() -> str:
    """Of every file that decides what comes of a situation."""
    root = Path(__file__).parents[1]
    paths = sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))
    text = b"".join(path.read_bytes() for path in [*paths, Path(__file__)])
    return hashlib.blake2b(text, digest_size=8).hexdigest()


class Outcomes:
    """Those of this code, added to a file one after another if there is one, so that a run may be ended anywhere."""

    def __init__(self, file: Path | None = None) -> None:
        self.file, self.code = file, digest_of_code()
        lines = file.read_text().splitlines() if file and file.exists() else []
        found = [Outcome(**json.loads(line)) for line in lines]
        self.by_key = {outcome.key: outcome for outcome in found if outcome.code == self.code}
        self._lock = threading.Lock()

    def add(self, outcome: Outcome) -> None:
        with self._lock:
            self.by_key[outcome.key] = outcome
            if self.file:
                with self.file.open("a") as file:
                    file.write(json.dumps(asdict(outcome)) + "\n")

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.by_key.values() if outcome.fault]


def tried(situation: Situation, bench: Bench, code: str) -> Outcome:
    """Do it, in a folder that stays if it fails. Whatever it raises, the others continue."""
    folder, started = bench.home / situation.name.replace(" ", "-").replace("/", "-of-"), time.monotonic()
    message = None
    try:
        folder.mkdir()
        situation.act(folder)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
    else:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = round(time.monotonic() - started, 1)
    return Outcome(situation.kind, situation.name, situation.what, bench.seed, code, seconds, message)


def carry_out(bench: Bench, outcomes: Outcomes, *, jobs: int = 1, minutes: float | None = None, only: str = "") -> None:
    """Every situation that was not tried before, or ``only`` that of a name, which is tried anyway; then the table."""
    waiting = Counter[str]()
    end = None if minutes is None else time.monotonic() + 60 * minutes

    def one(situation: Situation) -> None:
        if end is not None and time.monotonic() > end:
            waiting[situation.kind] += 1
            return
        outcome = tried(situation, bench, outcomes.code)
        outcomes.add(outcome)
        print(f"{outcome.name}, {outcome.what}: {outcome.fault or 'good'} ({outcome.seconds:.0f} s)", flush=True)

    wanted = [
        situation
        for situation in bench.situations()
        if (situation.name == only if only else (situation.name, bench.seed) not in outcomes.by_key)
    ]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, wanted))
    notes = {kind: f"{number} left out for time" for kind, number in waiting.items()} | bench.left_out
    print(table(outcomes, notes), flush=True)


def table(outcomes: Outcomes, notes: dict[str, str]) -> str:
    """Table of how many were tried and failed, by kind, and how to try again what failed."""
    tried, failed = Counter(outcome.kind for outcome in outcomes.by_key.values()), Counter[str]()
    for outcome in outcomes.failed:
        failed[outcome.kind] += 1
    lines = [f"{'kind':<10} {'tried':>6} {'failed':>7}"]
    for kind in [kind for kind in NUMBERS if tried[kind] or kind in notes]:
        lines.append(f"{kind:<10} {tried[kind]:>6} {failed[kind]:>7}  {notes.get(kind, '')}".rstrip())
    lines.append(f"{'all':<10} {tried.total():>6} {failed.total():>7}")
    for outcome in outcomes.failed:
        again = f'python benchmarks/kills.py --seed {outcome.seed} --situation "{outcome.name}" --keep'
        lines += ["", f"{outcome.name}, {outcome.what}: {outcome.fault}", f"  again: {again}"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one of each kind")
    parser.add_argument("--only", nargs="+", choices=list(NUMBERS), default=list(NUMBERS), help="these kinds")
    parser.add_argument("--guided", action="store_true", help="the default search, of 10 trials, four of them guided")
    parser.add_argument("--minutes", type=float, help="begin no situation after so many")
    parser.add_argument("--jobs", type=int, default=1, help="situations in parallel")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, metavar="FILE", help="outcomes, one a line: added to, and not tried again")
    parser.add_argument(
        "--situation", default="", metavar="NAME", help='this alone, as the table names it: "calls 3/50"'
    )
    parser.add_argument("--keep", action="store_true", help="keep the folders of what failed")
    arguments = parser.parse_args()
    numbers = {kind: 1 if arguments.quick else number for kind, number in NUMBERS.items() if kind in arguments.only}
    if arguments.situation:
        kind, _, place = arguments.situation.partition(" ")
        if kind not in NUMBERS or not place.partition("/")[2].isdecimal():
            parser.error(f"--situation {arguments.situation!r}: it should look like 'calls 3/50'")
        numbers = {kind: int(place.partition("/")[2])}
    outcomes = Outcomes(arguments.kept)
    home = Path(tempfile.mkdtemp(prefix="nasctl-kills-"))
    try:
        bench = Bench(home, numbers, arguments.seed, search=GUIDED if arguments.guided else SEARCH)
        carry_out(bench, outcomes, jobs=arguments.jobs, minutes=arguments.minutes, only=arguments.situation)
    finally:
        if arguments.keep:
            print(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    sys.exit(bool(outcomes.failed))


if __name__ == "__main__":
    main()
