"""Baseline studies as people read them in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from baselines import classical
from baselines.metrics import METRICS
from baselines.registry import get_network, network_names
from baselines.studies import STUDIES
from nas.config import Recipe
from nas.config.rates import optimizer_words, schedule_words
from nas.config.views import views_in_words
from nas.executors import WorkerSlot
from nas.report import metric_text
from nas.report.cautions import cautions
from nas.report.grid import grid_report
from nas.report.pictures import Pictures
from nas.report.rivals import against, against_words
from nas.report.screen import Screen
from nas.report.study import MeanStd, MemberRow, StudyReport, study_report, validation_note
from nas.report.tables.format import WIDE, compact, fitting, in_lines, make_table
from nas.report.tables.grid import print_grid
from nas.runs import StudyRun
from nas.runs.hints import typed
from nas.text import shown
from nas.units import clock, counted, memory

MOST_TIMED = 12  # members whose time and memory are told one by one
COLUMNS = {  # of the table, by metric
    "accuracy": "accuracy", "weighted_precision": "w. precision", "weighted_f1": "w. F1",
    "macro_precision": "m. precision", "macro_recall": "m. recall", "macro_f1": "m. F1", "worst_recall": "worst class",
}  # fmt: skip


MOST_CLASSES = 30  # of a table

# Columns that go first where a terminal is narrow; JSON has all.
EXPENDABLE = ("w. precision", "m. precision", "MACs", "published acc.", "w. F1", "seeds", "m. recall", "parameters")


def print_studies(console: Screen) -> None:
    """Every study with its members, and every network that a study can be made with."""
    for study in STUDIES.values():
        console.print(f"{study.name}  {study.sentence}", title=study.name, highlight=False, soft_wrap=True)
        trained = "" if study.members[0].network else f"{study.network} on "
        factor = f", imbalance {study.imbalance:g}" if study.imbalance else ""
        console.print(f"  by default: {trained}{study.data}{factor}, {counted(study.seeds, 'seed')}", highlight=False)
        names = [member.name for member in study.members]
        listed = f"{len(names):,}, {names[0]} to {names[-1]}" if study.is_grid else ", ".join(names)
        console.print(f"  members: {listed}\n", highlight=False)
    console.print(f"{classical.NAME}  {classical.SENTENCE}", title=classical.NAME, highlight=False, soft_wrap=True)
    console.print(f"  members: {', '.join(method.name for method in classical.METHODS)}\n", highlight=False)
    table = make_table("Networks for --network", ("name",), (), "what it is")
    for name in network_names():
        table.add_row(name, get_network(name).summary)
    console.print(table)


def print_study_plan(console: Screen, run: StudyRun, slots: Sequence[WorkerSlot]) -> None:
    """Print the plan of a study or of ``nasctl train``."""
    config = run.config
    lines = _training_lines(run, slots) if run.trains_one else _study_lines(run, slots)
    lines += [
        f"Weights are not here yet: they will be downloaded to {path} when the run begins"
        for path in _missing_weights(run)
    ]
    if config.keep is not None:
        which = "best on rank" if config.data.hold_out else "first"
        of_seeds = f"the weights of {counted(config.keep, 'seed')} of each member, the {which}"
        lines.append(f"Keeps   {of_seeds if config.keep else 'no weights'}")
    console.print(in_lines(console, lines), title=run.name, highlight=False, soft_wrap=True)


def _study_lines(run: StudyRun, slots: Sequence[WorkerSlot]) -> list[str]:
    config, facts = run.config, run.facts
    recipe = config.members[0].recipe
    images = sum(facts.counts["train"])
    return [
        f"{run.name}  {run.description}",
        f"Trains  {counted(run.planned_trials // config.seeds, 'member')} x {_seeds(run, slots)}",
        *([_searches(run)] if config.searches else []),
        *_time_and_data(run),
        f"Recipe  {counted(recipe.epochs, 'epoch')}{_words(recipe)}; what differs is in each member's name",
        *dict.fromkeys(
            f"        {views_in_words(member.recipe, facts.input_shape, facts.mirroring)}" for member in config.members
        ),
        *dict.fromkeys(f"Caution {words}" for member in config.members for words in cautions(member.recipe, images)),
        *([f"Splits  {note}"] if (note := validation_note(config)) else []),
        "Test    scored once per training, at its end: it is not used to choose members, seeds or epochs",
        *(f"Network {text}" for text in _fixed_networks(run)),
    ]


def _training_lines(run: StudyRun, slots: Sequence[WorkerSlot]) -> list[str]:
    config, facts = run.config, run.facts
    lines = [f"{run.name}  {run.description}"]
    for member in config.members:
        known = facts.members[member.name]
        heading = "Teacher" if member.name in config.teachers else "Network"
        size = f"{known.cost.params:,} parameters, {compact(known.cost.macs)} MACs"
        lines.append(f"{heading} {known.text}: {size}")
    (member,) = (member for member in config.members if member.name not in config.teachers)
    recipe = member.recipe
    batch = f" in batches of {recipe.batch_size}" if recipe.batch_size else ""
    lines += [
        f"Trains  {_seeds(run, slots)}",
        *_time_and_data(run),
        f"Recipe  {counted(recipe.epochs, 'epoch')}{batch} by {recipe.name}{_words(recipe)}",
        f"        {views_in_words(recipe, facts.input_shape, facts.mirroring)}",
    ]
    if member.teaching:
        lines.append(
            f"Learns  from {member.teaching.text} as well: {member.teaching.weight:g} of the loss, at "
            f"temperature {member.teaching.temperature:g}"
        )
        if strange := [t.name for t in member.teaching.teachers if t.data_key not in ("", facts.data_key)]:
            lines.append(
                f"        {', '.join(strange)} learned from other images or splits, perhaps from some that are "
                "scored here: metrics may be too optimistic"
            )
    lines += [f"Caution {words}" for words in cautions(recipe, sum(facts.counts["train"]))]
    return [*lines, "Test    scored once per training, at its end: it is not used to choose seeds or epochs"]


def _seeds(run: StudyRun, slots: Sequence[WorkerSlot]) -> str:
    devices = ", ".join(sorted({slot.device for slot in slots}))
    return f"{counted(run.config.seeds, 'seed')}, {len(slots)} in parallel on {devices}"


def _time_and_data(run: StudyRun) -> list[str]:
    facts = run.facts
    train, test = facts.counts["train"], sum(facts.counts["test"])
    shape = "x".join(map(str, facts.input_shape))
    return [
        *(
            [f"Takes   about {clock(facts.seconds)}, estimated from a few steps of each network"]
            if facts.seconds
            else []
        ),
        f"Data    {facts.data_name}: {shape}, {len(facts.classes)} classes; {sum(train):,} training images "
        f"({min(train):,} to {max(train):,} per class), {test:,} test images"
        + ("" if run.config.data.hold_out else "; no validation images are held out"),
        *(f"        {remark}" for remark in facts.data_remarks),
    ]


def _words(recipe: Recipe) -> str:
    """Of what the members of a study mostly have in common."""
    patience = f", stops early after {recipe.patience} without a lower loss" if recipe.patience else ""
    rate = "to be found by a range test" if recipe.rate_to_find else f"{recipe.learning_rate:g}"
    rates = f"{optimizer_words(recipe)}, {schedule_words(recipe)}, learning rate {rate}"
    return f"{patience}; {rates}; leaves the {recipe.keep_epoch} epoch"


def _fixed_networks(run: StudyRun) -> list[str]:
    """In words, each once."""
    members = [member for member in run.config.members if member.chosen is None]
    return list(dict.fromkeys(run.facts.members[member.name].text for member in members))


def _missing_weights(run: StudyRun) -> list[str]:
    """Files of pretrained weights that are still to be downloaded."""
    files = dict.fromkeys(str(member.settings.get("weights") or "") for member in run.config.members)
    return [file for file in files if file and not Path(file).is_file()]


def _searches(run: StudyRun) -> str:
    config = run.config
    names = ", ".join(f"{search.space} within {search.max_params:,} ({search.name})" for search in config.searches)
    images = min(config.search_images, run.facts.num_images)
    return f"Before  searches of {counted(config.search_trials, 'trial')} on {images:,} of these images: {names}"


def study_table(report: StudyReport, width: int = WIDE) -> Table:
    """A row a member: test metrics, mean and standard deviation over seeds; in ``width`` characters without some."""
    rows = report.members
    one_network = len({row.network for row in rows}) == 1
    published = any(row.published_accuracy is not None and not row.reported for row in rows)
    on_train = ["train acc."] if any(row.train for row in rows) else []
    sizes = [] if one_network else ["parameters", "MACs"]
    columns = COLUMNS | {name: name.replace("_", " ") for row in rows for name in row.test if name not in METRICS}
    numbers = [*on_train, *columns.values(), *(["published acc."] if published else []), *sizes]
    title = f"{report.study} on {report.data.name}: test split, {metric_text.unit(columns)}, mean ± std over seeds"
    cells: dict[str, list[str]] = {heading: [] for heading in ("member", "seeds", *numbers)}
    dim: list[bool] = []
    for row in rows:
        shown = [metric_text.mean_std("accuracy", row.train["accuracy"]) for _ in on_train]
        shown += [metric_text.mean_std(metric, row.test.get(metric, MeanStd.of(()))) for metric in columns]
        if published:
            share = None if row.reported else row.published_accuracy
            shown.append("-" if share is None else f"{100 * share:.2f}")
        lines = [[row.name, f"{row.seeds}", *shown, *([] if one_network else [f"{row.params:,}", compact(row.macs)])]]
        if row.reported:
            said = [metric_text.value(name, row.reported.get(name)) for name in columns]
            lines.append(["  published", *("" for _ in ("seeds", *on_train)), *said])
        for line in lines:
            dim.append(line is not lines[0])
            for heading, cell in itertools.zip_longest(cells, line, fillvalue=""):
                cells[heading].append(cell)
    kept = fitting(cells, width, EXPENDABLE)
    table = make_table(title, ("member",), list(kept)[1:])
    for is_dim, *line in zip(dim, *kept.values(), strict=True):
        table.add_row(*line, style="dim" if is_dim else None)
    return table


def validation_table(rows: Sequence[MemberRow], objective: str) -> Table:
    """Metrics on the validation images that choose nothing beside those on test; marked: where they are not honest."""
    title = f"Validation (rank) beside test: {metric_text.label(objective)}, mean ± std over seeds"
    table = make_table(title, ("member",), ("validation", "test", "validation - test"))
    for row in rows:
        validation, test = row.validation[objective], row.test[objective]
        mark = "* " if row.split_after_oversampling else "  "
        above = None if validation.mean is None or test.mean is None else validation.mean - test.mean
        shown = [metric_text.mean_std(objective, validation), metric_text.mean_std(objective, test)]
        table.add_row(mark + row.name, *shown, metric_text.difference(objective, above))
    return table


def before_table(report: StudyReport) -> Table:
    """Accuracy of each member on test before its training and after, and recall class by class; of many classes those
    of both ends."""
    rows = [row for row in report.members if row.before and row.seeds]
    title = "Before training and after: test split, %, mean over seeds"
    table = make_table(title, ("",), [f"{row.name} {when}" for row in rows for when in ("before", "after")])
    means = [found["accuracy"].mean for row in rows for found in (row.before, row.test)]
    table.add_row("accuracy", *(metric_text.value("accuracy", mean) for mean in means))
    classes = range(len(report.data.classes))
    half = MOST_CLASSES // 2
    for place in classes if len(classes) <= MOST_CLASSES else (*classes[:half], *classes[-half:]):
        values = [row.recalls[when][place] for row in rows for when in ("before", "after")]
        table.add_row(shown(report.data.classes[place]), *(metric_text.value("accuracy", value) for value in values))
    return table


def print_study(console: Screen, run: StudyRun, pictures: Pictures, report: StudyReport | None = None) -> None:
    """The report: the table, the network and its sizes, what failed, how the order agrees, where the pictures are."""
    report = report or study_report(run)
    rows = report.members
    if grid := grid_report(run, rows):
        print_grid(console, run, grid)
    else:
        console.print(study_table(report, console.width))
    _print_published(console, report)
    if any(row.before for row in rows):
        console.print(before_table(report))
    if report.validation_note:
        console.print(validation_table(rows, run.config.objective))
        console.print(f"*: {report.validation_note}", highlight=False, soft_wrap=True)
    if not run.config.data.hold_out:
        console.print("Trained on every training image: no validation images were held out.", highlight=False)
    for one in against(rows):
        console.print(against_words(one), highlight=False, soft_wrap=True)
    _print_networks(console, rows)
    if words := epoch_words(rows):
        console.print(words, highlight=False, soft_wrap=True)
    if found := report.agreement_with_published:
        console.print(
            f"Ranking compared with the published one, {found.members} members: Spearman's rank correlation "
            f"{found.spearman:.2f}",
            highlight=False,
        )
    _print_state(console, run, pictures)


def _print_published(console: Screen, report: StudyReport) -> None:
    """Print of what the published metrics beside ours are."""
    if report.reported_on:
        console.print(f"published: {report.reported_on}.", highlight=False, soft_wrap=True)
    elif any(row.reported for row in report.members):
        here = "and so do members marked * below" if report.validation_note else "here training images alone are"
        console.print(
            "published: by the origin study, trained on 593,242 images of EMNIST ByClass; it oversampled before it "
            f"split, {here}. Micro precision, recall and F1 equal the accuracy.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        if report.scaled:
            console.print(
                f"Different from the published study (its values in brackets): {'; '.join(report.scaled)}",
                highlight=False,
                soft_wrap=True,
            )


def _print_networks(console: Screen, rows: Sequence[MemberRow]) -> None:
    """Their sizes, each network once, and the trainings that failed."""
    for network in dict.fromkeys(row.network for row in rows):
        row = next(row for row in rows if row.network == network)
        trained = "all" if row.trainable == row.params else f"{row.trainable:,}"
        console.print(
            f"{network}: {row.params:,} parameters, {trained} of them trained, {compact(row.macs)} MACs",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    for row in rows:
        for trial, error in row.failed.items():
            console.print(f"{trial} failed: {error}", style="red", highlight=False, soft_wrap=True)


def epoch_words(rows: Sequence[MemberRow]) -> str:
    """Time of an epoch, scoring included, and memory at the peak of a training, of each member, or between which they
    lie; "" before one has finished."""
    times = {row.name: sum(row.seconds) / sum(row.epochs) for row in rows if sum(row.epochs)}
    most = {row.name: max(filter(None, row.training_memory)) for row in rows if any(row.training_memory)}
    if not times:
        return ""
    if len(times) > MOST_TIMED:
        ends = [f"{min(times.values()):.2f} to {max(times.values()):.2f} s"]
        ends += [f"{memory(min(most.values()))} to {memory(max(most.values()))}"] if most else []
        return f"An epoch takes, with its scoring, and a training at its peak: {', '.join(ends)}"
    at_peak = {name: f", {memory(found)}" for name, found in most.items()}
    each = (f"{name} {seconds:.2f} s{at_peak.get(name, '')}" for name, seconds in times.items())
    return f"Time per epoch, scoring included, and memory at the peak: {'; '.join(each)}"


def _print_state(console: Screen, run: StudyRun, pictures: Pictures) -> None:
    """Print how far it is, where its pictures are, how to resume it."""
    console.print(
        f"State   {run.state}: {len(run.ranked())} of {counted(run.planned_trials, 'training')} finished",
        highlight=False,
    )
    if run.searches_left:
        left = ", ".join(search.name for search in run.searches_left)
        console.print(f"Searches not done yet: {left}", highlight=False)
    if pictures.files:
        where = pictures.files[0].parent
        console.print(f"Pictures: {len(pictures.files)} files in {where}", highlight=False, soft_wrap=True)
    for remark in pictures.remarks:
        console.print(f"          {remark}", highlight=False, soft_wrap=True)
    if run.trains_one and run.is_done:
        take = typed("export --best --out model/ --run", run.folder)
        console.print(f"To get the network:  {take}", highlight=False, soft_wrap=True)
    if run.state == "stopped":
        console.print(f"To train the rest:  {typed('resume', run.folder)}", highlight=False, soft_wrap=True)
