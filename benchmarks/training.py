"""Gains of the parts of a long training, and of the standard training of winners.

.venv/bin/python benchmarks/training.py parts                                  on the digits, one vgg network
.venv/bin/python benchmarks/training.py parts --data cifar-lt --cifar ~/data/cifar10          5,000 images, factor 100
.venv/bin/python benchmarks/training.py teachers --seeds 5 --set epochs=60      distillation on a fixed tiny task
.venv/bin/python benchmarks/training.py winners --searches runs/quality/searches      winners after `nasctl train`

A row of `parts` and `teachers` is the same network, the same data and the same seeds with one part put in (or another
in its place): balanced accuracy on rank and on test, mean and standard deviation over seeds, and the difference to the
first row, paired by seed, with its standard error. Parts are chosen by rank; test stands beside it. What was trained
once is kept in --kept, continues after a kill, and is not trained again. Every training is a run of `nasctl train`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardware import hardware
from quality import source_of

import nas
from nas.api.handles import Study

NETWORKS = {  # of 40,000 parameters
    "digits": {"space": "vgg", "sample": {
        "depth1": 2, "depth2": 2, "depth3": 1, "depth4": 1, "depth5": 1, "growth2": 16, "growth3": 16, "growth4": 0,
        "growth5": 0, "head": 32, "kernel1": 3, "kernel2": 3, "kernel3": 3, "kernel4": 3, "kernel5": 3, "stages": 3,
        "width1": 16,
    }},
    "cifar-lt": {"space": "vgg", "sample": {
        "depth1": 1, "depth2": 2, "depth3": 2, "depth4": 1, "depth5": 1, "growth2": 8, "growth3": 16, "growth4": 32,
        "growth5": 0, "head": 0, "kernel1": 3, "kernel2": 3, "kernel3": 3, "kernel4": 3, "kernel5": 3, "stages": 4,
        "width1": 8,
    }},
}  # fmt: skip
PARTS: Mapping[str, Mapping[str, Any]] = {
    "nothing": {},
    "a third of the epochs": {"preset": "quick"},
    "moving average 0.999": {"ema": 0.999},
    "TrivialAugment": {"augment": "trivial"},
    "random erasing 0.25": {"erase": 0.25},
    "a square erased": {"cutout": 0.25},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "mixup": {"mixup": "mixup"},
    "class-aware mixup": {"mixup": "class-aware-mixup"},
    "smoothing and average": {"label_smoothing": 0.1, "ema": 0.999},
    "smoothing and mixup": {"label_smoothing": 0.1, "mixup": "mixup"},
    "mixup and average": {"mixup": "mixup", "ema": 0.999},
    "smoothing and erasing": {"label_smoothing": 0.1, "erase": 0.25},
    "LDAM, deferred weights": {"loss": "ldam", "deferred_reweighting": 0.8},
    "SGD, cosine, warm-up": {
        "optimizer": "sgd", "schedule": "cosine", "learning_rate": 0.1, "weight_decay": 5e-4, "warmup": 3,
    },
    "mirror images in scoring": {"test_flip": True},
}  # fmt: skip
TEACHERS: Mapping[str, Mapping[str, Any]] = {
    "alone": {},
    "teacher 4 times as large": {"teacher": "auto"},
    "the same, temperature 4": {"teacher": "auto", "temperature": 4},
    "the same, 0.9 of the loss": {"teacher": "auto", "teacher_weight": 0.9},
}


def trained(asked: argparse.Namespace, name: str, **settings: Any) -> Study:
    """The training called ``name``: read, resumed, or begun."""
    if (asked.kept / name).exists():
        found = nas.load_run(name, runs=asked.kept)
        assert isinstance(found, Study)
        return found.resume()
    return nas.train(run=name, runs=asked.kept, **settings)


def scores(study: Study, split: str) -> list[float]:
    """Balanced accuracy of the network that was trained, by seed."""
    trials = [trial for trial in study.member("trained").trials if trial.status == "finished"]
    return [float(trial.metrics[split]["balanced_accuracy"]) for trial in sorted(trials, key=lambda trial: trial.id)]


def side_by_side(asked: argparse.Namespace, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """A row a part."""
    for data in asked.data:
        source = source_of(data, asked.cifar, asked.kept)
        arch = asked.arch or json.dumps(NETWORKS[data])
        print(f"\n{data}, {asked.seeds} seeds, {' '.join(f'{k} {v}' for k, v in asked.settings.items())}")
        print(f"{'':<28}{'rank':>16}{'difference':>18}{'test':>16}{'difference':>18}{'seconds':>9}")
        first: dict[str, list[float]] = {}
        for row in asked.only or rows:
            name = "-".join([data, *("".join(c if c.isalnum() else "-" for c in row).split())])
            study = trained(
                asked, name, arch=arch, data=source, seeds=asked.seeds, workers=asked.workers, **asked.settings,
                **rows[row],
            )  # fmt: skip
            cells = ""
            for split in ("rank", "test"):
                values = scores(study, split)
                first.setdefault(split, values)
                cells += f"{mean_std(values):>16}{paired(values, first[split]):>18}"
            seconds = statistics.fmean(trial.seconds for trial in study.member("trained").trials)
            print(f"{row:<28}{cells}{seconds:>9.0f}", flush=True)


def winners(asked: argparse.Namespace) -> None:
    """Each search's winner before and after `nasctl train`, by the preset that was asked for."""
    print(f"{'search':<32}{'before':>16}{'after':>16}{'parameters':>12}")
    gains, after = [], []
    for folder in sorted(asked.searches.iterdir()):
        search = nas.load_run(folder)
        if not isinstance(search, nas.Search) or not search.test_scores or not folder.name.startswith(asked.prefix):
            continue
        study = trained(asked, folder.name, arch=folder, seeds=asked.seeds, workers=asked.workers, **asked.settings)
        values = scores(study, "test")
        gains.append(statistics.fmean(values) - statistics.fmean(search.test_scores))
        after.append(statistics.fmean(values))
        print(
            f"{folder.name:<32}{mean_std(search.test_scores):>16}{mean_std(values):>16}{search.best.params:>12,}",
            flush=True,
        )
    print(f"mean after {statistics.fmean(after):.4f}, gained {statistics.fmean(gains):+.4f}")


def mean_std(values: list[float]) -> str:
    return f"{statistics.fmean(values):.3f} ± {statistics.pstdev(values):.3f}"


def paired(values: list[float], others: list[float]) -> str:
    """The mean difference, seed by seed, with its standard error."""
    if values is others:
        return ""
    differences = [value - other for value, other in zip(values, others, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else math.nan
    return f"{statistics.fmean(differences):+.3f} ± {error:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["parts", "teachers", "winners"])
    parser.add_argument("--data", nargs="+", default=["digits"])
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10: train/CLASS/..., test/CLASS/...")
    parser.add_argument("--kept", type=Path, default=Path("runs/training"))
    parser.add_argument("--arch", help="another network: FILE|RUN:TRIAL")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="these rows; the first is compared with")
    parser.add_argument("--searches", type=Path, help="of winners: a folder of finished searches")
    parser.add_argument("--prefix", default="", help="of winners: searches whose names begin so")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="for all rows: epochs=100")
    asked = parser.parse_args()
    asked.settings = dict(text.split("=", 1) for text in asked.set)
    print(hardware())
    if asked.table == "winners":
        winners(asked)
    else:
        side_by_side(asked, PARTS if asked.table == "parts" else TEACHERS)


if __name__ == "__main__":
    main()
