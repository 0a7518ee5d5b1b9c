"""Share of a search that is training: its wall-clock against plain loops over the same networks, seeds and epochs.

.venv/bin/python benchmarks/useful_share.py [--epochs 24 110] [--space densenet] [--trials 24] [-- --data PATH ...]

The search is `nasctl search` as typed, from Enter to its last line. A plain loop trains one network after another by
the same training code, with the data in memory, and writes nothing. It runs once alone, on one thread and on all
(with the first two networks; the faster is taken), and once as one process per worker at the same time, each with its
share of the networks: workers truly scale by as much as that is faster, and the mean of their seconds is what a search
without any cost of its own would take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hardware import hardware


def plain_loop(folder: Path, first: int, step: int, most: int, threads: int) -> None:
    """Train every ``step``-th network of a run from ``first`` on; print the seconds that took."""
    import torch

    from nas.runs import as_search
    from nas.runs.folders import read_run
    from nas.training.evaluation import evaluate_split
    from nas.training.loop import train
    from nas.trials.datasets import split_on_device
    from search_spaces import get_space

    torch.set_num_threads(threads)
    run = as_search(read_run(folder))
    config, shape = run.config, run.facts.input_shape
    parts = {name: split_on_device(config.data, "cpu", name) for name in ("train", "select", "rank")}
    classes = len(run.facts.classes)
    seconds = 0.0
    for trial in list(run.stage("search"))[first::step][:most]:
        began = time.perf_counter()
        torch.manual_seed(trial.seed)
        model = get_space(config.space).build(trial.sample, shape, classes)
        trained = train(
            model, parts["train"], parts["select"], config.recipe, num_classes=classes, device="cpu", seed=trial.seed
        )
        model.load_state_dict(trained.best_state)
        normalization = trained.mean, trained.std
        for name in ("select", "rank"):
            evaluate_split(model, parts[name], normalization, num_classes=classes, device="cpu")
        seconds += time.perf_counter() - began
    print(json.dumps(seconds))


def loops(folder: Path, processes: int, most: int, threads: int) -> list[float]:
    """Seconds of plain loops that run at the same time and divide the networks."""
    command = [sys.executable, __file__, "--plain", str(folder)]
    started = [
        subprocess.Popen(
            [*command, *map(str, (first, processes, most, threads))],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        for first in range(processes)
    ]
    return [float(json.loads(process.communicate()[0])) for process in started]


def measure(arguments: argparse.Namespace, epochs: int, folder: Path) -> None:
    """One search and its plain loops; a row of the table."""
    workers, trials = arguments.workers, arguments.trials
    command = [sys.executable, "-m", "nas.cli", "search", "--space", arguments.space, "--max-params", "150k"]
    command += ["--strategy", "random", "--confirm", "0", "--no-prune", "--trials", str(trials)]
    command += ["--epochs", str(epochs), "--workers", str(workers), "--run", "run", "--runs", str(folder), "--json"]
    command += arguments.rest
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    cores = len(os.sched_getaffinity(0))
    sample = {threads: loops(folder / "run", 1, 2, threads)[0] for threads in {1, cores}}
    (alone,) = loops(folder / "run", 1, trials, min(sample, key=sample.__getitem__))
    together = loops(folder / "run", workers, trials, max(1, cores // workers))
    least = sum(together) / workers
    print(
        f"{epochs:>6} {alone / trials:>9.1f} s {wall:>8.1f} s {alone:>9.1f} s {least:>9.1f} s "
        f"{alone / least:>8.2f} {alone / workers / wall:>11.1%} {least / wall:>11.1%}",
        flush=True,
    )


def main() -> None:
    if sys.argv[1:2] == ["--plain"]:
        plain_loop(Path(sys.argv[2]), *map(int, sys.argv[3:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, nargs="+", default=[24, 110])
    parser.add_argument("--space", default="densenet")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("rest", nargs="*", help="flags for nasctl search, after --")
    arguments = parser.parse_args()
    print(hardware())
    print(f"{arguments.trials} trials of {arguments.space}, {arguments.workers} workers; digits unless told otherwise")
    print(
        f"{'epochs':>6} {'a trial':>11} {'search':>10} {'alone':>11} {'together':>11} {'scaling':>8} "
        f"{'alone/workers':>13} {'together':>9} useful share"
    )
    for epochs in arguments.epochs:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments, epochs, Path(folder))


if __name__ == "__main__":
    main()
