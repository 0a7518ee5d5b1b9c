"""A search's winner, or a member of a baseline run, against baselines and other searches on the same images: sizes,
metrics, and whether a difference can be told from chance."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.config import Recipe, raise_all
from nas.errors import UsageError, attempt
from nas.report.documents import Document, document
from nas.report.intervals import of_difference
from nas.report.png_files import check_png
from nas.report.study import MeanStd, MemberRow, member_row, over_seeds
from nas.runs import Run, SearchRun, as_study
from nas.runs.events import FloorMeasured
from nas.runs.folders import SEARCHES, read_run
from nas.runs.hints import typed
from nas.runs.log import LOG_NAME
from nas.runs.named import Named, find_member
from nas.runs.trial_record import seed_number

MOST_EXACT = 16  # pairs whose every assignment of signs is counted; more are sampled
RESAMPLES = 100_000


@dataclass(frozen=True, kw_only=True)
class WinnerRow:
    """A search's winner, with metrics over the seeds that it was confirmed with."""

    run: str
    kind: str  # "evolution search"
    name: str
    network: str
    params: int
    trainable: int  # parameters
    macs: int
    recipe: Recipe
    seeds: int
    test: dict[str, MeanStd]  # by the names in ``study.REPORTED``, shares of 1 on the test split


@dataclass(frozen=True, kw_only=True)
class BaselineRow(MemberRow):
    """A member of a baseline run."""

    run: str
    kind: str = "baseline"


@dataclass(frozen=True)
class PairedTest:
    """Result of ``paired``; None where there is no pair."""

    pairs: int
    difference: float | None  # the mean of first minus other
    p: float | None
    least_p: float | None  # that so few pairs allow


@dataclass(frozen=True)
class Compared:
    """Somebody that the first is compared with."""

    row: WinnerRow | BaselineRow
    against_first: PairedTest  # of the objective
    means: MeanDifference | None  # of the objective


@dataclass(frozen=True)
class MeanDifference:
    """The mean of first minus the mean of other, over all seeds of each, and what holds it with 95 % (Welch 1947);
    None for one seed of either."""

    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SharedData:
    """The images that all were trained on."""

    name: str
    key: str  # of the images and their splits


