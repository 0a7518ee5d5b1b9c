"""Scores of trials by recipe, length and batch, on several data sets, networks and seeds; and of whole searches.

.venv/bin/python benchmarks/quality.py recipes                              ways to meet an imbalance, on the digits
.venv/bin/python benchmarks/quality.py lengths --data digits
.venv/bin/python benchmarks/quality.py precisions --data digits                 what bfloat16 costs
.venv/bin/python benchmarks/quality.py rates --data digits           learning rates: what makes single trainings fail
.venv/bin/python benchmarks/quality.py recipes --cifar ~/data/cifar10 --data cifar-lt     5,000 images, factor 100
.venv/bin/python benchmarks/quality.py lengths --cifar ~/data/cifar10 --data photos-300 photos-1000
.venv/bin/python benchmarks/quality.py searches --spaces vgg cell --seeds 1 -- --trials 12      `nasctl search`, typed

Every row trains the same networks, sampled at random within the budget, with the same seeds, one thread each, and gives
the mean and the standard deviation over all of them of balanced accuracy on rank and on test. Nothing is chosen by
test metrics. What was trained once is kept in --kept and not trained again. Photos are images of CIFAR-10, enlarged:
they stand for small folders of photos, which they are not.

The table of searches has a row a space: the winner over the seeds of its confirmation (without one, its only training),
mean and standard deviation over the seeds of the search, beside the floor. Flags after -- go to `nasctl search`; a
search that is in --kept is read, or resumed. --program starts another version of nasctl, to compare.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hardware import hardware

from budgets import Budget
from budgets.sampling import resolve_budget, sample_feasible
from nas.config import DataConfig, Recipe
from nas.config.recipe_rules import UNUSUAL
from nas.data import Split, open_data, register_oversampler
from nas.data.oversampling.registry import SEED, Synthetic, class_counts
from nas.training.precision import BFLOAT16, Execution
from nas.trials import TrialResult, TrialSpec
from search_spaces import Task, get_space

LENGTHS = (24, 48, 96, 192)
BATCHES = (16, 32, 64)
RATES = (0.01, 0.003, 0.001, 0.03)  # the default first: the others are compared with it
RECIPES = {
    "custom-ce": Recipe(),
    "custom-ce + prior": Recipe(prior_tau=1),
    "custom-ce, post hoc": Recipe(post_hoc_tau=1),
    "balanced softmax": Recipe(loss="balanced-softmax"),
    "custom-ce, Borderline-SMOTE": Recipe(oversampling="borderline-smote"),
    "balanced softmax, filled up halfway": Recipe(loss="balanced-softmax", oversampling="halfway"),
}


@register_oversampler("halfway")
def copies_halfway(split: Split) -> Synthetic:
    """Copies of rare images until a class has half as many as the largest: the loss corrects for the other half."""
    counts, rng = class_counts(split.labels), np.random.default_rng(SEED)
    enough = -(-max(counts.values()) // 2)
    chosen = np.concatenate(
        [
            np.resize(rng.permutation(np.flatnonzero(split.labels == label)), max(0, enough - count))
            for label, count in counts.items()
        ]
    )
    return Synthetic(split.stored, split.labels[chosen], rows=split.rows[chosen])


@dataclass(frozen=True)
class Job:
    """One training of a row."""

    row: str
    spec: TrialSpec

    @property
    def key(self) -> str:
        """A name that equal trainings share, in every version of this script."""
        spec = self.spec
        later = {name for name in UNUSUAL if getattr(spec.recipe, name) == Recipe.model_fields[name].get_default()}
        recipe = spec.recipe.model_dump(exclude=later)  # settings that came later, where they change nothing
        what = [spec.space, spec.sample, spec.data.model_dump(mode="json"), recipe, spec.seed]
        what += [str(spec.execution)] if spec.execution else []
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]


def source_of(name: str, cifar: Path | None, kept: Path) -> DataConfig:
    """The data set called ``name``; those from CIFAR-10 are cut once and kept."""
    if name == "digits":
        return DataConfig(imbalance=20)
    sizes = {
        "cifar-lt": (5000, 32, 100), "cifar-lt-1500": (1500, 32, 100), "cifar-3000": (3000, 32, 1),
        "photos-300": (300, 64, 20), "photos-300-even": (300, 64, 1),
        "photos-1000": (1000, 48, 20), "photos-1000-even": (1000, 48, 1),
    }  # fmt: skip
    images, side, imbalance = sizes[name]
    path = kept / f"{name}.npz"
    if not path.exists():
        assert cifar is not None, f"{name} is cut from CIFAR-10: give --cifar FOLDER"
        kept.mkdir(parents=True, exist_ok=True)
        cut(cifar, path, images=images, side=side, imbalance=imbalance)
    return DataConfig(source=str(path))


def cut(cifar: Path, path: Path, *, images: int, side: int, imbalance: float) -> None:
    """Write a long-tailed part of CIFAR-10 with ``images`` to train, and 100 a class to test."""
    from PIL import Image

    classes = sorted(folder.name for folder in (cifar / "train").iterdir())
    shares = imbalance ** (-np.arange(len(classes)) / (len(classes) - 1))
    counts = np.maximum(2, np.round(images * shares / shares.sum())).astype(int)

    def read(part: str, numbers: Sequence[int]) -> tuple[npt.NDArray[np.uint8], list[int]]:
        pixels, labels = [], []
        for label, (name, number) in enumerate(zip(classes, numbers, strict=True)):
            files = sorted((cifar / part / name).iterdir())
            for index in np.random.default_rng(label).permutation(len(files))[:number]:
                with Image.open(files[index]) as image:
                    pixels.append(np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)))
                labels.append(label)
        return np.stack(pixels), labels

    train, labels = read("train", [int(count) for count in counts])
    test, test_labels = read("test", [100] * len(classes))
    np.savez(path, images=train, labels=labels, test_images=test, test_labels=test_labels)


def networks(space: str, data: DataConfig, most: int, count: int) -> list[dict[str, int | str]]:
    """``count`` samples that fit the budget, of sizes distributed over its range, the same ones every time."""
    opened = open_data(data)
    family, task = get_space(space), Task(opened.input_shape, len(opened.classes))
    budget, _ = resolve_budget(family, task, Budget(max_params=most))
    rows = sample_feasible(family, task, budget, np.random.default_rng(0))[0]
    return [family.decode(row) for row in rows[:: max(1, len(rows) // count)][:count]]


def jobs_of(rows: dict[str, Row], asked: argparse.Namespace, data: DataConfig) -> list[Job]:
    opened = open_data(data)
    jobs = []
    for space in asked.spaces:
        for sample in networks(space, data, asked.max_params, asked.networks):
            for row, (recipe, execution) in rows.items():
                for seed in range(asked.seeds):
                    spec = TrialSpec(
                        "1", space, sample, opened.input_shape, len(opened.classes), data, recipe, seed,
                        test_after=True, execution=execution,
                    )  # fmt: skip
                    jobs.append(Job(row, spec))
    return jobs


def trained(job: Job) -> TrialResult:
    import torch

    from nas.trials.run_trial import run_trial

    torch.set_num_threads(1)
    return run_trial(job.spec, "cpu")


def results_of(jobs: list[Job], kept: Path, processes: int) -> dict[str, dict[str, float]]:
    """Metrics by the key of the job; the file in ``kept`` grows by a line a training."""
    path = kept / "trainings.jsonl"
    kept.mkdir(parents=True, exist_ok=True)
    known = {}
    if path.exists():
        known = {row["key"]: row for row in map(json.loads, path.read_text().splitlines())}
    missing = [job for job in jobs if job.key not in known]
    with ProcessPoolExecutor(processes) as pool, path.open("a") as file:
        for done, (job, result) in enumerate(zip(missing, pool.map(trained, missing), strict=True), start=1):
            assert result.status == "finished", result.error
            scores = {name: result.metrics[name]["balanced_accuracy"] for name in ("rank", "test")}
            row = {"key": job.key, **scores, "seconds": result.seconds}
            file.write(json.dumps(row) + "\n")
            file.flush()
            known[job.key] = row
            print(f"\r{done} of {len(missing)} trainings", end="", flush=True)
    print("\r", end="")
    return known


def show(rows: Sequence[str], jobs: list[Job], metrics: dict[str, dict[str, float]]) -> None:
    print(f"{'':<46} {'rank':>14} {'test':>14} {'worst':>6} {'seconds':>8}")
    for row in rows:
        mine = [metrics[job.key] for job in jobs if job.row == row]
        shown = [_mean_std(v) for v in columns(mine, "rank", "test")]
        worst = min(metric["test"] for metric in mine)
        seconds = statistics.fmean(metric["seconds"] for metric in mine)
        print(f"{row:<46} {shown[0]:>14} {shown[1]:>14} {worst:>6.3f} {seconds:>8.1f}")


def show_pairs(rows: Sequence[str], jobs: list[Job], metrics: dict[str, dict[str, float]]) -> None:
    """Print the differences of the other rows from the first, training by training: same network, same seed."""
    of_row = {row: [metrics[job.key] for job in jobs if job.row == row] for row in rows}
    for row in rows[1:]:
        pairs = list(zip(of_row[row], of_row[rows[0]], strict=True))
        words = []
        for split in ("rank", "test"):
            differences = [mine[split] - first[split] for mine, first in pairs]
            error = statistics.stdev(differences) / len(differences) ** 0.5
            words.append(f"{split} {statistics.fmean(differences):+.4f} (standard error {error:.4f})")
        print(f"{row} less {rows[0]}, {len(pairs)} pairs: {', '.join(words)}")


def columns(metrics: list[dict[str, float]], *names: str) -> list[list[float]]:
    return [[metric[name] for metric in metrics] for name in names]


Row = tuple[Recipe, Execution | None]  # None: what is usual on a CPU


def recipes(asked: argparse.Namespace) -> dict[str, Row]:
    """Ways to meet an imbalance, trained equally long."""
    changes = {"epochs": asked.epochs, "batch_size": asked.batch_size}
    return {name: (RECIPES[name].model_copy(update=changes), None) for name in asked.only}


def precisions(asked: argparse.Namespace) -> dict[str, Row]:
    """Rows for the cost of bfloat16: the default of uneven classes in both."""
    changes = {"epochs": asked.epochs, "batch_size": asked.batch_size}
    recipe = RECIPES["custom-ce + prior"].model_copy(update=changes)
    return {str(each): (recipe, each) for each in (Execution("channels_last"), BFLOAT16)}


def lengths(asked: argparse.Namespace) -> dict[str, Row]:
    """Epochs and batches, with the prior in the loss."""
    base = RECIPES["custom-ce + prior"]
    return {
        f"{epochs} epochs, batch {size}": (base.model_copy(update={"epochs": epochs, "batch_size": size}), None)
        for epochs in asked.lengths
        for size in asked.batches
    }


def rates(asked: argparse.Namespace) -> dict[str, Row]:
    """Highest learning rates of the schedule; "worst" says how far single trainings fall."""
    changes = {"epochs": asked.epochs, "batch_size": asked.batch_size}
    base = RECIPES["custom-ce + prior"].model_copy(update=changes)
    return {f"learning rate {rate}": (base.model_copy(update={"learning_rate": rate}), None) for rate in RATES}


TABLES: dict[str, Callable[[argparse.Namespace], dict[str, Row]]] = {
    "recipes": recipes, "lengths": lengths, "precisions": precisions, "rates": rates
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """Result of one search: balanced accuracy, and the time it took."""

    rank: float
    test: float
    floor: float | None
    params: int
    seconds: float
    pruned: int


def searched(asked: argparse.Namespace, space: str, data: str, seed: int) -> Found:
    """Carry out a search as it is typed, or read it if it was done before."""
    source = source_of(data, asked.cifar, asked.kept).source
    name = f"{asked.label}{space}-{data}-{asked.max_params}-{seed}"
    folder = asked.kept / "searches"
    where = ["--run", name, "--runs", str(folder)]
    command = ["--space", space, "--max-params", str(asked.max_params), "--data", source, "--seed", str(seed)]

    def nasctl(*words: str) -> str:
        line = [*shlex.split(asked.program), *words]
        return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout

    if not (folder / name).exists():
        nasctl("search", *command, *where, *asked.flags, "--quiet")
    elif json.loads(nasctl("status", *where, "--json"))["state"] != "done":
        nasctl("resume", name, *where[2:], "--quiet")
    run = json.loads(nasctl("status", *where, "--json"))
    trials = {trial["id"]: trial for trial in json.loads(nasctl("trials", *where, "--json"))}
    winner, floor = run["winner"], run.get("floor")
    return Found(
        statistics.fmean(trials[trial]["metrics"]["rank"]["balanced_accuracy"] for trial in winner["test"]),
        statistics.fmean(metrics["balanced_accuracy"] for metrics in winner["test"].values()),
        floor and floor["test"]["balanced_accuracy"],
        trials[winner["trial"]]["params"],
        run["seconds"],
        run["trials"]["pruned"],
    )


def searches(asked: argparse.Namespace) -> None:
    """A row a space and data set: what whole searches find, beside the floor."""
    print(f"at most {asked.max_params:,} parameters, seeds {asked.seeds}, {' '.join(asked.flags) or 'defaults'}")
    print(
        f"{'data':<16} {'space':<10} {'rank':>14} {'test':>14} {'floor':>6} {'params':>8} {'minutes':>8} {'pruned':>6}"
    )
    for data in asked.data:
        for space in asked.spaces:
            found = [searched(asked, space, data, seed) for seed in range(asked.seeds)]
            rank, test = (_mean_std([f.rank for f in found]), _mean_std([f.test for f in found]))
            floor = "-" if found[0].floor is None else f"{found[0].floor:.3f}"
            params, minutes, pruned = (
                statistics.fmean(v)
                for v in ([f.params for f in found], [f.seconds / 60 for f in found], [f.pruned for f in found])
            )
            scores = f"{data:<16} {space:<10} {rank:>14} {test:>14} {floor:>6}"
            print(f"{scores} {params:>8,.0f} {minutes:>8.1f} {pruned:>6.1f}", flush=True)


def _mean_std(values: list[float]) -> str:
    return f"{statistics.fmean(values):.3f} ± {statistics.pstdev(values):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=[*TABLES, "searches"])
    parser.add_argument("--data", nargs="+", default=["digits"])
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10: train/CLASS/..., test/CLASS/...")
    parser.add_argument("--kept", type=Path, default=Path("runs/quality"))
    parser.add_argument("--spaces", nargs="+", default=["vgg", "mobilenet"])
    parser.add_argument("--networks", type=int, default=2, help="of each space")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-params", type=int, default=150_000)
    parser.add_argument("--epochs", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="rows of recipes")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--program", default=str(Path(sys.executable).with_name("nasctl")), help="of searches")
    parser.add_argument("--label", default="", help="before the names of searches, to keep versions apart")
    parser.add_argument("flags", nargs="*", help="after --: for nasctl search")
    asked = parser.parse_intermixed_args()  # the table, options, and flags after --
    print(hardware())
    if asked.table == "searches":
        searches(asked)
        return
    rows = TABLES[asked.table](asked)
    for name in asked.data:
        data = source_of(name, asked.cifar, asked.kept)
        jobs = jobs_of(rows, asked, data)
        metrics = results_of(jobs, asked.kept, asked.processes)
        print(f"\n{name}: {asked.networks} networks of each of {', '.join(asked.spaces)}, {asked.seeds} seeds")
        show(list(rows), jobs, metrics)
        show_pairs(list(rows), jobs, metrics)


if __name__ == "__main__":
    main()
