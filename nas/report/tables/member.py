"""One member of a baseline run as people read it in a terminal."""

from __future__ import annotations

from dataclasses import replace

from rich.table import Table

from baselines.metrics import METRICS
from nas.config.recipe_rules import active_settings
from nas.config.views import views_in_words
from nas.report import metric_text
from nas.report.member import MemberReport, Training
from nas.report.screen import Screen
from nas.report.study import study_report, validation_note
from nas.report.tables.format import make_table
from nas.report.tables.study import COLUMNS, study_table
from nas.runs import StudyRun
from nas.runs.hints import typed
from nas.units import counted, memory

SPLITS = ("select", "rank", "test")


def print_member(console: Screen, run: StudyRun, member: MemberReport) -> None:
    """Its network and recipe, a row a training, test metrics over seeds beside published ones, what failed."""
    _print_head(console, run, member)
    console.print(_trainings_table(member))
    console.print(study_table(replace(study_report(run), members=(member,)), console.width))
    if member.reported:
        more = typed("report", run.folder)
        _print_line(console, f"published: by the origin study on its own data; '{more}' says what differs.")
    _print_end(console, run, member.trainings, member.name)


def print_training(console: Screen, run: StudyRun, member: MemberReport, training: Training) -> None:
    """One training of a member: network and recipe, and its metrics on every split."""
    _print_head(console, run, member)
    kept = f"{training.weights_bytes:,} bytes of weights are kept" if training.weights else "no weights are kept"
    _print_line(console, f"Training {training.id}: {training.status}, {counted(training.epochs, 'epoch')}, "
                f"{training.seconds:.1f} s, seed {training.seed}; {kept}")  # fmt: skip
    if training.metrics:
        own = {} if member.objective in METRICS else {member.objective: member.objective.replace("_", " ")}
        columns = COLUMNS | own
        table = make_table(f"Metrics of {training.id}, {metric_text.unit(own)}", ("split",), tuple(columns.values()))
        for split in SPLITS:
            found = training.metrics.get(split, {})
            table.add_row(split, *(metric_text.value(name, _number(found.get(name))) for name in columns))
        console.print(table)
    _print_end(console, run, (training,), training.id)


def _print_head(console: Screen, run: StudyRun, member: MemberReport) -> None:
    trained = "all" if member.trainable == member.params else f"{member.trainable:,}"
    settings = (
        f"{name.replace('_', ' ')} {value}" for name, value in active_settings(member.recipe).items() if name != "flip"
    )
    lines = [
        f"{member.run}:{member.name}  {member.label}; study {member.study} on {run.facts.data_name}",
        f"Network {member.network}",
        f"        {member.params:,} parameters, {trained} of them trained; {member.macs:,} MACs; "
        f"{member.size_bytes:,} bytes of weights; {member.peak_memory:,} bytes of activations",
        f"Recipe  {', '.join(settings)}",
        f"        {views_in_words(member.recipe, run.facts.input_shape, run.facts.mirroring)}",
    ]
    if member.split_after_oversampling and (note := validation_note(run.config)):
        lines.append(f"Splits  {note}")
    console.print("\n".join(lines), title=f"{member.run}:{member.name}", highlight=False, soft_wrap=True)


def _trainings_table(member: MemberReport) -> Table:
    words = member.objective.replace("_", " ")
    title = f"Trainings, {len(member.epochs)} of {member.planned_seeds} finished; {words} by split, weights in bytes"
    table = make_table(title, ("training", "status"), ("epochs", "seconds", "s/epoch", "memory", *SPLITS, "weights"))
    for one in member.trainings:
        scores = [metric_text.decimal(_number(one.metrics.get(split, {}).get(member.objective))) for split in SPLITS]
        kept = (
            f"{one.weights_bytes:,}" if one.weights else "-" if one.status in ("running", "interrupted") else "not kept"
        )
        each = f"{one.seconds / one.epochs:.2f}" if one.epochs else "-"
        most = memory(one.training_memory) if one.training_memory else "-"
        table.add_row(one.id, one.status, str(one.epochs), f"{one.seconds:.1f}", each, most, *scores, kept)
    return table


def _print_end(console: Screen, run: StudyRun, trainings: tuple[Training, ...], part: str) -> None:
    """Print what failed, and how to get the network, if that is to be had."""
    for one in trainings:
        if one.error:
            console.print(f"{one.id} {one.status}: {one.error}", style="red", highlight=False,
                          soft_wrap=True)  # fmt: skip
    if any(one.weights for one in trainings):
        _print_line(console, f"To get the network:  {typed('export --out model/ --trial', run.folder, part)}")


def _print_line(console: Screen, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _number(metric: object) -> float | None:
    return float(metric) if isinstance(metric, int | float) else None
