"""Report on a baseline run, derived from its log."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from baselines import get_network
from baselines.studies import STUDIES, get_study
from baselines.verification import METRICS as VERIFICATION
from nas.config import Recipe
from nas.config.recipe import Metrics
from nas.config.run import MemberConfig, StudyConfig
from nas.runs import StudyRun, TrialRecord
from nas.runs.trial_record import seed_number

ORIGIN_IMAGES, ORIGIN_SIDE, ORIGIN_INPUT = 593_242, 28, 224  # of the origin study: to train, pixels, of its ResNet-18
REPORTED = (
    "accuracy", "weighted_precision", "weighted_f1", "macro_precision", "macro_recall", "macro_f1", "balanced_accuracy",
    "worst_recall",
)  # fmt: skip


@dataclass(frozen=True)
class MeanStd:
    """A metric over seeds: mean and sample standard deviation, None where there are too few values."""

    mean: float | None
    std: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Mean and standard deviation of ``values``, one for each seed; it may be empty."""
        mean = statistics.fmean(values) if values else None
        return cls(mean, statistics.stdev(values) if len(values) > 1 else None, tuple(values))


@dataclass(frozen=True, kw_only=True)
class MemberRow:
    """One member of a study: its network with its sizes, its recipe, and metrics over its seeds."""

    name: str
    label: str
    network: str
    params: int
    trainable: int  # parameters
    macs: int
    recipe: Recipe
    seeds: int  # that finished
    test: dict[str, MeanStd]  # by the names in ``REPORTED`` and the objective's, shares of 1 on the test split
    validation: dict[str, MeanStd]  # the same on rank; empty where no images are held out
    train: dict[str, MeanStd]  # the same on the images it was trained on; empty where those are not scored
    before: dict[str, MeanStd]  # the same on test before training; empty where that is not scored
    recalls: dict[str, tuple[float, ...]]  # "before" and "after" training, of each class on test; empty as ``before``
    split_after_oversampling: bool  # so that metrics on select and rank are not honest
    published_accuracy: float | None  # a share of 1
    reported: dict[str, float]  # the origin study's metrics on its own data, shares of 1; empty: it had none such
    epochs: tuple[int, ...]  # by seed, as ``seconds``
    seconds: tuple[float, ...]
    training_memory: tuple[int | None, ...]  # bytes at the peak; None: not known
    failed: dict[str, str | None]  # the error, by id of the training
    chosen: str | None = None  # "found" by a search, or "random"; None: the network was given
    beside: str | None = None  # the member with the fixed network that it is set beside


@dataclass(frozen=True)
class Agreement:
    """Agreement of our order of the members with the published one."""

    spearman: float  # rank correlation of mean test accuracies
    members: int  # that have both


@dataclass(frozen=True)
class StudyData:
    """Data that a study was trained on."""

    name: str
    key: str  # of the images and their splits
    counts: dict[str, list[int]]  # by split, how many images of each class
    classes: tuple[str, ...]
    imbalance: float  # factor of the training split


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """Report on a baseline run; its fields are the keys of the JSON document."""

    run: str
    study: str
    sentence: str
    state: str
    data: StudyData
    seeds: int
    split: str = "test"
    reported_on: str | None  # on what other data the published metrics were; None: those of the origin study, if any
    scaled: list[str]  # in what the trainings differ from the published ones beside them
    validation_note: str | None  # what is wrong with metrics on select and rank, if anything is
    members: tuple[MemberRow, ...]
    agreement_with_published: Agreement | None
    notes: list[str]
    seconds: float
    versions: dict[str, str]


def study_report(run: StudyRun) -> StudyReport:
    """The report of a baseline run, also of one that is not finished."""
    config, facts = run.config, run.facts
    rows = tuple(member_row(run, member.name) for member in config.members)
    return StudyReport(
        run=run.name,
        study=config.study,
        sentence=config.sentence,
        state=run.state,
        data=StudyData(facts.data_name, facts.data_key, facts.counts, facts.classes, config.data.imbalance_factor),
        seeds=config.seeds,
        reported_on=reported_on(config),
        scaled=scaled(run),
        validation_note=validation_note(config),
        members=rows,
        agreement_with_published=agreement([(row.published_accuracy, row.test["accuracy"].mean) for row in rows]),
        notes=run.notes,
        seconds=run.elapsed,
        versions=run.versions,
    )


def reported_on(config: StudyConfig) -> str | None:
    """Data of the published metrics of a study's members, in words; None: the origin study's, or there are none."""
    return STUDIES[config.study].reported_on if config.study in STUDIES else None


