"""Columns of TensorBoard's HParams tab, and a trial's values in them. Knows nothing of TensorBoard.

TensorBoard reads all files below the folder that it is given as one experiment, and takes the columns of one run that
it finds there. So all runs have some columns in common, and a choice carries the name of its space in the files, not
in its title: where several runs are looked at, a choice of one space never stands in the column of another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.runs import Run, SearchRun, StudyRun, TrialRecord, as_study

COMPARED = ("balanced_accuracy", "accuracy", "macro_f1", "worst_recall")  # metrics besides the objective
COSTS = {
    "parameters": "size/parameters", "MACs": "size/macs", "bytes": "size/bytes", "seconds": "trial/seconds",
    "peak memory": "size/peak_memory",
}  # fmt: skip
SCORE = "trial/score"
Value = int | str


@dataclass(frozen=True)
class Column:
    """A setting of trials: numbers, whose range is known, or words; ``values`` are all it can have, () if unknown."""

    name: str  # in the files
    title: str
    values: tuple[Value, ...] = ()
    what: str = ""

    @property
    def is_number(self) -> bool:
        return bool(self.values) and all(isinstance(value, int) for value in self.values)

    def of(self, value: Value) -> Value:
        """A value as every trial has it: a number among words is a word."""
        return value if self.is_number else str(value)


@dataclass(frozen=True)
class Metric:
    """A metric that trials are compared by."""

    tag: str
    title: str
    what: str = ""


def columns(run: Run) -> list[Column]:
    """The settings in which trials of a run differ, and those in which runs do."""
    return [*_common(run), *(_choices(run) if isinstance(run, SearchRun) else _members(as_study(run)))]


def settings(run: Run, trial: TrialRecord) -> dict[str, Value]:
    """Of one trial, by the names of the run's columns."""
    recipe = run.recipe(trial.id)
    found: dict[str, Value] = {"run": run.name, "stage": trial.stage, "epochs": recipe.epochs, "recipe": recipe.name}
    if isinstance(run, SearchRun):
        found |= {"space": run.config.space, **{_named(run, label): value for label, value in trial.sample.items()}}
    else:
        member = as_study(run).config.member(trial.of)
        found |= {
            "space": str(member.network or member.space), "member": member.name, "loss": recipe.loss,
            "oversampling": recipe.oversampling, "regularizer": recipe.regularizer,
        }  # fmt: skip
    return {column.name: column.of(found[column.name]) for column in columns(run) if column.name in found}


def metrics(run: Run) -> list[Metric]:
    """Metrics that trials of a run are compared by, under the names of ``nasctl trials`` and its ``--columns``."""
    words = run.config.objective.replace("_", " ")
    costs = {
        "MACs": "Multiply-accumulates of one image", "bytes": "Of the weights as float32",
        "peak memory": "Bytes of activations of one image", "seconds": "Of the training",
    }  # fmt: skip
    return [
        Metric(SCORE, "score", f"{words[0].upper()}{words[1:]} on {run.judged_on}"),
        *(Metric(tag, title, costs.get(title, "")) for title, tag in COSTS.items()),
        *(
            Metric(f"{split}/{name}", heading(split, name), f"On the {split} split")
            for split in (("rank", "test") if run.config.data.hold_out else ("test",))
            for name in _metrics(run)
        ),
    ]


def heading(split: str, metric: str) -> str:
    """As ``nasctl trials --columns`` heads a metric."""
    return (metric if split == "rank" else f"{split}.{metric}").replace("_", " ")


def totals(run: Run, trial: TrialRecord) -> dict[str, float]:
    """Values known of a trial when it ended, by the tags of ``metrics``."""
    cost, metrics = trial.cost, run.honest_metrics(trial)
    sizes = (cost.params, cost.macs, cost.size_bytes, trial.seconds, cost.peak_memory)
    score = trial.score_so_far(run.config.objective, run.judged_on)
    found: dict[str, float] = {} if score is None else {SCORE: score}
    found |= zip(COSTS.values(), sizes, strict=True)
    for split in ("rank", "test"):
        found |= of_split(run, split, metrics.get(split, {}))
    return found


def of_split(run: Run, split: str, metrics: Mapping[str, object]) -> dict[str, float]:
    """The metrics of a split that are compared, by the tags of ``metrics``."""
    return {
        f"{split}/{name}": float(value) for name in _metrics(run) if isinstance(value := metrics.get(name), int | float)
    }


def _metrics(run: Run) -> list[str]:
    return list(dict.fromkeys((run.config.objective, *COMPARED)))


def _common(run: Run) -> list[Column]:
    """Columns that every run has. Those without values can be any: another run's are not known here."""
    if isinstance(run, SearchRun):
        stages: tuple[Value, ...] = ("search", "confirm")
        epochs: tuple[Value, ...] = (run.config.recipe.epochs, run.config.final_epochs)
    else:
        stages, epochs = ("study",), tuple(member.recipe.epochs for member in as_study(run).config.members)
    return [
        Column("run", "run"),
        Column("space", "space or network"),
        Column("recipe", "recipe"),
        Column("stage", "stage", stages, "confirm: trained again with another seed"),
        Column("epochs", "epochs", epochs),
    ]


def _choices(run: SearchRun) -> list[Column]:
    return [Column(_named(run, choice.label), choice.label, choice.values) for choice in run.space.choices]


def _named(run: SearchRun, label: str) -> str:
    return f"{run.config.space}.{label}"


def _members(run: StudyRun) -> list[Column]:
    members = run.config.members
    words = {
        "member": [member.name for member in members],
        "loss": [member.recipe.loss for member in members],
        "oversampling": [member.recipe.oversampling for member in members],
        "regularizer": [member.recipe.regularizer for member in members],
    }
    return [Column(name, name, tuple(dict.fromkeys(values))) for name, values in words.items()]
