"""Growth of time and memory with the number of recorded trials: commands on runs of 1,000, 5,000 and 100,000 trials.

.venv/bin/python benchmarks/scale.py                             1,000 and 5,000 trials, a few minutes
.venv/bin/python benchmarks/scale.py --trials 1000 5000 100000   and 100,000: 5 GB of disk for an hour at most
.venv/bin/python benchmarks/scale.py --trials 5000 100000 --copied   100,000 as twenty copies of 5,000: made in
                                                                 seconds; such a run cannot be resumed, nor is it
.venv/bin/python benchmarks/scale.py --keep runs/scale           leave the runs there, and use those that are there

The runs are logs of searches over resnet on the digits, whose proposals are real, so that they can be resumed; the
scores are a formula, and the metrics and histories of 24 epochs are numbers as long as real ones. A run of fewer
trials is the beginning of the longest. Every command is a process of its own; "peak" is its most resident memory.
"resume" is from the start of the program until the first new trial is recorded, with all TensorBoard files there.
"a result" is what the search's own process spends for one trial that trains nothing: proposing it, recording it
twice, durably, and telling the listeners (a line, the TensorBoard file, the weights to drop).
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from hardware import hardware

from baselines.metrics import METRICS
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.engine.plan import plan_search, start
from nas.engine.search import run_search
from nas.engine.trial_loop import submission
from nas.executors import WorkerSlot
from nas.report.live import Plain
from nas.report.screen import Screen
from nas.report.tensorboard.listener import bring_up_to_date, keep_files
from nas.runs import EventLog, as_search
from nas.runs.events import Event, TrialEnded
from nas.runs.fold import fold
from nas.runs.folders import read_run
from nas.runs.log import LOG_NAME
from nas.strategies.base import Proposal, Tell
from nas.strategies.registry import get_strategy
from nas.trials.spec import TrialResult, TrialSpec, derived_seed
from search_spaces import Sample

EPOCHS, SLOTS, NEVER = 24, 2, 10_000_000
RESULTS = 200  # of which "a result" is the mean
MAX_PARAMS = 80_000


def settings(strategy: str) -> SearchConfig:
    """A search that never ends by itself."""
    return SearchConfig.model_validate({
        "space": "resnet", "budget": {"max_params": MAX_PARAMS}, "data": {},
        "recipe": Recipe(epochs=EPOCHS), "trials": NEVER, "strategy": strategy, "workers": SLOTS, "device": "cpu",
    })  # fmt: skip


def result(trial_id: str, score: float) -> TrialResult:
    """A finished trial with metrics and a history as long as real ones."""
    rng = np.random.default_rng(int(trial_id))
    names = [*METRICS, "loss"]

    def values() -> dict[str, Any]:
        return {**dict(zip(names, rng.random(len(names)).tolist(), strict=True)), "balanced_accuracy": score}

    metrics = {split: values() | {"recall_by_class": rng.random(10).tolist()} for split in ("select", "rank")}
    history = [
        {"epoch": epoch, "train_loss": rng.random(), "learning_rate": 0.01 * rng.random()}
        | {f"select_{name}": metric for name, metric in values().items()}
        | {"seconds": rng.random()}
        for epoch in range(1, EPOCHS + 1)
    ]
    return TrialResult(trial_id, "finished", metrics, history, seconds=12 + rng.random())


def score_of(sample: Sample) -> float:
    """Any fixed landscape will do."""
    return float(np.tanh(sum(hash_of(label, value) for label, value in sample.items()) / len(sample)))


def hash_of(label: str, value: int | str) -> float:
    return derived_seed(0, f"{label}={value}") / 2**31


class Recorder:
    """``strategies.base.Trials`` that writes the log of a search and carries out nothing."""

    def __init__(self, store: EventLog, count: int) -> None:
        self.run = as_search(fold(store.folder, store.entries()))
        self.store, self.count = store, count
        self.tell: Tell = lambda trial: None
        self.running: deque[tuple[str, float]] = deque()
        self.started = 0

    def attend(self, tell: Tell) -> None:
        self.tell = tell

    def slot_free(self) -> bool:
        while len(self.running) >= SLOTS:
            self.finish()
        return self.started < self.count

    def submit(self, proposal: Proposal, *, as_recorded: bool = False) -> str:
        self.started += 1
        trial_id = str(self.started)
        self.record(submission(self.run, trial_id, proposal, stage="search", of=trial_id))
        self.running.append((trial_id, score_of(proposal.sample)))
        if self.started % 5000 == 0:
            print(f"  {self.started:,} trials recorded", file=sys.stderr, flush=True)
        return trial_id

    def finish(self) -> None:
        trial_id, score = self.running.popleft()
        self.record(TrialEnded.of(result(trial_id, score), "search"))
        self.tell(self.run.trials[trial_id])

    def record(self, event: Event) -> None:
        self.run.apply(self.store.append(event))

    def drain(self) -> None:
        while self.running:
            self.finish()


def record(folder: Path, count: int, strategy: str) -> None:
    """The run of a search of ``count`` trials that was stopped."""
    plan = plan_search(settings(strategy))
    with start(plan, folder) as store:
        database: sqlite3.Connection = store._database
        database.execute("PRAGMA synchronous=OFF")  # nobody will miss it
        database.execute("BEGIN")
        recorder = Recorder(store, count)
        get_strategy(strategy).make(recorder.run).run(recorder)
        database.execute("COMMIT")


def begin_of(longest: Path, folder: Path, count: int, strategy: str) -> None:
    """The run as it was after ``count`` results of the ``longest``."""
    start(plan_search(settings(strategy)), folder).close()
    database = sqlite3.connect(folder / LOG_NAME)
    database.execute("ATTACH ? AS longest", (str(longest / LOG_NAME),))
    ((last,),) = database.execute(
        "SELECT number FROM longest.events WHERE kind = 'result' ORDER BY number LIMIT 1 OFFSET ?", (count - 1,)
    )
    database.execute("INSERT INTO events SELECT * FROM longest.events WHERE number BETWEEN 2 AND ?", (last,))
    database.commit()
    database.close()


def copied(folder: Path, recorded: int, count: int) -> None:
    """Lengthen a run of ``recorded`` trials to ``count`` by copies of them under other ids."""
    database = sqlite3.connect(folder / LOG_NAME)
    for first in range(recorded, count, recorded):
        database.execute(
            "INSERT INTO events (kind, body, elapsed, time, history) SELECT kind, json_set(body, '$.id', "
            "CAST(json_extract(body, '$.id') + ?1 AS TEXT), '$.of', CAST(json_extract(body, '$.id') + ?1 AS TEXT)), "
            "elapsed, time, history FROM events WHERE kind IN ('submitted', 'result') "
            "AND CAST(json_extract(body, '$.id') AS INTEGER) <= ?2 ORDER BY number",
            (first, min(recorded, count - first)),
        )
    database.commit()
    database.close()


# What is measured in a process of its own.


class Instant:
    """An executor whose trials end immediately."""

    num_slots = SLOTS

    def __init__(self) -> None:
        self.specs: deque[TrialSpec] = deque()
        self.ended = 0
        self.began = 0.0

    @property
    def num_running(self) -> int:
        return len(self.specs)

    def submit(self, spec: TrialSpec) -> None:
        self.began = self.began or time.perf_counter()
        self.specs.append(spec)

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        if self.ended == RESULTS:
            raise KeyboardInterrupt
        self.ended += 1
        spec = self.specs.popleft()
        return [result(spec.id, score_of(spec.sample))]

    def close(self) -> None: ...

    def __enter__(self) -> Instant:
        return self

    def __exit__(self, *error: object) -> None: ...


class Timed:
    """Adds up the seconds of calls."""

    def __init__(self, call: Any) -> None:
        self.call, self.seconds = call, 0.0

    def __call__(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return self.call(*arguments)
        finally:
            self.seconds += time.perf_counter() - began


def measure_results(folder: Path) -> dict[str, float]:
    """Milliseconds a result, and its parts."""
    files, display = Timed(keep_files), Timed(Plain(Screen(file=io.StringIO()), SLOTS).on_event)
    executor = Instant()
    with EventLog(folder) as store:
        append = store.append = Timed(store.append)  # type: ignore[method-assign, assignment]
        try:
            run = as_search(fold(folder, store.entries()))
            run_search(run, store, [WorkerSlot("cpu", 1)] * SLOTS, [files, display], lambda slots: executor)
        except KeyboardInterrupt:
            seconds = time.perf_counter() - executor.began
    parts = {"append": append.seconds, "files": files.seconds, "display": display.seconds}
    parts = {"all": seconds, **parts, "rest": seconds - sum(parts.values())}
    return {f"result: {name}": 1e3 * value / RESULTS for name, value in parts.items()}


def measure_export(folder: Path) -> dict[str, float]:
    """Seconds to write all TensorBoard files, and to find that all are there."""
    run = read_run(folder)
    seconds = [Timed(bring_up_to_date) for _ in range(2)]
    for step in seconds:
        step(run)
    return {"export": seconds[0].seconds, "export again": seconds[1].seconds}


def measure_fold(folder: Path) -> dict[str, float]:
    """Bytes a trial of a run in memory, and seconds to read it."""
    before = memory("self", "VmRSS")
    began = time.perf_counter()
    run = read_run(folder)
    seconds = time.perf_counter() - began
    return {"fold": seconds, "bytes a trial": 1e6 * (memory("self", "VmRSS") - before) / len(run.trials)}


# The table.


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a process whose output nobody reads. getrusage would count this process, from
    which it is forked."""
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, memory(str(process.pid), "VmHWM"))
        time.sleep(0.003)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - began, peak