@dataclass(frozen=True)
class Compute:
    """Compute that a run spent, or of a baseline run one member."""

    run: str  # RUN or RUN:MEMBER
    trainings: int
    epochs: int  # of all trainings, and of a supernet
    seconds: float  # of training
    mean_params: float | None  # None before the first training ended


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A search's winner or a study's member against others on the test split."""

    run: str
    objective: str
    split: str = "test"
    data: SharedData
    first: WinnerRow | BaselineRow
    others: tuple[Compared, ...]
    floor: FloorMeasured | None  # what classical methods reach on these images
    compute: tuple[Compute, ...]

    @property
    def rows(self) -> list[WinnerRow | BaselineRow]:
        """All that are compared, in their order."""
        return [self.first, *(other.row for other in self.others)]

    @property
    def title(self) -> str:
        """Name of the first, in words."""
        of_search = isinstance(self.first, WinnerRow)
        return f"Winner of {self.run}" if of_search else f"{self.first.name} of {self.run}"


def compare(sides: Sequence[Named]) -> Comparison:
    """The first, a search's winner or one member of a baseline run, against every winner and member of the others.

    UsageError unless every side has something that was scored on the test split, and all have the same data with the
    same splits.
    """
    first, runs = sides[0], list({side.run.folder.resolve(): side.run for side in sides}.values())
    errors = [other_data(first.run, run) for run in runs if run.facts.data_key != first.run.facts.data_key]
    if not isinstance(first.run, SearchRun):
        attempt(lambda: find_member(as_study(first.run), first.part), errors)  # one alone can be the first
    objective = first.run.config.objective
    found = [(side, row) for side in sides for row in attempt(partial(_rows, side, objective), errors) or []]
    raise_all(errors)
    # Who is named twice is one row: a member, and beside it its whole study.
    row, *others = {(side.run.folder.resolve(), row.name): row for side, row in found}.values()
    if not others:
        raise UsageError(f"{first.text} would be compared with itself alone: name another run, or RUN:MEMBER.")
    return Comparison(
        run=first.run.name,
        objective=objective,
        data=SharedData(first.run.facts.data_name, first.run.facts.data_key),
        first=row,
        others=tuple(_against(row.test[objective], one, objective) for one in others),
        floor=next((floor for run in runs if (floor := _floor(run)) and objective in floor.test), None),
        compute=tuple(dict.fromkeys(_compute(side) for side in sides)),
    )


def comparison_document(comparison: Comparison) -> Document:
    """A comparison as JSON: each of the others is one object, its test against the first among its metrics."""
    whole = document(comparison)
    whole["others"] = [
        {**other["row"], "against_first": other["against_first"], "difference_of_means": other["means"]}
        for other in whole["others"]
    ]
    return whole


def _against(first: MeanStd, row: WinnerRow | BaselineRow, objective: str) -> Compared:
    other = row.test[objective]
    means = None
    if first.mean is not None and other.mean is not None:
        interval = of_difference(first.values, other.values)
        low, high = (interval.low, interval.high) if interval else (None, None)
        means = MeanDifference(first.mean - other.mean, low, high)
    return Compared(row, paired(first.values, other.values), means)


def paired(first: Sequence[float], other: Sequence[float]) -> PairedTest:
    """The mean of first minus other over pairs (k-th seed with k-th seed), and the two-sided p of the exact
    sign-flip permutation test (Fisher 1935): of all 2^n assignments of signs to the n differences, the share whose
    mean is at least as far from 0. Assumes differences symmetric about 0 if there is none, and nothing else; p cannot
    be below ``least_p`` = 2 / 2^n.
    """
    count = min(len(first), len(other))
    if count == 0:
        return PairedTest(0, None, None, None)
    differences = np.asarray(first[:count]) - np.asarray(other[:count])
    least = 2 / 2**count if count <= MOST_EXACT else 1 / RESAMPLES
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
        # The assignment that was seen is counted beside those that are sampled.
        n_resamples=2**MOST_EXACT if exact else RESAMPLES - 1,
        alternative="greater",  # of the distance: two-sided of the mean
        rng=0,
    )
    return float(found.pvalue)


def draw(comparison: Comparison, path: Path) -> Path:
    """Parameters against the objective, the floor as a line; the file. UsageError if it cannot be written."""
    from nas.report.plots import Point, sizes_plot

    objective = comparison.objective
    check_png("plot", path)
    found = [(row, row.test[objective]) for row in comparison.rows]
    points = [Point(row.name, row.run, row.params, s.mean, s.std) for row, s in found if s.mean is not None]
    title = f"{comparison.title} against others on {comparison.data.name}"
    floor = comparison.floor
    line = None if floor is None else (floor.method, floor.test[objective])
    sizes_plot(path, title, objective, points, floor=line)
    return path


def _floor(run: Run) -> FloorMeasured | None:
    return run.floor if isinstance(run, SearchRun) else None


def _error(run: Run) -> str | None:
    if not isinstance(run, SearchRun):
        if as_study(run).config.as_published:
            return (
                f"Baseline run {run.name!r} was made --as-published: its members train on images of select and rank, "
                "which searches hold out. Compare with one that was made without it."
            )
        return None if run.num_ranked else f"Baseline run {run.name!r} has no finished training yet."
    return None if run.winner else f"Search {run.name!r} has no winner yet: let it finish ('nasctl resume {run.name}')."


def other_data(first: Run, run: Run) -> str:
    """Reason why two runs cannot be compared, and its cure."""

    def words(run: Run) -> str:
        size = "x".join(map(str, run.facts.input_shape))
        factor = f"imbalance {run.config.data.imbalance_factor:g}"
        return f"{run.facts.data_name} ({size}, {factor}, {sum(run.facts.counts['train']):,} training images)"

    return (
        f"Run {run.name!r} cannot be compared with {first.name!r}: it was trained on other data or splits, "
        f"{words(run)}, not {words(first)}. Train it on the same: the same --data, --imbalance and --image-size."
    )


def _rows(side: Named, objective: str) -> Sequence[WinnerRow | BaselineRow]:
    """A search's winner; of a baseline run the member that is named, or every one with a finished training.

    UsageError if what is named has no metrics on test over seeds.
    """
    if error := _error(side.run):
        raise UsageError(error)
    if isinstance(side.run, SearchRun):
        _require_winner(side.run, side.part)
        return [_winner_row(side.run, objective)]
    study = as_study(side.run)
    names = [member.name for member in study.config.members]
    if side.part is not None:
        member, training = find_member(study, side.part)
        if training is not None:
            raise UsageError(f"{side.text} is one training: name the member, with all its seeds: {study.name}:"
                             f"{member.name}.")  # fmt: skip
        names = [member.name]
    rows = [BaselineRow(run=study.name, **vars(member_row(study, name, objective))) for name in names]
    if not any(row.seeds for row in rows):
        raise UsageError(f"{side.text} has no finished training yet.")
    return [row for row in rows if row.seeds]


def _require_winner(run: SearchRun, trial_id: str | None) -> None:
    """UsageError if a trial is named that is not the winner: no other was scored on test."""
    assert run.winner
    if trial_id in (None, run.winner.trial):
        return
    trial, winner = run.trial(trial_id or ""), run.winner.trial
    if trial.id in run.winner.test:
        raise UsageError(f"{run.name}:{trial.id} is one seed of the winner: name {run.name}, which has them all.")
    raise UsageError(
        f"{run.name}:{trial.id} was not scored on test, which is used once, for the winner: name {run.name} (trial "
        f"{winner}). To have metrics of another, train it as a baseline: "
        + typed("baseline run losses --members custom-ce --arch", run.folder, trial.of)
    )


def _winner_row(run: SearchRun, objective: str) -> WinnerRow:
    assert run.winner
    trial, test = run.trials[run.winner.trial], run.winner.test
    return WinnerRow(
        run=run.name,
        kind=f"{run.config.strategy_words} search",
        name=f"trial {trial.id}",
        network=run.text(trial.sample) + ("" if run.facts.has_head else " (counted without the last layer)"),
        params=trial.cost.params,
        trainable=trial.cost.params,
        macs=trial.cost.macs,
        recipe=run.recipe(run.winner.weights),
        seeds=len(test),
        test=over_seeds([test[trial_id] for trial_id in sorted(test, key=seed_number)], objective),
    )


def _compute(side: Named) -> Compute:
    """Over all trials that ended, however they did, also of a study's searches; of a member, over its own and those of
    the search that found it."""
    run, part = side.run, side.part
    trials = list(run.trials.values())
    if not isinstance(run, SearchRun):
        trials = [trial for trial in trials if part in (None, trial.of)]
        for search in run.config.searches:
            folder = run.folder / SEARCHES / search.name
            if part in (None, *(member.name for member in search.members)) and (folder / LOG_NAME).exists():
                trials += read_run(folder).trials.values()
    trials = [trial for trial in trials if trial.status != "running"]
    supernet = run.supernet_epochs if isinstance(run, SearchRun) else []
    return Compute(
        run=run.name if isinstance(run, SearchRun) else side.text,
        trainings=len(trials),
        epochs=sum(trial.epochs for trial in trials) + len(supernet),
        seconds=sum(trial.seconds for trial in trials) + sum(row.seconds for row in supernet),
        mean_params=statistics.fmean(trial.cost.params for trial in trials) if trials else None,
    )
