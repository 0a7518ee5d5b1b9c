"""Train many small networks of one space and write them as a table on which searches are tried: ``tabular.py``.

.venv/bin/python benchmarks/make_table.py resnet-digits                      120 networks, or what is left of them
.venv/bin/python benchmarks/make_table.py vgg-cifar --cifar ~/data/cifar10
.venv/bin/python benchmarks/make_table.py resnet-grid                        a small space in which all are trained

Networks are sampled at random within the budget, half of them uniformly and half leaning to large sizes, and trained
with two seeds by one recipe, one thread each; of two tables the 20 with the best mean score get ten seeds. What was
trained is kept in --kept, a line a training, and not trained again. Columns of the table: the choices; ``params``;
``macs``; ``cost`` in seconds (epochs times the median epoch of the fastest seed); ``score``, balanced accuracy on rank
of seed 0; ``score:SEED``; ``score@EPOCHS``, the best on select so far of seed 0, as a pruner sees it;
``test:balanced_accuracy`` and ``test:accuracy``, means over the seeds. Nothing is chosen by a test metric.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hardware import hardware
from quality import source_of

from budgets import Budget, costs_of
from budgets.sampling import distinct, fitting, resolve_budget
from nas.config import DataConfig, Recipe
from nas.data import open_data
from nas.trials import TrialResult, TrialSpec
from search_spaces import Sample, SearchSpace, Task, get_space

HERE = Path(__file__).parent / "tables"
ALL_SEEDS = 10


@dataclass(frozen=True)
class Table:
    """Trainings of one table."""

    space: str
    data: str
    max_params: int
    epochs: int
    networks: int = 120
    seeds: int = 2  # of every network
    best: int = 20  # networks that get ten seeds
    grid: dict[str, Sequence[int | str]] = field(default_factory=dict)  # every network of these values instead

    @property
    def recipe(self) -> Recipe:
        return Recipe(epochs=self.epochs, batch_size=64, prior_tau=1)


TABLES = {
    "resnet-digits": Table("resnet", "digits", 60_000, 36),
    "mobilenet-digits": Table("mobilenet", "digits", 60_000, 36),
    "vgg-cifar": Table("vgg", "cifar-3000", 60_000, 16, best=0),
    "resnet-grid": Table(
        "resnet",
        "digits",
        1_000_000,
        24,
        networks=0,
        best=0,
        grid={
            "stages": (2,),
            "width1": (8, 16, 24, 40),
            "width2": (16, 28, 48, 80),
            "depth1": (1, 2),
            "depth2": (1,),
            "block1": ("separable", "bottleneck", "basic"),
            "block2": ("separable", "bottleneck", "basic"),
        },
    ),
}


def sampled(table: Table, space: SearchSpace, task: Task) -> list[Sample]:
    """The networks of the table: different architectures that fit, half of them sampled uniformly."""
    if table.grid:
        every = [dict(zip(table.grid, values, strict=True)) for values in itertools.product(*table.grid.values())]
        return [{**space.canonical, **values} for values in every]
    budget, _ = resolve_budget(space, task, Budget(max_params=table.max_params))
    rng = np.random.default_rng(0)
    found: dict[str, Sample] = {}
    for number, sample_rows in enumerate((space.sample_uniform, space.sample_over_sizes)):
        enough = table.networks // 2 * (number + 1)
        while len(found) < enough:
            rows = distinct(fitting(space, task, budget, sample_rows(rng, 4096)))[0]
            for row in rng.permutation(rows)[: enough // 8]:
                sample = space.decode(row)
                if len(found) < enough:
                    found.setdefault(space.architecture_id(sample, task), sample)
    return list(found.values())


def trained(job: tuple[Table, DataConfig, Task, Sample, int]) -> TrialResult:
    import torch

    from nas.trials.run_trial import run_trial

    torch.set_num_threads(1)
    table, data, task, sample, seed = job
    spec = TrialSpec(
        "1", table.space, sample, task.input_shape, task.num_classes, data, table.recipe, seed, test_after=True
    )
    return run_trial(spec, "cpu")


Known = dict[tuple[int, int], dict[str, Any]]  # trainings by network and seed


def train(name: str, table: Table, data: DataConfig, kept: Path, processes: int) -> tuple[list[Sample], Known]:
    opened = open_data(data)
    space, task = get_space(table.space), Task(opened.input_shape, len(opened.classes))
    samples = sampled(table, space, task)
    path = kept / f"{name}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    known = {(row["network"], row["seed"]): row for row in map(json.loads, lines)}

    def jobs(pairs: list[tuple[int, int]]) -> None:
        missing = [pair for pair in pairs if pair not in known]
        todo = [(table, data, task, samples[network], seed) for network, seed in missing]
        with ProcessPoolExecutor(processes) as pool, path.open("a") as file:
            for done, (pair, result) in enumerate(zip(missing, pool.map(trained, todo), strict=True), start=1):
                known[pair] = line = written(pair, samples[pair[0]], result)
                file.write(json.dumps(line) + "\n")
                file.flush()
                print(f"\r{name}: {done} of {len(missing)} trainings", end="", flush=True)
        print()

    for seed in range(table.seeds):
        jobs([(network, seed) for network in range(len(samples))])
    mean = {n: statistics.fmean(known[n, s]["metrics"]["rank"]["balanced_accuracy"] for s in range(table.seeds))
            for n in range(len(samples))}  # fmt: skip
    best = sorted(mean, key=lambda n: -mean[n])[: table.best]
    for seed in range(table.seeds, ALL_SEEDS):
        jobs([(network, seed) for network in best])
    return samples, known


def written(pair: tuple[int, int], sample: Sample, result: TrialResult) -> dict[str, Any]:
    """The line of a training: all metrics at the best epoch, and the course of those on select."""
    assert result.status == "finished", result.error
    metrics = {split: {name: value for name, value in each.items() if isinstance(value, float)}
               for split, each in result.metrics.items()}  # fmt: skip
    return {
        "network": pair[0], "seed": pair[1], "sample": sample, "seconds": result.seconds, "metrics": metrics,
        "history": result.history,
    }  # fmt: skip


def rows_of(
    table: Table, space: SearchSpace, task: Task, samples: list[Sample], known: Known
) -> Iterator[dict[str, Any]]:
    costs = costs_of(space, np.stack([space.encode(sample) for sample in samples]), task)
    seeds = sorted({seed for _, seed in known})
    for number, sample in enumerate(samples):
        mine = {seed: known[number, seed] for seed in seeds if (number, seed) in known}
        score = {seed: line["metrics"]["rank"]["balanced_accuracy"] for seed, line in mine.items()}
        course = list(itertools.accumulate((e["select_balanced_accuracy"] for e in mine[0]["history"]), max))
        third = table.epochs // 3
        yield {
            **sample,
            "params": costs[number].params,
            "macs": costs[number].macs,
            "cost": round(table.epochs * min(_epoch_seconds(line) for line in mine.values()), 2),
            "score": round(score[0], 5),
            f"score@{third}": round(course[third - 1], 5),
            f"score@{table.epochs}": round(course[-1], 5),
            **{f"score:{seed}": round(score[seed], 5) if seed in score else "" for seed in seeds},
            **{
                f"test:{name}": round(statistics.fmean(line["metrics"]["test"][name] for line in mine.values()), 5)
                for name in ("balanced_accuracy", "accuracy")
            },
        }


def _epoch_seconds(line: dict[str, Any]) -> float:
    """Of an ordinary epoch of a training, whatever else the machine did in others."""
    return statistics.median(row["seconds"] for row in line["history"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10: train/CLASS/..., test/CLASS/...")
    parser.add_argument("--kept", type=Path, default=Path("runs/tables"))
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the CSV")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    table = TABLES[asked.table]
    asked.kept.mkdir(parents=True, exist_ok=True)
    print(hardware(), file=sys.stderr)
    data = source_of(table.data, asked.cifar, asked.kept)
    samples, known = train(asked.table, table, data, asked.kept, asked.processes)
    opened = open_data(data)
    rows = list(rows_of(table, get_space(table.space), Task(opened.input_shape, len(opened.classes)), samples, known))
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / f"{asked.table}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