def memory(process: str, what: str) -> float:
    """Resident memory of a process in MB: now ("VmRSS") or at its most ("VmHWM"); 0 once it ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(what)), 0.0)


def resumed(folder: Path) -> tuple[float, float]:
    """Seconds from the start of 'nasctl resume' to its first new trial, and its peak memory (MB) until then."""
    before = submitted(folder)
    began = time.perf_counter()
    command = [sys.executable, "-m", "nas.cli", "resume", folder.name, "--runs", str(folder.parent)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while submitted(folder) == before:
        if process.poll() is not None:
            sys.exit(f"{' '.join(command)} ended")
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    peak = memory(str(process.pid), "VmHWM")
    process.terminate()  # as Ctrl-C does, which a shell may have switched off
    process.wait()
    return seconds, peak


def submitted(folder: Path) -> int:
    """The number of the last trial in the log."""
    database = sqlite3.connect(f"file:{folder / LOG_NAME}?mode=ro", uri=True)
    try:
        query = "SELECT number FROM events WHERE kind = 'submitted' ORDER BY number DESC LIMIT 1"
        return int(database.execute(query).fetchone()[0])
    finally:
        database.close()


def in_process(what: str, folder: Path) -> dict[str, float]:
    """Result of ``MEASURES[what]`` on a run."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", what, str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def measured(folder: Path, *, resumable: bool) -> dict[str, float]:
    """Every row of the table for one run, in its order."""
    rows = {"log, MB": (folder / LOG_NAME).stat().st_size / 1e6}
    nasctl = [sys.executable, "-m", "nas.cli"]
    where = ["--run", folder.name, "--runs", str(folder.parent)]
    commands = {
        "status": ["status", "--runs", str(folder.parent)],
        "status --run": ["status", *where],
        "trials --top 20": ["trials", *where, "--top", "20"],
        "trials": ["trials", *where],
        "trials --json": ["trials", *where, "--json"],
        "(--help)": ["--help"],
    }
    for name, arguments in commands.items():
        rows[f"{name}, s"], rows[f"{name}, peak MB"] = timed([*nasctl, *arguments])
    read = in_process("fold", folder)
    rows["reading the log, s"], rows["a run in memory, bytes a trial"] = read["fold"], read["bytes a trial"]
    export = in_process("export", folder)
    rows["TensorBoard: write all, s"], rows["TensorBoard: all there, s"] = export["export"], export["export again"]
    if not resumable:
        return rows
    rows["resume, s"], rows["resume, peak MB"] = resumed(folder)
    for name, value in in_process("results", folder).items():
        rows[f"a {name}, ms"] = value
    return rows


