"""A search's winner against baselines and other searches on the same images: sizes, figures, and whether a
difference can be told from chance."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import UsageError
from nas.report.study import REPORTED, member_row, scalar, seed_number, spread
from nas.runs import Run, SearchRun, as_search, as_study

MOST_EXACT = 16  # pairs whose every assignment of signs is counted; more are drawn
DRAWS = 100_000


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """The first run's winner against every member or winner of the others, as JSON.

    UsageError unless the first is a finished search, every other run has something that was scored on the test split,
    and all have the same data with the same splits.
    """
    first, others = as_search(runs[0]), runs[1:]
    faults = [fault for run in runs if (fault := _fault(run))]
    faults += [_other_data(first, run) for run in others if run.facts.data_key != first.facts.data_key]
    if faults:
        raise UsageError(*faults)
    winner = _winner_row(first)
    objective = first.config.objective
    rows = [row for run in others for row in _rows(run)]
    for row in rows:
        row["against_winner"] = paired(winner["test"][objective]["values"], row["test"][objective]["values"])
    return {
        "run": first.name,
        "objective": objective,
        "split": "test",
        "data": {"name": first.facts.data_name, "key": first.facts.data_key},
        "winner": winner,
        "others": rows,
        "compute": [_compute(run) for run in runs],
    }


def paired(winner: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """The mean of winner minus other over pairs (k-th seed with k-th seed), and the two-sided p of the exact
    sign-flip permutation test (Fisher 1935): of all 2^n assignments of signs to the n differences, the share whose
    mean is at least as far from 0. Assumes differences symmetric about 0 if there is none, and nothing else; p cannot
    be below ``least_p`` = 2 / 2^n. None where there is no pair.
    """
    count = min(len(winner), len(other))
    if count == 0:
        return {"pairs": 0, "difference": None, "p": None, "least_p": None}
    differences = np.asarray(winner[:count]) - np.asarray(other[:count])
    least = 2 / 2**count if count <= MOST_EXACT else 1 / DRAWS
    p = _sign_flip_p(differences) if count > 1 else least  # scipy takes two pairs or more
    return {"pairs": count, "difference": float(differences.mean()), "p": p, "least_p": least}


def _sign_flip_p(differences: npt.NDArray[np.float64]) -> float:
    """The share of the assignments of signs to ``differences`` whose mean is at least as far from 0."""
    from scipy.stats import permutation_test  # takes a second

    def distance(sample: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
        # Rounded, so that means that are equal by their terms do not differ by the order of the sum.
        rounded: npt.NDArray[np.float64] = np.round(np.abs(sample.mean(axis=axis)), 12)
        return rounded

    exact = len(differences) <= MOST_EXACT
    found = permutation_test(
        (differences,),
        distance,
        permutation_type="samples",
        vectorized=True,
        # The assignment that was seen is counted beside those that are drawn.
        n_resamples=2**MOST_EXACT if exact else DRAWS - 1,
        alternative="greater",  # of the distance: two-sided of the mean
        rng=0,
    )
    return float(found.pvalue)


def draw(document: dict[str, Any], path: Path) -> Path:
    """Parameters against the objective, baselines marked; the file. UsageError if it cannot be written."""
    from nas.report.plots import Point, sizes_plot

    objective = document["objective"]
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot {path} is no PNG: let its name end in .png.")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent}. Make it first, or choose another.")
    rows = [document["winner"], *document["others"]]
    points = [
        Point(row["name"], row["run"], row["params"], row["test"][objective]["mean"], row["test"][objective]["std"])
        for row in rows
    ]
    words = objective.replace("_", " ")
    sizes_plot(path, f"Winner of {document['run']} against baselines on {document['data']['name']}", words, points)
    return path


def _fault(run: Run) -> str | None:
    if not isinstance(run, SearchRun):
        return None if run.num_ranked else f"Baseline run {run.name!r} has no finished training yet."
    return None if run.winner else f"Search {run.name!r} has no winner yet: let it finish ('nasctl resume {run.name}')."


def _other_data(first: Run, run: Run) -> str:
    def words(run: Run) -> str:
        size = "x".join(map(str, run.facts.input_shape))
        factor = f"imbalance {run.config.data.imbalance_factor:g}"
        return f"{run.facts.data_name} ({size}, {factor}, {sum(run.facts.counts['train']):,} images to train)"

    return (
        f"Run {run.name!r} cannot be compared with {first.name!r}: it was trained on other data or splits, "
        f"{words(run)}, not {words(first)}. Train it on the same: the same --data, --imbalance and --image-size."
    )


def _rows(run: Run) -> list[dict[str, Any]]:
    """Every member of a baseline run with a finished training, or a search's winner."""
    if isinstance(run, SearchRun):
        return [_winner_row(run)]
    study = as_study(run)
    rows = [member_row(study, member.name) | {"run": run.name, "kind": "baseline"} for member in study.config.members]
    return [row for row in rows if row["seeds"]]


def _winner_row(run: SearchRun) -> dict[str, Any]:
    assert run.winner
    trial = run.trials[run.winner.trial]
    tests = [run.winner.test[name] for name in sorted(run.winner.test, key=seed_number)]
    return {
        "run": run.name,
        "kind": f"{run.config.strategy} search",
        "name": f"trial {trial.id}",
        "network": run.space.text(trial.sample),
        "params": trial.cost.params,
        "trainable": trial.cost.params,
        "macs": trial.cost.macs,
        "recipe": run.config.recipe.model_dump(mode="json"),
        "seeds": len(tests),
        "test": {figure: spread([scalar(test, figure) for test in tests]) for figure in REPORTED},
    }


def _compute(run: Run) -> dict[str, Any]:
    """What a run spent: trainings, epochs of them all, and seconds of training."""
    trials = [trial for trial in run.trials.values() if trial.status != "running"]
    supernet = run.supernet_epochs if isinstance(run, SearchRun) else []
    return {
        "run": run.name,
        "trainings": len(trials),
        "epochs": sum(trial.epochs for trial in trials) + len(supernet),
        "seconds": sum(trial.seconds for trial in trials) + sum(row.seconds for row in supernet),
        "mean_params": statistics.fmean(trial.cost.params for trial in trials) if trials else None,
    }