def scaled(run: StudyRun) -> list[str]:
    """In what members with metrics of the origin study are trained otherwise than they were there, the study's in
    brackets: "epochs 15 (10)"; where members differ, all of either."""
    members = [member for member in run.config.members if member.reported and member.network]
    if not members or reported_on(run.config):
        return []
    study = {member.name: member for member in get_study(run.config.study).members}
    images, (_, height, width) = sum(run.facts.counts["train"]), run.facts.input_shape
    side = members[0].settings.get("input_size")
    pairs: dict[str, tuple[set[int | None], set[int | None]]]
    pairs = {"images to train": ({images}, {ORIGIN_IMAGES})}
    pairs["pixels a side"] = ({side}, {ORIGIN_INPUT}) if side else ({height, width}, {ORIGIN_SIDE})
    for name, setting in (("epochs", "epochs"), ("batch", "batch_size"), ("patience", "patience")):
        theirs = [
            {**get_network(member.network or "").recipe, **study[member.name].recipe_when_large} for member in members
        ]
        pairs[name] = (
            {getattr(member.recipe, setting) for member in members}, {recipe.get(setting) for recipe in theirs}
        )  # fmt: skip
    return [f"{name} {_listed(ours)} ({_listed(theirs)})" for name, (ours, theirs) in pairs.items() if ours != theirs]


def _listed(values: Iterable[int | None]) -> str:
    return ", ".join("none" if value is None else f"{value:,}" for value in sorted(values, key=lambda v: v or 0))


def validation_note(config: StudyConfig) -> str | None:
    """Warning about the validation metrics of members that are oversampled before they are split; None: there are no
    such members."""
    dishonest = [member.name for member in config.members if config.oversamples_first(member.name)]
    if not dishonest:
        return None
    return (
        f"--as-published: for {', '.join(dishonest)} images are oversampled before they are split, 85 % to train and "
        "15 % to validate (select, rank), as in the origin study. So images that were made from validation "
        "images are trained on: validation metrics are too optimistic. Those on test, which is split off "
        "first, are not."
    )


def member_row(run: StudyRun, name: str, objective: str | None = None) -> MemberRow:
    """The row of the member called ``name``, over those of its trainings that finished; with another run's
    ``objective``, where it is set beside that run."""
    member, facts = run.config.member(name), run.facts.members[name]
    trials, objective = finished(run, name), objective or run.config.objective
    of_rank = [trial.metrics["rank"] for trial in trials]
    return MemberRow(
        name=name,
        label=member.label,
        network=facts.text,
        params=facts.cost.params,
        trainable=facts.trainable,
        macs=facts.cost.macs,
        recipe=member.recipe,
        seeds=len(trials),
        test=over_seeds([trial.metrics["test"] for trial in trials], objective),
        validation=over_seeds(of_rank, objective) if run.config.data.hold_out else {},
        train=over_seeds([trial.metrics["train"] for trial in trials], objective) if run.config.score_train else {},
        before=over_seeds([trial.metrics["before"] for trial in trials], objective) if run.config.score_before else {},
        recalls=_recalls(trials) if run.config.score_before else {},
        split_after_oversampling=run.config.oversamples_first(name),
        published_accuracy=_published(member),
        reported=member.reported,
        epochs=tuple(trial.epochs for trial in trials),
        seconds=tuple(trial.seconds for trial in trials),
        training_memory=tuple(trial.training_memory for trial in trials),
        failed={t.id: t.error for t in run.stage("study") if t.of == name and t.status == "failed"},
        chosen=member.chosen,
        beside=member.beside,
    )


def _recalls(trials: Sequence[TrialRecord]) -> dict[str, tuple[float, ...]]:
    """Recall of each class on test before and after training, on average over seeds."""
    found = {}
    for when, name in (("before", "before"), ("after", "test")):
        by_seed = [recalls for trial in trials if isinstance(recalls := trial.metrics[name]["recall_by_class"], list)]
        found[when] = tuple(statistics.fmean(float(str(each)) for each in of) for of in zip(*by_seed, strict=True))
    return found


def _published(member: MemberConfig) -> float | None:
    return member.reported.get("accuracy") if member.published is None else member.published / 100


def finished(run: StudyRun, member: str) -> list[TrialRecord]:
    """The trainings of a member that finished, by the number of their seed."""
    trials = [t for t in run.stage("study") if t.of == member and t.status == "finished"]
    return sorted(trials, key=lambda trial: seed_number(trial.id))


def scalar(metrics: Metrics, name: str) -> float:
    """One of the metrics that are a number."""
    metric = metrics[name]
    assert isinstance(metric, (int, float)), name
    return float(metric)


def over_seeds(metrics: Sequence[Metrics], objective: str) -> dict[str, MeanStd]:
    """Every reported metric and the objective over seeds, from the metrics of each on one split."""
    # Runs begun before a metric was recorded, or ranked by another objective, have none.
    pairs = [name for name in VERIFICATION if any(name in one for one in metrics)]
    names = dict.fromkeys((*REPORTED, objective, *pairs))
    return {name: MeanStd.of([scalar(one, name) for one in metrics if name in one]) for name in names}


def agreement(accuracies: Sequence[tuple[float | None, float | None]]) -> Agreement | None:
    """Spearman's rank correlation of (published, ours) by member, over those that have both.

    None below three of them, or where either side is all equal.
    """
    both = [(published, ours) for published, ours in accuracies if published is not None and ours is not None]
    if len(both) < 3:
        return None
    published, ours = zip(*both, strict=True)
    if len(set(published)) == 1 or len(set(ours)) == 1:
        return None
    from scipy.stats import spearmanr  # takes a second

    return Agreement(float(spearmanr(published, ours).statistic), len(both))