MEASURES = {"results": measure_results, "export": measure_export, "fold": measure_fold}


def show(counts: Sequence[int], columns: Iterable[dict[str, float]]) -> None:
    """A row per quantity; after each column but the first, how many times the one before it is."""
    print(f"{'trials':<32}" + "".join(f"{count:>12,}" + ("" if k == 0 else " " * 8) for k, count in enumerate(counts)))
    every = list(columns)
    for name in every[0]:
        line = f"{name:<32}{every[0][name]:>12,.2f}"
        for before, now in itertools.pairwise(every):
            ratio = now[name] / before[name] if before[name] else float("nan")
            line += f"{now[name]:>12,.2f} x{ratio:<6.3g}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--strategy", default="evolution", choices=["evolution", "random"])
    parser.add_argument("--copied", action="store_true", help="propose the fewest alone, and copy; no resume")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the runs there, and use those that are there")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, place = arguments.measure
        print(json.dumps(MEASURES[what](Path(place))))
        return
    print(hardware(), flush=True)
    counts = sorted(arguments.trials)
    with tempfile.TemporaryDirectory() as name:
        root = arguments.keep or Path(name)
        proposed = counts[0] if arguments.copied else counts[-1]
        longest = root / "made" / str(proposed)
        if not longest.exists():
            began = time.perf_counter()
            record(longest, proposed, arguments.strategy)
            print(f"{proposed:,} trials proposed and recorded in {time.perf_counter() - began:.0f} s", flush=True)
        columns: list[dict[str, float]] = []
        for count in counts:
            folder = root / f"of-{count}" / str(count)  # runs of its own: 'status' reads all there are
            shutil.rmtree(folder, ignore_errors=True)
            begin_of(longest, folder, min(count, proposed), arguments.strategy)
            if count > proposed:
                copied(folder, proposed, count)
            columns.append(measured(folder, resumable=not arguments.copied))
        show(counts, columns)


if __name__ == "__main__":
    main()
