"""Report on a study that is a grid: the best cells of each network, and what each axis does to the score."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from baselines.studies import STUDIES, is_grid
from baselines.studies.photo_grid import BEST
from nas.config.options import base_name
from nas.config.run import MemberConfig
from nas.report.intervals import Interval, over_seeds
from nas.report.study import MemberRow
from nas.runs import StudyRun

TOP, LEAST = 5, 3  # cells of a network that are shown; cells that an interval takes


@dataclass(frozen=True)
class Cell:
    """One cell: where it lies in the grid, and how its network scored; scores are means over seeds."""

    member: str
    network: str
    pretrained: bool
    learning_rate: float
    weight_decay: float
    decay: float
    filled: str  # the oversampler by which classes are filled up; "none"
    validation: float | None  # the objective on rank
    test: float | None  # the accuracy on test


@dataclass(frozen=True)
class BestOfNetwork:
    """The best cells of a network by validation, the first of which stands for it."""

    network: str
    text: str
    cells: int  # that finished
    top: tuple[Cell, ...]
    recall_by_class: dict[str, float]  # of the best one, on test
    published: float | None  # test accuracy of the best cell published, a share of 1; on other photos


@dataclass(frozen=True)
class Influence:
    """Cells that have one value on one axis: mean and 95 % interval of their scores. ``against_network``: the same of
    each cell's validation score less the mean of its network's, since networks differ most and have no equal shares of
    a sample."""

    axis: str
    value: str
    cells: int
    validation: float
    validation_interval: Interval | None
    test: float
    test_interval: Interval | None
    against_network: float
    against_interval: Interval | None
    scores: tuple[float, ...]  # of validation


@dataclass(frozen=True)
class Filled:
    """Training images of each class before and after minority classes are filled up."""

    before: dict[str, int]
    after: dict[str, int]


@dataclass(frozen=True)
class GridReport:
    """Report on a grid, as far as its cells have finished."""

    cells: int  # of the whole study
    of_run: int
    finished: int
    best: tuple[BestOfNetwork, ...]  # by validation, the best first
    influence: tuple[Influence, ...]
    filled: Filled | None  # None: no cell is filled up


def grid_report(run: StudyRun, rows: Sequence[MemberRow]) -> GridReport | None:
    """The report on a grid, from the rows of its members; None of other studies."""
    if not is_grid(run.config.study):
        return None
    objective = run.config.objective
    cells = [_cell(run.config.member(row.name), row, objective) for row in rows]
    done = [cell for cell in cells if cell.validation is not None]
    return GridReport(
        cells=len(STUDIES[run.config.study].members),
        of_run=len(cells),
        finished=len(done),
        best=_best(run, done, {row.name: row for row in rows}),
        influence=tuple(_influences(done, objective)),
        filled=_filled(run, cells),
    )


def best_members(run: StudyRun) -> list[str]:
    """Members that pictures are drawn of: of a grid the best of each network by validation, of other studies all."""
    if not is_grid(run.config.study):
        return [member.name for member in run.config.members]
    by_network = dict[str, tuple[float, str]]()
    for trial in run.ranked():
        network, score = str(run.config.member(trial.of).network), trial.score(run.config.objective, run.judged_on)
        if score is not None and (network not in by_network or score > by_network[network][0]):
            by_network[network] = (score, trial.of)
    return [name for _, name in by_network.values()]


def _cell(member: MemberConfig, row: MemberRow, objective: str) -> Cell:
    recipe = member.recipe
    return Cell(
        member=member.name,
        network=str(member.network),
        pretrained=bool(member.settings.get("weights")),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        decay=recipe.decay,
        filled=base_name(recipe.oversampling),
        validation=row.validation[objective].mean if row.validation else row.test[objective].mean,
        test=row.test["accuracy"].mean,
    )


def _best(run: StudyRun, done: Sequence[Cell], rows: Mapping[str, MemberRow]) -> tuple[BestOfNetwork, ...]:
    found = list[BestOfNetwork]()
    for network in dict.fromkeys(cell.network for cell in done):
        mine = sorted((cell for cell in done if cell.network == network), key=lambda cell: -(cell.validation or 0.0))
        best, row = mine[0], rows[mine[0].member]
        recalls = _recalls(run, best.member)
        published = BEST[network] / 100 if network in BEST else None
        found.append(BestOfNetwork(network, row.network, len(mine), tuple(mine[:TOP]), recalls, published))
    return tuple(sorted(found, key=lambda one: -(one.top[0].validation or 0.0)))


def _recalls(run: StudyRun, member: str) -> dict[str, float]:
    trials = [t for t in run.stage("study") if t.of == member and t.status == "finished"]
    of_each = [t.metrics["test"]["recall_by_class"] for t in trials]
    means = [statistics.fmean(map(float, values)) for values in zip(*of_each, strict=True)]
    return dict(zip(run.facts.classes, means, strict=True))


def _influences(done: Sequence[Cell], objective: str) -> list[Influence]:
    """Of every axis that takes more than one value here."""
    own_mean = {
        network: statistics.fmean(c.validation for c in done if c.network == network and c.validation is not None)
        for network in {cell.network for cell in done}
    }
    found = list[Influence]()
    for axis, value_of in _axes().items():
        groups = dict[str, list[Cell]]()
        for cell in sorted(done, key=lambda cell: _order(axis, cell)):
            groups.setdefault(value_of(cell), []).append(cell)
        if len(groups) < 2:
            continue
        for value, cells in groups.items():
            scores = [cell.validation or 0.0 for cell in cells]
            tests = [cell.test or 0.0 for cell in cells]
            against = [score - own_mean[cell.network] for score, cell in zip(scores, cells, strict=True)]
            found.append(
                Influence(
                    axis, value, len(cells), statistics.fmean(scores), _interval(scores, objective),
                    statistics.fmean(tests), _interval(tests, "accuracy"), statistics.fmean(against),
                    _interval(against, ""), tuple(scores),
                )
            )  # fmt: skip
    return found


def _interval(scores: list[float], name: str) -> Interval | None:
    return over_seeds(scores, name) if len(scores) >= LEAST else None


def _axes() -> dict[str, Callable[[Cell], str]]:
    return {
        "network": lambda cell: cell.network,
        "weights": lambda cell: "pretrained" if cell.pretrained else "from scratch",
        "learning rate": lambda cell: f"{cell.learning_rate:g}",
        "weight decay": lambda cell: f"{cell.weight_decay:g}",
        "gamma": lambda cell: f"{cell.decay:g}",
        "classes": lambda cell: "as they are" if cell.filled == "none" else "filled up",
    }


def _order(axis: str, cell: Cell) -> tuple[float, str]:
    number = {"learning rate": cell.learning_rate, "weight decay": cell.weight_decay, "gamma": cell.decay}.get(axis, 0)
    return number, _axes()[axis](cell)


def _filled(run: StudyRun, cells: Sequence[Cell]) -> Filled | None:
    if all(cell.filled == "none" for cell in cells):
        return None
    before = dict(zip(run.facts.classes, map(int, run.facts.counts["train"]), strict=True))
    return Filled(before, dict.fromkeys(before, max(before.values())))
