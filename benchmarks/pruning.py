"""Savings of pruning, and whether the same trial wins: searches with and without it.

.venv/bin/python benchmarks/pruning.py                                 3 seeds of densenet and resnet, 20 minutes or so
.venv/bin/python benchmarks/pruning.py --spaces vgg --seeds 1 --trials 8 --epochs 6
.venv/bin/python benchmarks/pruning.py --strategy evolution            pruned trials then change what is proposed
.venv/bin/python benchmarks/pruning.py --replay                        the rule on the curves of what was run so
.venv/bin/python benchmarks/pruning.py --replay RUN_FOLDER...          ... and of any searches without pruning

Searches run one after the other, on the bundled digits, by the command line, one trial at a time and without
confirmation; a run that is there already is taken as it is. "place" is the rank that the winner with pruning has
without: 1 if both are the same architecture, "-" if only evolution's pruned search tried it. Random search proposes
the same architectures in both, with the same seeds of training.

--replay trains nothing: it lets the rule judge recorded whole curves, in the recorded order and in others sampled at
random, which is what other seeds of random search would have met.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hardware import hardware

from nas.errors import RunError
from nas.runs import SearchRun, TrialRecord, load_search
from nas.strategies.median_pruner import MOST_TRIALS, pruning_thresholds
from nas.training.early_stopping import History, curve, why_pruned

FLAGS = ("--data", "digits", "--confirm", "0", "--workers", "1", "--device", "cpu")


def searched(name: str, runs: Path, flags: Sequence[str]) -> SearchRun:
    """The search of this name, run to its end if it has not been."""
    try:
        done = load_search(name, runs)
        if done.winner:
            return done
        words = ["resume", name]
    except RunError:  # it is not there
        words = ["search", *FLAGS, *flags, "--run", name]
    print(f"running {name}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "nas.cli", *words, "--runs", str(runs), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return load_search(name, runs)


def epochs(run: SearchRun) -> int:
    """Epochs trained in the search."""
    return sum(trial.epochs for trial in run.stage("search"))


def place(winner: TrialRecord, run: SearchRun) -> int | None:
    """The rank, from 1, of an architecture in a search; None if it was not tried there."""
    ranked = [trial.architecture for trial in run.ranked()]
    return ranked.index(winner.architecture) + 1 if winner.architecture in ranked else None


def compare(asked: argparse.Namespace) -> None:
    """Run what is missing, and print a row for each space and seed."""
    print(hardware())
    print(f"{asked.strategy}, {asked.trials} trials of {asked.epochs} epochs, at most {asked.max_params} parameters\n")
    print(
        f"{'space':<10} {'seed':>4} {'epochs':>7} {'pruned':>7} {'saved':>6} {'time':>6} "
        f"{'winner':>7} {'pruned':>7} {'place':>6} {'score':>6} {'pruned':>7}"
    )
    saved, times, places = [], [], []
    for space in asked.spaces:
        for seed in asked.seeds:
            flags = ["--space", space, "--seed", str(seed), "--strategy", asked.strategy]
            for name in ("trials", "epochs", "max_params"):
                flags += [f"--{name.replace('_', '-')}", str(getattr(asked, name))]
            stem = f"{space}-{asked.strategy}-{seed}-{asked.trials}x{asked.epochs}-{asked.max_params}"
            whole = searched(f"{stem}-whole", asked.runs, [*flags, "--no-prune"])
            pruned = searched(f"{stem}-pruned", asked.runs, [*flags, "--prune"])
            best, found = whole.ranked()[0], pruned.ranked()[0]
            saved.append(1 - epochs(pruned) / epochs(whole))
            times.append(pruned.elapsed / whole.elapsed)
            places.append(place(found, whole))
            scores = [trial.metrics["rank"][whole.config.objective] for trial in (best, found)]
            print(
                f"{space:<10} {seed:>4} {epochs(whole):>7} {epochs(pruned):>7} {saved[-1]:>6.1%} {times[-1]:>5.2f}x "
                f"{best.id:>7} {found.id:>7} {places[-1] or '-':>6} {scores[0]:>6.3f} {scores[1]:>7.3f}",
                flush=True,
            )
    same = sum(position == 1 for position in places)
    print(
        f"\nsaved {statistics.fmean(saved):.1%} of the epochs, {1 - statistics.fmean(times):.1%} of the time; "
        f"the same winner in {same} of {len(places)}"
    )


def replayed(histories: Sequence[History], objective: str, num_epochs: int) -> list[int]:
    """Epochs that trials with these whole histories would have been trained for, one after the other."""
    curves: list[list[float]] = []
    ends = []
    for history in histories:
        least = pruning_thresholds(curves[-MOST_TRIALS:], num_epochs)
        stops = (e for e in range(1, len(history)) if why_pruned(history[:e], objective, least))
        ends.append(next(stops, len(history)))
        curves.append(curve(history[: ends[-1]], objective))
    return ends


def replay(folders: Sequence[Path], num_orders: int) -> None:
    """Print what the rule would have done to recorded searches, a row for each."""
    print(f"{'run':<40} {'trials':>6} {'orders':>6} {'saved':>6} {'same winner':>12} {'place':>6} {'lost':>6}")
    means = []
    for folder in folders:
        run = load_search(str(folder))
        trials = [trial for trial in run.stage("search") if trial.status == "finished"]
        histories = {trial.id: run.history(trial) for trial in trials}
        orders = 1 if run.config.strategy == "evolution" else num_orders  # its order is no accident
        sampled = random.Random(0)
        rows = []
        for number in range(orders):
            order = trials if number == 0 else sampled.sample(trials, len(trials))
            ends = replayed([histories[trial.id] for trial in order], run.config.objective, run.config.recipe.epochs)
            stopped = {t.id for t, end in zip(order, ends, strict=True) if end < t.epochs}
            ranked = run.ranked()
            position = next(p for p, trial in enumerate(ranked) if trial.id not in stopped)
            best, found = (trial.score(run.config.objective) or 0.0 for trial in (ranked[0], ranked[position]))
            share = 1 - sum(ends) / sum(trial.epochs for trial in trials)
            rows.append((share, float(position == 0), position + 1.0, best - found))
        means.append([statistics.fmean(column) for column in zip(*rows, strict=True)])
        saved, same, where, lost = means[-1]
        name = "/".join(folder.parts[-2:])[-40:]
        print(f"{name:<40} {len(trials):>6} {orders:>6} {saved:>6.1%} {same:>12.1%} {where:>6.2f} {lost:>6.4f}")
    saved, same, where, lost = (statistics.fmean(column) for column in zip(*means, strict=True))
    print(f"{'mean':<40} {'':>6} {'':>6} {saved:>6.1%} {same:>12.1%} {where:>6.2f} {lost:>6.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=["densenet", "resnet"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--strategy", default="random", choices=("random", "evolution"))
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--max-params", default="150k")
    parser.add_argument("--runs", type=Path, default=Path("runs/pruning-benchmark"), help="folder of the searches")
    parser.add_argument("--replay", nargs="*", type=Path, help="run nothing; [default: every whole search in --runs]")
    parser.add_argument("--orders", type=int, default=100, help="of a replayed search")
    asked = parser.parse_args()
    if asked.replay is None:
        compare(asked)
        return
    folders = asked.replay or sorted(asked.runs.glob("*-whole"))
    if not folders:
        parser.error(f"there is no search without pruning in {asked.runs}: run the benchmark first, or name some")
    replay(folders, asked.orders)


if __name__ == "__main__":
    main()
