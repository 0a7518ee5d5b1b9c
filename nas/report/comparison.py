"""A search's winner against baselines and other searches on the same images: sizes, figures, and whether a
difference can be told from chance."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.config import Recipe
from nas.errors import UsageError
from nas.report.documents import Document, document
from nas.report.study import MemberRow, Spread, member_row, spreads
from nas.runs import Run, SearchRun, as_search, as_study
from nas.runs.events import FloorMeasured
from nas.runs.trial_record import seed_number

MOST_EXACT = 16  # pairs whose every assignment of signs is counted; more are drawn
DRAWS = 100_000


@dataclass(frozen=True, kw_only=True)
class WinnerRow:
    """A search's winner, with figures over the seeds that it was confirmed with."""

    run: str
    kind: str  # "evolution search"
    name: str
    network: str
    params: int
    trainable: int  # parameters
    macs: int
    recipe: Recipe
    seeds: int
    test: dict[str, Spread]  # by the names in ``study.REPORTED``, shares of 1 on the test split


@dataclass(frozen=True, kw_only=True)
class BaselineRow(MemberRow):
    """A member of a baseline run."""

    run: str
    kind: str = "baseline"


@dataclass(frozen=True)
class PairedTest:
    """What ``paired`` found; None where there is no pair."""

    pairs: int
    difference: float | None  # the mean of winner minus other
    p: float | None
    least_p: float | None  # that so few pairs allow


@dataclass(frozen=True)
class Compared:
    """Somebody that the winner is compared with."""

    row: WinnerRow | BaselineRow
    against_winner: PairedTest  # of the objective


@dataclass(frozen=True)
class SharedData:
    """The images that all were trained on."""

    name: str
    key: str  # of the images and their splits


@dataclass(frozen=True)
class Compute:
    """What a run spent."""

    run: str
    trainings: int
    epochs: int  # of all trainings, and of a supernet
    seconds: float  # of training
    mean_params: float | None  # None before the first training ended


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A search's winner against others on the test split."""

    run: str
    objective: str
    split: str = "test"
    data: SharedData
    winner: WinnerRow
    others: tuple[Compared, ...]
    floor: FloorMeasured | None  # what classical methods reach on these images
    compute: tuple[Compute, ...]

    @property
    def rows(self) -> list[WinnerRow | BaselineRow]:
        """All that are compared, the winner first."""
        return [self.winner, *(other.row for other in self.others)]


def compare(runs: Sequence[Run]) -> Comparison:
    """The first run's winner against every member or winner of the others.

    UsageError unless every run has something that was scored on the test split, and all have the same data with the
    same splits. RunError unless the first is a search.
    """
    first, others = as_search(runs[0]), runs[1:]
    faults = [fault for run in runs if (fault := _fault(run))]
    faults += [_other_data(first, run) for run in others if run.facts.data_key != first.facts.data_key]
    if faults:
        raise UsageError(*faults)
    winner, objective = _winner_row(first), first.config.objective
    rows = [row for run in others for row in _rows(run)]
    return Comparison(
        run=first.name,
        objective=objective,
        data=SharedData(first.facts.data_name, first.facts.data_key),
        winner=winner,
        others=tuple(Compared(row, paired(winner.test[objective].values, row.test[objective].values)) for row in rows),
        floor=next((run.floor for run in runs if isinstance(run, SearchRun) and run.floor), None),
        compute=tuple(_compute(run) for run in runs),
    )


def comparison_document(comparison: Comparison) -> Document:
    """A comparison as JSON: each of the others is one object, its test against the winner among its figures."""
    whole = document(comparison)
    whole["others"] = [{**other["row"], "against_winner": other["against_winner"]} for other in whole["others"]]
    return whole


def paired(winner: Sequence[float], other: Sequence[float]) -> PairedTest:
    """The mean of winner minus other over pairs (k-th seed with k-th seed), and the two-sided p of the exact
    sign-flip permutation test (Fisher 1935): of all 2^n assignments of signs to the n differences, the share whose
    mean is at least as far from 0. Assumes differences symmetric about 0 if there is none, and nothing else; p cannot
    be below ``least_p`` = 2 / 2^n.
    """
    count = min(len(winner), len(other))
    if count == 0:
        return PairedTest(0, None, None, None)
    differences = np.asarray(winner[:count]) - np.asarray(other[:count])
    least = 2 / 2**count if count <= MOST_EXACT else 1 / DRAWS
    p = _sign_flip_p(differences) if count > 1 else least  # scipy takes two pairs or more
    return PairedTest(count, float(differences.mean()), p, least)


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


def draw(comparison: Comparison, path: Path) -> Path:
    """Parameters against the objective, the floor as a line; the file. UsageError if it cannot be written."""
    from nas.report.plots import Point, sizes_plot

    objective = comparison.objective
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot {path} is no PNG: let its name end in .png.")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent}. Make it first, or choose another.")
    spreads_by_row = [(row, row.test[objective]) for row in comparison.rows]
    points = [Point(row.name, row.run, row.params, s.mean, s.std) for row, s in spreads_by_row if s.mean is not None]
    title = f"Winner of {comparison.run} against baselines on {comparison.data.name}"
    floor = comparison.floor
    line = None if floor is None else (floor.method, floor.test[objective])
    sizes_plot(path, title, objective.replace("_", " "), points, floor=line)
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


def _rows(run: Run) -> Sequence[WinnerRow | BaselineRow]:
    """Every member of a baseline run with a finished training, or a search's winner."""
    if isinstance(run, SearchRun):
        return [_winner_row(run)]
    study = as_study(run)
    rows = [BaselineRow(run=study.name, **vars(member_row(study, member.name))) for member in study.config.members]
    return [row for row in rows if row.seeds]


def _winner_row(run: SearchRun) -> WinnerRow:
    assert run.winner
    trial, test = run.trials[run.winner.trial], run.winner.test
    return WinnerRow(
        run=run.name,
        kind=f"{run.config.strategy} search",
        name=f"trial {trial.id}",
        network=run.space.text(trial.sample),
        params=trial.cost.params,
        trainable=trial.cost.params,
        macs=trial.cost.macs,
        recipe=run.recipe(run.winner.weights),
        seeds=len(test),
        test=spreads([test[trial_id] for trial_id in sorted(test, key=seed_number)]),
    )


def _compute(run: Run) -> Compute:
    """Over all trials that ended, however they did."""
    trials = [trial for trial in run.trials.values() if trial.status != "running"]
    supernet = run.supernet_epochs if isinstance(run, SearchRun) else []
    return Compute(
        run=run.name,
        trainings=len(trials),
        epochs=sum(trial.epochs for trial in trials) + len(supernet),
        seconds=sum(trial.seconds for trial in trials) + sum(row.seconds for row in supernet),
        mean_params=statistics.fmean(trial.cost.params for trial in trials) if trials else None,
    )
