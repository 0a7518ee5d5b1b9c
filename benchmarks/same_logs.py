"""Does a change of the program's structure change its results? Five small runs before and after it, and their logs.

``record OUT`` carries out an evolution, a random search, a one-shot search, a search with Borderline-SMOTE, a study of
fixed networks, and one export, with the program that is installed: digits, one worker, fixed seeds, few epochs
(about 4 minutes on 2 idle cores). ``compare BEFORE AFTER`` compares every event of their logs but for times, versions
and the log's own format, and the exported files byte for byte; it ends with 1 if there is a difference. Record both on
one machine: another processor rounds otherwise.

    python benchmarks/same_logs.py record before      # then change the program
    python benchmarks/same_logs.py record after
    python benchmarks/same_logs.py compare before after
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMON = "--workers 1 --device cpu --quiet"
RUNS = {
    "evolution": f"search --space densenet --max-params 60k --trials 14 --epochs 4 --confirm 2 --seed 3 {COMMON}",
    "random": "search --space vgg --strategy random --max-params 80k --trials 6 --epochs 3 --confirm 1 --seed 1 "
    + COMMON,
    "darts": "search --space mobilenet --strategy darts --max-params 60k --trials 2 --epochs 3 --supernet-epochs 3 "
    f"--candidates 8 --confirm 1 --seed 2 {COMMON}",
    "smote": "search --space resnet --strategy random --recipe custom-ce+borderline-smote --max-params 80k --trials 4 "
    f"--epochs 2 --confirm 1 --seed 4 {COMMON}",
    "study": f"baseline run resnet18-settings --from-scratch --input-size 16 --epochs 1 --seeds 1 {COMMON}",
}
IGNORED = {
    "seconds",
    "training_memory",
    "elapsed",
    "time",
    "versions",
    "format",
    "profile",
    "busy",
    "cache_dir",
}  # times, versions, format
RENAMED = {"run": "start", "search": "start", "study": "start"}  # kinds of the first event, in any format
# What format 2 recorded and format 3 does not: how it was measured to train fastest moved, and what was always so.
DROPPED = {"packing", "training", "placement", "keeps_rare", "population", "note", "epochs"}


def record(out: Path) -> None:
    """The runs, and the files of one winner, into the new folder ``out``."""
    out.mkdir(parents=True)
    environment = os.environ | {"NASCTL_CACHE": str(out.absolute() / "cache"), "OMP_NUM_THREADS": "1"}
    nasctl = [sys.executable, "-c", "from nas.cli import main; main()"]
    for name, words in RUNS.items():
        print(f"{name} ...", flush=True)
        subprocess.run([*nasctl, *words.split(), "--run", name], cwd=out, env=environment, check=True)
    export = ["export", "--best", "--run", "evolution", "--out", "exported"]
    subprocess.run([*nasctl, *export], cwd=out, env=environment, check=True)


def events(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Kind and facts of every event, in one form for every format of the log."""
    database = sqlite3.connect(f"file:{folder / 'log.sqlite'}?mode=ro", uri=True)
    rows = database.execute("SELECT kind, body, history FROM events ORDER BY number")
    return [(RENAMED.get(kind, kind), facts(kind, json.loads(body), history)) for kind, body, history in rows]


def facts(kind: str, body: dict[str, Any], history: str | None) -> dict[str, Any]:
    """Flat facts of an event: its fields by name, those that a format nests (result, cost) as if it did not."""
    flat = dict(leaves(body))
    if kind == "submitted":
        flat["mutant"] = bool(body.get("mutant", body.get("note") == "mutant"))
    if history is not None:
        for number, epoch in enumerate(json.loads(history), start=1):
            flat |= {f"epoch{number}.{name}": value for name, value in epoch.items() if name not in IGNORED}
    return {name: value for name, value in flat.items() if value is not None}  # None: left out by another format


def leaves(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if name in IGNORED or (not path.startswith("config") and name in DROPPED):
            continue
        nested = "" if name in ("result", "cost") else f"{path}{name}."
        if isinstance(inner, dict):
            yield from leaves(inner, nested)
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            for number, one in enumerate(inner):
                yield from leaves(one, f"{nested}{number}.")
        else:
            yield f"{path}{name}", inner


def differences(before: Path, after: Path) -> Iterator[str]:
    for name in RUNS:
        first, second = events(before / "runs" / name), events(after / "runs" / name)
        if len(first) != len(second):
            yield f"{name}: {len(first)} events, then {len(second)}"
        for number, (one, other) in enumerate(zip(first, second, strict=False), start=1):
            if one[0] != other[0]:
                yield f"{name}, event {number}: {one[0]}, then {other[0]}"
            for field in sorted(one[1].keys() | other[1].keys()):
                if one[1].get(field) != other[1].get(field):
                    yield f"{name}, event {number} ({one[0]}), {field}: {one[1].get(field)}, then {other[1].get(field)}"
    for path in sorted((before / "exported").iterdir()):
        if path.read_bytes() != (after / "exported" / path.name).read_bytes():
            yield f"exported/{path.name} differs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("record").add_argument("out", type=Path)
    both = commands.add_parser("compare")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "record":
        record(arguments.out)
        return
    found = list(differences(arguments.before, arguments.after))
    count = sum(len(events(arguments.before / "runs" / name)) for name in RUNS)
    print(*found, f"{len(found)} differences in {count} events of {len(RUNS)} runs and the exported files", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
