"""The report of a study, or of the long training of one network: its table first, then pictures of every member."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from nas.analysis.record import analysis_folder, kept_analysis
from nas.config.rates import optimizer_words, schedule_words
from nas.errors import RunError
from nas.report import metric_text
from nas.report.grid import best_members
from nas.report.html import provenance
from nas.report.html.architecture import drawn
from nas.report.html.classes import analysis_parts, filters, recall_figure, thumbs
from nas.report.html.grid import grid_section
from nas.report.html.markup import Cell, Markup, Part, Row, commands, facts, folded, joined, name_of, number, table, tag
from nas.report.html.page import Section, page, side_by_side
from nas.report.html.svg import Plot, figure, key, linear, logarithmic
from nas.report.metric_text import decimal
from nas.report.recalls import averaged
from nas.report.study import MeanStd, MemberRow, StudyReport, finished, study_report
from nas.runs import StudyRun
from nas.runs.hints import typed
from nas.units import clock, counted
from search_spaces import get_space

REREAD = 15  # seconds
MOST_POINTS = 40  # of a curve
LARGEST, ALL = 600_000, 6_000_000  # bytes of a picture that is put into the page, and of all
DRAWN = ("learning", "recall", "class-bars", "class_bars")  # pictures that the page draws itself
SERIES = 4  # colours of members; then they come again
HEADINGS = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced", "macro_precision": "macro precision",
    "macro_recall": "macro recall", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "worst_recall": "worst class",
}  # fmt: skip


def study_page(run: StudyRun, *, settings: str | None = None, watched: bool = False) -> str:
    """The whole page; see ``search_page``."""
    report = study_report(run)
    sections = [
        Section("answer", "What was found", _answer(run, report, settings)),
        Section("grid", "The grid", grid_section(run, report)),
        Section("sizes", "Size and learning", side_by_side(_sizes(run, report), _curves(run))),
        Section("classes", "Classes", side_by_side(*_recalls(run))),
        Section("architecture", "Architecture", _architectures(run)),
        Section("analysis", "What the networks do", _analyses(run)),
        Section("pictures", "Pictures", _pictures(run.folder / "report")),
        Section("trainings", "Every training", _trainings(run)),
        Section("data", "Data", provenance.data(run)),
        Section("recipes", "Recipes", _recipes(report)),
        Section("time", "Time", provenance.time(run)),
        Section("failures", "Failures and notes", provenance.failures(run)),
        Section("versions", "Versions", provenance.versions(run)),
    ]
    heading = tag("p", f"{run.description}; {counted(report.seeds, 'seed')}; data ", name_of(report.data.name), "; ",
                  tag("strong", report.state, class_=f"state {report.state}"))  # fmt: skip
    again = REREAD if watched and run.state == "running" else None
    return page(f"nasctl: {run.name}", heading, sections, again_in=again)


def _best(known: Sequence[MemberRow], report: StudyReport, objective: str) -> tuple[MemberRow, str]:
    """The best member, and in words by which images: those that are held out for validation, if they are honest, since
    the best on test would be chosen by test."""
    on_rank = {row.name: row.validation[objective].mean for row in known if objective in row.validation}
    if report.validation_note or len(on_rank) < len(known) or None in on_rank.values():
        return max(known, key=lambda row: row.test[objective].mean or 0.0), "on test"
    return max(known, key=lambda row: on_rank[row.name] or 0.0), "on rank (validation)"


def _answer(run: StudyRun, report: StudyReport, settings: str | None) -> Markup:
    objective = run.config.objective
    known = [row for row in report.members if row.test.get(objective) and row.test[objective].mean is not None]
    parts: list[Part] = []
    if not known:
        parts.append(tag("p", f"No training has finished yet; {run.planned_trials} are planned.", class_="answer"))
    else:
        best, by = _best(known, report, objective)
        parts.append(tag(
            "p", tag("strong", percent(objective, best.test[objective])),
            f" {objective.replace('_', ' ')} on test has ", tag("strong", best.label),
            f" ({best.params:,} parameters, {counted(best.seeds, 'seed')})"
            + (f", the best of {len(known)} members {by}." if len(known) > 1 else "."), class_="answer",
        ))  # fmt: skip
    if report.state != "done":
        ended = run.num_ended("study")
        parts.append(tag("p", f"The run is not done: {ended} of {counted(run.planned_trials, 'training')} have ended."))
    parts.append(_members(report, objective))
    notes = [f"Different from the published study (its values in brackets): {'; '.join(report.scaled)}."] if (
        report.scaled) else []  # fmt: skip
    if report.agreement_with_published:
        found = report.agreement_with_published
        notes.append(
            f"Our ranking and the published one have a Spearman correlation of {found.spearman:.2f} "
            f"({found.members} members)."
        )
    if report.reported_on and any(row.reported for row in report.members):
        notes.append(f"Published: {report.reported_on}.")
    notes += [report.validation_note] if report.validation_note else []
    parts += [tag("p", note, class_="note") for note in notes]
    lines = [("Resume it", typed("resume", run.folder))] if report.state == "stopped" else []
    lines.append(("Hand over a network", typed("export --out model/ --run", run.folder)))
    command = "train" if run.trains_one else "baseline run"
    if settings is None:
        again = f"{typed('config', run.folder)} > run.toml && nasctl {command} --config run.toml"
        lines.append(("Repeat it: write the settings to a file, then run them", again))
    else:
        lines.append(("Repeat it, with the settings below saved as run.toml", f"nasctl {command} --config run.toml"))
        parts.append(folded("run.toml", tag("pre", tag("code", settings), tabindex="0")))
    return joined(parts[:-1] if settings else parts, tag("h3", "To repeat it, and to resume it"), commands(lines),
                  parts[-1:] if settings else None)  # fmt: skip


def percent(name: str, found: MeanStd) -> str:
    """Mean and standard deviation with their unit, in a sentence."""
    return metric_text.mean_std(name, found) + (" %" if metric_text.mark(name) else "")


def _members(report: StudyReport, objective: str) -> Markup:
    shown = dict.fromkeys((*([] if objective in HEADINGS else [objective]), *HEADINGS))
    published = any(row.published_accuracy is not None for row in report.members)
    headings = ["member", "parameters", "trainable", "MACs", "seeds",
                *(["accuracy before training"] if (before := any(row.before for row in report.members)) else []),
                *(["accuracy on train"] if (on_train := any(row.train for row in report.members)) else []),
                *(HEADINGS.get(name, name.replace("_", " ")) for name in shown),
                *(["published accuracy"] if published else [])]  # fmt: skip
    rows = []
    for row in report.members:
        beside = [*([row.before["accuracy"]] if before else []), *([row.train["accuracy"]] if on_train else [])]
        cells = [number(found.mean, metric_text.mean_std("accuracy", found)) for found in beside]
        cells += [
            number(row.test[name].mean, metric_text.mean_std(name, row.test[name])) if name in row.test else Cell("-")
            for name in shown
        ]
        if published:
            known = row.published_accuracy
            cells.append(number(known, metric_text.value("accuracy", known)))
        rows.append(Row([row.label, number(row.params), number(row.trainable), number(row.macs), number(row.seeds),
                         *cells], trial=row.name))  # fmt: skip
    unit = metric_text.unit(shown)
    return table(headings, rows, caption=f"Members on the test split, {unit}, mean ± standard deviation over seeds",
                 sortable=True, id="members")  # fmt: skip


def _sizes(run: StudyRun, report: StudyReport) -> Markup | None:
    objective = run.config.objective
    points = [(row, row.test[objective]) for row in report.members if row.test[objective].mean is not None]
    if len(points) < 2:
        return None
    plot = Plot(logarithmic("parameters (logarithmic)", [row.params for row, _ in points]),
                linear(f"{objective.replace('_', ' ')} on test", [v for _, s in points for v in s.values]))  # fmt: skip
    for place, (row, found) in enumerate(points):
        assert found.mean is not None
        kind = f"c{place % SERIES}"
        for value in found.values:
            plot.dot(
                row.params, value, f"{kind} faint", f"{row.label}: one seed, {decimal(value)}", trial=row.name, size=3
            )
        plot.square(
            row.params,
            found.mean,
            kind,
            f"{row.label}: {metric_text.mean_std(objective, found)}\n{row.params:,} parameters",
            trial=row.name,
        )
    words = f"{len(points)} members by parameters and {objective.replace('_', ' ')} on test."
    legend = key(("c0 square", "mean of a member"), ("c0 faint", "one seed"))
    return figure("Accuracy against size", plot.drawn(words), None, "The values are in the table above.", legend)


def _curves(run: StudyRun) -> Markup | None:
    name, lines = f"select_{run.config.objective}", list[tuple[str, str, list[tuple[float, float]]]]()
    for member in map(run.config.member, best_members(run)):
        for trial in finished(run, member.name):
            curve = [(row["epoch"], row[name]) for row in run.history(trial) if name in row]
            every = -(-len(curve) // MOST_POINTS)
            if curve:
                lines.append((member.name, trial.id, [*curve[:-1:every], *curve[-1:]]))
    if not lines:
        return None
    plot = Plot(
        linear("epoch", [1, max(x for *_, curve in lines for x, _ in curve)], whole=True),
        linear(f"{run.config.objective.replace('_', ' ')} on select", [y for *_, c in lines for _, y in c]),
    )
    order = [member.name for member in run.config.members]
    for member_name, trial_id, curve in lines:
        plot.line(curve, f"c{order.index(member_name) % SERIES} faint", f"{run.config.member(member_name).label}, "
                  f"{trial_id}", trial=member_name)  # fmt: skip
    rows = [Row([trial_id, number(curve[0][1], decimal(curve[0][1])), number(curve[-1][1], decimal(curve[-1][1]))])
            for _, trial_id, curve in lines]  # fmt: skip
    behind = table(("training", "first", "last"), rows, caption=f"{plot.y.label} by epoch")
    note = "Each line is one training; hover over it to see its member." if len(order) > 1 else None
    return figure("Learning curves", plot.drawn(f"Learning curves of {len(lines)} trainings."), behind, note)


def _recalls(run: StudyRun) -> list[Markup]:
    made = []
    for member in map(run.config.member, best_members(run)):
        found = averaged(run, "test", [trial.metrics["test"] for trial in finished(run, member.name)])
        if found is not None:
            made.append(recall_figure(found, f"{member.label}: " if len(run.config.members) > 1 else ""))
    return made


def _analyses(run: StudyRun) -> Markup | None:
    """Of those trainings whose analysis was kept."""
    parts: list[Part] = []
    for trial in run.stage("study"):
        try:
            analysis = kept_analysis(run.folder, trial.id)
        except RunError as error:
            parts.append(tag("p", f"The analysis of {trial.id} cannot be shown: {' '.join(error.args)}"))
            continue
        if analysis is not None:
            folder = analysis_folder(run.folder, trial.id)
            parts += [tag("h3", trial.id), tag("div", analysis_parts(analysis, folder), class_="grid2"),
                      thumbs(analysis, folder), filters(analysis, folder)]  # fmt: skip
    return joined(parts) if parts else None


def _pictures(folder: Path) -> Markup | None:
    """PNG files of the study, put into the page as far as there is room."""
    made, left, bytes_left = list[Part](), 0, ALL
    for path in (
        sorted(path for path in folder.glob("*.png") if not path.stem.startswith(DRAWN)) if folder.is_dir() else ()
    ):
        try:
            size = path.stat().st_size
            if size > min(LARGEST, bytes_left):
                left += 1
                continue
            content = path.read_bytes()
        except OSError:
            continue
        bytes_left -= size
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        title = path.stem.replace("-", " ").replace("_", " ")
        made.append(tag("figure", tag("figcaption", title), tag("img", src=source, alt=title, class_="picture",
                                                                )))  # fmt: skip
    if not made:
        return None
    more = f"{counted(left, 'picture')} more, too large for this page, in the run's folder report/."
    return joined(tag("div", made, class_="grid2"), tag("p", more, class_="note") if left else None)


def _architectures(run: StudyRun) -> Markup | None:
    """Of members whose networks are of a space; the layers of fixed ones are told by 'nasctl show'."""
    parts = []
    for member in run.config.members:
        if member.space is not None and not run.plugin_errors:
            tree = get_space(member.space).structure(member.sample, run.task)
            words = "x".join(map(str, run.facts.input_shape)) + " image"
            parts.append(drawn(tree, f"{member.label}: {run.facts.members[member.name].text}", words))
    return joined(parts) if parts else None


def _trainings(run: StudyRun) -> Markup:
    objective, rows = run.config.objective, []
    for trial in run.stage("study"):
        test = trial.metrics.get("test", {}).get(objective)
        value = test if isinstance(test, float) else None
        rows.append(Row([Cell(trial.id, trial.order), Cell(status := run.status(trial)), number(value, decimal(value)),
                         number(trial.epochs), number(round(trial.seconds, 1), clock(trial.seconds)),
                         trial.error or ""], status=status))  # fmt: skip
    headings = ("training", "status", f"{objective.replace('_', ' ')} on test", "epochs", "time", "why it failed")
    return table(headings, rows, caption="Trainings", sortable=True, id="trainings-table")


def _recipes(report: StudyReport) -> Markup:
    def words(row: MemberRow) -> str:
        recipe = row.recipe
        beside = f" + {recipe.metric_loss}" if recipe.metric_loss != "none" else ""
        loss = f"{recipe.loss}{beside}" if recipe.classification_weight else recipe.metric_loss
        loss += ", then an SVM" if recipe.svm_head else ""
        return (f"{row.network}; {recipe.name}, {loss}, {optimizer_words(recipe)} {recipe.learning_rate:g}, "
                f"{schedule_words(recipe)}, weight decay {recipe.weight_decay:g}, oversampling {recipe.oversampling}, "
                f"{counted(recipe.epochs, 'epoch')} in batches of {recipe.batch_size}")  # fmt: skip

    return facts((row.label, words(row)) for row in report.members)
