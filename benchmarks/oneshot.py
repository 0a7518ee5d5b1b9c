"""One-shot strategies against random search, every space, on the bundled digits.

.venv/bin/python benchmarks/oneshot.py                    runs what is missing (hours), then prints the table
.venv/bin/python benchmarks/oneshot.py --report           prints the table of what there is
.venv/bin/python benchmarks/oneshot.py --spaces mobilenet resnet --seeds 0 -- --epochs 12

What follows ``--`` goes to every search. Compared are, with equal recipe, budget and confirmation:

* darts, gumbel-darts, random-oneshot: a supernet, then the best it ranks as trials;
* random: random search within the budget for as long as darts took with the same seed; it needs darts's result.
  The median of its first 8 trials, one training each, is what a one-shot strategy has to beat at the least; it is
  known on the rank split alone, since test is read once, by the winner.

A strategy's score is its confirmed winner's mean over three trainings. Searches run one after the other, each
finished one is a line of --out, and an interrupted benchmark continues where it was when it is started again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.api.settings import ALPHA_FLAGS, SUPERNET_FLAGS
from nas.errors import RunError
from nas.runs import SearchRun, load_search
from nas.units import clock
from search_spaces import space_names

ONE_SHOT = ("darts", "gumbel-darts", "random-oneshot")
STRATEGIES = (*ONE_SHOT, "random")
NUM_RANDOM = 8
Result = dict[str, Any]


def search_flags(strategy: str, extra: Sequence[str], darts_seconds: float | None) -> list[str]:
    """The flags that make a strategy of the benchmark, after those of ``extra`` that it knows."""
    unknown = {"random-oneshot": ALPHA_FLAGS, "random": SUPERNET_FLAGS.values()}
    dropped = {f"--{name.replace('_', '-')}" for name in unknown.get(strategy, ())}
    flags, words = [], iter(extra)
    for word in words:
        if word in dropped:
            next(words, None)  # its value
        elif word.partition("=")[0] not in dropped:
            flags.append(word)
    if strategy == "random":
        assert darts_seconds is not None
        flags += ["--strategy", "random", "--no-prune"]  # the median of its first trials needs all of them whole
        return [*flags, "--trials", "100000", "--time-limit", f"{darts_seconds:.0f}s"]
    return [*flags, "--strategy", strategy]


def run_search(name: str, runs: Path, flags: Sequence[str]) -> SearchRun | None:
    """Search to the end under a name, continuing if an earlier start was interrupted; None if it fails."""
    try:
        load_search(name, runs)
        words = ["resume", name]
    except RunError:  # it is not there, or was killed before its first event
        words = ["search", *flags, "--run", name]
    command = [sys.executable, "-m", "nas.cli", *words, "--runs", str(runs), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  failed: {done.stderr.strip()}", file=sys.stderr, flush=True)
        return None
    return load_search(name, runs)


def measured(run: SearchRun) -> Result:
    """Scores that are compared: the winner on rank and test, and every trial of the search on rank."""
    assert run.winner is not None
    objective, winner = run.config.objective, run.trials[run.winner.trial]
    confirmed = [trial.score(objective) for trial in run.confirmations(winner.id)] or [winner.score(objective)]
    return {
        "objective": objective,
        "rank": confirmed,
        "test": [metrics[objective] for metrics in run.winner.test.values()],
        "params": winner.cost.params,
        "sample": winner.sample,
        "trials": [score for trial in run.stage("search") if (score := trial.score(objective)) is not None],
        "supernet_seconds": sum(row.seconds for row in run.supernet_epochs),
        "seconds": run.elapsed,  # all sessions; what --time-limit counts
    }


def recorded(out: Path, settings: str) -> dict[tuple[str, str, int], Result]:
    """Finished searches with these settings, by space, strategy and seed."""
    found = {}
    for line in out.read_text().splitlines() if out.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):  # a kill may have torn the last line
            result = json.loads(line)
            if result["settings"] == settings:
                found[result["space"], result["strategy"], result["seed"]] = result
    return found


def record(out: Path, result: Result) -> None:
    """Add one finished search, on a line of its own."""
    torn = out.exists() and not out.read_text().endswith("\n")
    with out.open("a") as file:
        file.write("\n" * torn + json.dumps(result) + "\n")


def run_missing(asked: argparse.Namespace, settings: str) -> bool:
    """Run every search that has no result yet; whether all of them have one now."""
    complete = True
    for seed in asked.seeds:  # a whole table early, more certain later
        for space in asked.spaces:
            for strategy in asked.strategies:
                found = recorded(asked.out, settings)
                darts = found.get((space, "darts", seed))
                if (space, strategy, seed) in found:
                    continue
                print(f"{space} {strategy} seed {seed}", flush=True)
                if strategy == "random" and darts is None:
                    print("  skipped: it takes as long as darts, which has no result", file=sys.stderr, flush=True)
                    complete = False
                    continue
                flags = search_flags(strategy, asked.extra, darts["seconds"] if darts else None)
                flags = ["--space", space, "--max-params", asked.max_params, "--seed", str(seed), *flags]
                mark = hashlib.sha256(settings.encode()).hexdigest()[:6]
                run = run_search(f"{space}-{strategy}-{seed}-{mark}", asked.runs, flags)
                if run is None:
                    complete = False
                    continue
                result = {"settings": settings, "space": space, "strategy": strategy, "seed": seed, **measured(run)}
                record(asked.out, result)
                mean = statistics.fmean(result["test"])
                print(f"  test {mean:.3f}, {result['params']:,} parameters, {clock(result['seconds'])}", flush=True)
    return complete


def means(results: Sequence[Result], split: str) -> list[float]:
    """The winner's mean over its trainings, for each seed of the benchmark."""
    return [statistics.fmean(result[split]) for result in results]


def medians(results: Sequence[Result]) -> list[float]:
    """The median of the first random architectures' trials on rank, for each seed of the benchmark."""
    return [statistics.median(result["trials"][:NUM_RANDOM]) for result in results]


def mean_and_std(values: Sequence[float]) -> str:
    if not values:
        return "-"
    std = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{std}"


def table(found: dict[tuple[str, str, int], Result], spaces: Sequence[str], strategies: Sequence[str]) -> str:
    """Markdown: for each space a row on test and one on rank, so that only like is compared with like."""
    titles = {"random": "random, as long as darts"}
    head = ["space", "scored on", *(titles.get(s, s) for s in strategies), f"median of {NUM_RANDOM} random"]
    rows = [head, ["---"] * len(head)]
    for space in spaces:
        by = {s: [found[key] for key in sorted(found) if key[:2] == (space, s)] for s in {*strategies, "random"}}
        times = {s: f", {clock(statistics.fmean(r['seconds'] for r in by[s]))}" if by[s] else "" for s in strategies}
        rows.append([space, "test", *(mean_and_std(means(by[s], "test")) + times[s] for s in strategies), ""])
        rank = [mean_and_std(means(by[s], "rank")) for s in strategies]
        rows.append(["", "rank", *rank, mean_and_std(medians(by["random"]))])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def verdicts(found: dict[tuple[str, str, int], Result], spaces: Sequence[str], strategies: Sequence[str]) -> list[str]:
    """True if each one-shot strategy beat the median of random architectures, and random search in equal time.

    Only seeds that both have are compared.
    """
    lines = []
    for space in spaces:
        for strategy in [s for s in strategies if s in ONE_SHOT]:
            words = []
            seeds = sorted(k[2] for k in found if k[:2] == (space, "random") and (space, strategy, k[2]) in found)
            for split, title in (
                ("rank", f"the median of {NUM_RANDOM} random (rank)"),
                ("test", "random search as long as darts (test)"),
            ):
                if not seeds:
                    continue
                own = means([found[space, strategy, seed] for seed in seeds], split)
                others = [found[space, "random", seed] for seed in seeds]
                theirs = medians(others) if split == "rank" else means(others, split)
                gain = statistics.fmean(own) - statistics.fmean(theirs)
                words.append(
                    f"{'better' if gain > 0 else 'worse' if gain < 0 else 'equal'} by {abs(gain):.3f} than {title}"
                )
            if words:
                lines.append(f"- {space}, {strategy}: {'; '.join(words)}")
    return lines


def main() -> int:
    words = sys.argv[1:]
    own, extra = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=space_names(), choices=space_names())
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max-params", default="150k")
    parser.add_argument("--runs", type=Path, default=Path("runs/oneshot-benchmark"), help="folder of the searches")
    parser.add_argument("--out", type=Path, help="file of results [default: results.jsonl in --runs]")
    parser.add_argument("--report", action="store_true", help="run nothing")
    asked = parser.parse_args(own)
    asked.extra, asked.out = extra, asked.out or asked.runs / "results.jsonl"
    asked.strategies = [s for s in STRATEGIES if s in asked.strategies]  # darts before what takes as long
    settings = " ".join(["--max-params", asked.max_params, *extra])
    complete = True
    if not asked.report:
        asked.runs.mkdir(parents=True, exist_ok=True)
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        complete = run_missing(asked, settings)
    found = {k: r for k, r in recorded(asked.out, settings).items() if k[2] in asked.seeds}
    objectives = {result["objective"].replace("_", " ") for result in found.values()}
    if not found:
        print(f"There is no result with {settings} yet.")
        return 1
    print(
        f"\nWith {settings}: {', '.join(sorted(objectives))} of the confirmed winner, mean ± standard deviation over "
        f"seeds {', '.join(map(str, asked.seeds))}; after it the mean wall-clock in minutes:seconds\n"
    )
    print(table(found, asked.spaces, asked.strategies))
    print("\n" + "\n".join(verdicts(found, asked.spaces, asked.strategies)))
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
