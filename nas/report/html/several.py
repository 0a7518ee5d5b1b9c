"""The report of several runs on the same images: strategies over seeds, spaces on one front, winners beside each
other."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.config.settings import flattened
from nas.errors import NasctlError, UsageError
from nas.report.comparison import BaselineRow, Comparison, WinnerRow, compare, other_data, paired
from nas.report.html import provenance
from nas.report.html.markup import Cell, Markup, Part, Row, commands, joined, number, table, tag
from nas.report.html.page import Section, page, side_by_side
from nas.report.html.smaller import front_of
from nas.report.html.svg import Plot, figure, key, linear, logarithmic
from nas.report.html.trials import best_so_far, bulk, tip
from nas.report.intervals import of_difference, over_seeds
from nas.report.metric_text import decimal
from nas.report.study import MeanStd
from nas.runs import SearchRun, StudyRun
from nas.runs.hints import typed
from nas.runs.named import Named
from nas.units import clock, counted

SERIES = 7  # colours
MOST_SETTINGS = 40


@dataclass(frozen=True)
class Group:
    """Searches that differ by their seed alone: of one strategy in one space."""

    words: str
    runs: list[SearchRun]

    @property
    def scores(self) -> list[float]:
        """Of the winners on test, by the seed of the search."""
        return [statistics.fmean(run.test_scores) for run in sorted(self.runs, key=lambda run: run.config.seed)
                if run.test_scores]  # fmt: skip


def several_page(runs: Sequence[SearchRun | StudyRun]) -> str:
    """The whole page. UsageError if they were not trained on the same images."""
    first = runs[0]
    errors = [other_data(first, run) for run in runs[1:] if run.facts.data_key != first.facts.data_key]
    if errors:
        raise UsageError(*errors)
    searches = [run for run in runs if isinstance(run, SearchRun)]
    comparison, remark = _compared(runs)
    sections = [
        Section("answer", "What was found", joined(_answer(runs, comparison), [tag("p", remark)] if remark else None,
                                                   _winners(comparison, runs) if comparison else None)),
        Section("groups", "Strategies and spaces over seeds", _groups(searches)),
        Section("course", "Size and progress", side_by_side(_front(runs), _course(searches))),
        Section("runs", "Every run", joined(_runs(runs), _settings(searches))),
        Section("data", "Data", provenance.data(first)),
        Section("versions", f"Software versions ({first.name})", provenance.versions(first)),
    ]  # fmt: skip
    heading = tag(
        "p", f"{len(runs)} runs on ", tag("bdi", first.facts.data_name), ": ", ", ".join(r.name for r in runs)
    )
    return page(f"nasctl: {len(runs)} runs compared", heading, sections)


def _compared(runs: Sequence[SearchRun | StudyRun]) -> tuple[Comparison | None, str | None]:
    ready = [run for run in runs if isinstance(run, StudyRun) or run.winner]
    ready.sort(key=lambda run: isinstance(run, StudyRun))  # a search that others are held against
    if len(ready) < 2 or isinstance(ready[0], StudyRun):
        return None, "Fewer than two of the runs have a winner, so their metrics on test are not compared yet."
    try:
        return compare([Named(run) for run in ready]), None
    except NasctlError as error:
        return None, f"Not compared on test: {' '.join(error.args)}"


def _answer(runs: Sequence[SearchRun | StudyRun], comparison: Comparison | None) -> Markup:
    objective = runs[0].config.objective
    rows = [row for row in comparison.rows if row.test[objective].mean is not None] if comparison else []
    if not rows:
        return tag("p", f"{len(runs)} runs, none of which can be compared with another on test yet.", class_="answer")
    ranked = sorted(rows, key=lambda row: -(row.test[objective].mean or 0.0))
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    parts: list[Part] = [
        tag("p", "Best on test: ", tag("strong", f"{best.run}: {best.name}"), f", {_mean_std(best.test[objective])} "
            f"{objective.replace('_', ' ')} with {best.params:,} parameters and {best.macs:,} MACs.", class_="answer")
    ]  # fmt: skip
    if second is not None:
        parts.append(tag("p", _verdict(best, second, objective)))
    least = min(rows, key=lambda row: row.params)
    if least is not best:
        parts.append(tag("p", f"Smallest: {least.run}: {least.name}, {_mean_std(least.test[objective])} with "
                         f"{least.params:,} parameters{_below(comparison, least, objective)}."))  # fmt: skip
    return joined(parts)


def _verdict(best: WinnerRow | BaselineRow, second: WinnerRow | BaselineRow, objective: str) -> str:
    """True if the best can be told from the one after it."""
    ours, theirs = best.test[objective], second.test[objective]
    difference = (ours.mean or 0.0) - (theirs.mean or 0.0)
    interval = of_difference(ours.values, theirs.values)
    words = f"It is {decimal(difference)} above {second.run}: {second.name}"
    if interval is None:
        return f"{words}; with a single training of either, chance cannot be ruled out."
    told = (
        "more than the variation over seeds"
        if interval.low > 0
        else "not distinguishable from chance with so few seeds"
    )
    return f"{words}: {told} (95 % confidence interval of the difference {interval.words}, Welch)."


def _below(comparison: Comparison | None, row: WinnerRow | BaselineRow, objective: str) -> str:
    floor = comparison.floor if comparison else None
    if floor is None or (row.test[objective].mean or 0.0) >= floor.test[objective]:
        return ""
    return f", below the classical baseline ({floor.method}, {decimal(floor.test[objective])})"


def _mean_std(found: MeanStd) -> str:
    """Mean and standard deviation as decimals."""
    return decimal(found.mean) + ("" if found.std is None else f" ± {decimal(found.std)}")


def _winners(comparison: Comparison, runs: Sequence[SearchRun | StudyRun]) -> Markup:
    objective = comparison.objective
    work, rows = {run.name: run.seconds_so_far for run in runs}, []
    for row, other in zip(comparison.rows, [None, *comparison.others], strict=True):
        found = row.test[objective]
        means, test = (other.means, other.against_first) if other else (None, None)
        apart = means.difference if means else None
        held = means is not None and means.low is not None and means.high is not None
        p, told = test.p if test else None, "-"
        if test is not None and p is not None:
            told = f"{p:.3f} (at least {test.least_p:.3f}, {counted(test.pairs, 'pair')})"
        rows.append(Row([
            f"{row.run}: {row.name}", f"{row.kind}, {row.network.partition(' ')[0]}", number(row.params),
            number(row.macs), number(row.seeds), number(found.mean, _mean_std(found)),
            number(apart, "-" if apart is None else f"{apart:+.3f}"),
            f"{decimal(means.low)} to {decimal(means.high)}" if means and held else "-", number(p, told),
            number(work[row.run], clock(work[row.run])),
        ]))  # fmt: skip
    words = objective.replace("_", " ")
    headings = ("run: network", "kind", "parameters", "MACs", "seeds", words, "lead of the first",
                "95 % interval", "p, paired by seed", "time of the run")  # fmt: skip
    caption = f"{words.capitalize()} on test, mean ± standard deviation over seeds of training"
    note = (
        "Difference of the means, with Welch's interval. p by the exact sign-flip test over the seeds that both have "
        "(Fisher 1935); so few pairs allow no p-value below the one in brackets."
    )
    floor = comparison.floor
    simple = f" Classical baseline: {floor.method}, {decimal(floor.test[objective])}." if floor else ""
    made = table(headings, rows, caption=caption, sortable=True, id="winners")
    return joined(made, tag("p", note + simple, class_="note"))


def grouped(searches: Sequence[SearchRun]) -> list[Group]:
    """Searches by strategy and space, in the order in which they first come."""
    found: dict[str, list[SearchRun]] = {}
    for run in searches:
        guide = ", guided" if run.config.guide == "on" else ""
        words = f"{run.config.strategy_words}{guide} over {run.config.space}, {run.budget}"
        found.setdefault(words, []).append(run)
    return [Group(words, runs) for words, runs in found.items()]


def _groups(searches: Sequence[SearchRun]) -> Markup | None:
    groups = [group for group in grouped(searches) if group.scores]
    if len(groups) == len(searches) or not groups:
        return None
    objective, first, rows = searches[0].config.objective, groups[0], []
    for group in groups:
        scores = group.scores
        interval, mean = over_seeds(scores, objective), statistics.fmean(scores)
        deviation = statistics.stdev(scores) if len(scores) > 1 else None
        test = None if group is first else _paired(first, group)
        rows.append(Row([
            group.words, number(len(scores)), number(mean, decimal(mean)), number(deviation, decimal(deviation)),
            interval.words if interval else "-",
            number(test[0] if test else None, f"{test[0]:+.3f}" if test else "-"),
            number(test[1] if test else None, f"{test[1]:.3f}" if test else "-"),
        ]))  # fmt: skip
    headings = ("strategy and space", "searches", "mean", "standard deviation", "95 % interval",
                "first is better by", "p")  # fmt: skip
    words = objective.replace("_", " ")
    return joined(table(headings, rows, caption=f"Winners' {words} on test over seeds of the search"),
                  tag("p", "Pairs have the same seed of the search; p by the exact sign-flip test (Fisher 1935).",
                      class_="note"))  # fmt: skip


def _paired(first: Group, other: Group) -> tuple[float, float] | None:
    """Mean difference and p over the seeds that both have."""

    def by_seed(group: Group) -> dict[int, float]:
        return {run.config.seed: statistics.fmean(run.test_scores) for run in group.runs if run.test_scores}

    ours, theirs = by_seed(first), by_seed(other)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    found = paired([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
    return (found.difference, found.p) if found.difference is not None and found.p is not None else None


def _front(runs: Sequence[SearchRun | StudyRun]) -> Markup | None:
    searches = [run for run in runs if isinstance(run, SearchRun) and run.num_ranked]
    if not searches:
        return None
    objective = searches[0].config.objective
    marks = [(place, run, trial, trial.score(objective) or 0.0) for place, run in enumerate(searches)
             for trial in run.ranked()]  # fmt: skip
    plot = Plot(logarithmic("parameters (logarithmic)", [trial.cost.params for *_, trial, _ in marks]),
                linear(f"{objective.replace('_', ' ')} on rank", bulk([score for *_, score in marks])))  # fmt: skip
    for place, run, trial, score in marks:
        draw = plot.star if run.winner and run.winner.trial == trial.id else plot.dot
        draw(trial.cost.params, max(score, plot.y.low), f"c{place % SERIES}", f"{run.name}, {tip(run, trial)}")
    line = [
        (trial.cost.params, trial.score(objective) or 0.0) for trial in front_of(objective, [t for *_, t, _ in marks])
    ]
    plot.line(line[::-1], "floor", "Pareto front of all runs", steps=True)
    rows = [
        Row([run.name, Cell(t.id, t.order), number(t.cost.params), number(s, decimal(s))]) for _, run, t, s in marks
    ]
    behind = table(("run", "trial", "parameters", "score"), rows, caption="Trials of all runs", sortable=True)
    legend = key(*((f"c{place % SERIES}", run.name) for place, run in enumerate(searches[: 2 * SERIES])),
                 ("line floor", "front of all"))  # fmt: skip
    words = f"{len(marks)} trials of {len(searches)} searches by parameters and score."
    return figure("All trials and their Pareto front (stars: winners)", plot.drawn(words), behind, None, legend)


def _course(searches: Sequence[SearchRun]) -> Markup | None:
    lines = []
    for place, run in enumerate(searches):
        line = [(count, best) for count, (_, _, best) in enumerate(best_so_far(run), start=1)]
        if line:
            lines.append((place, run, line))
    if not lines:
        return None
    plot = Plot(linear("trials that finished", [1, *(line[-1][0] for *_, line in lines)], whole=True),
                linear("best score on rank so far", [y for *_, line in lines for _, y in line]))  # fmt: skip
    for place, run, line in lines:
        plot.line(
            line,
            f"c{place % SERIES}",
            f"{run.name}: {decimal(line[-1][1])}",
            steps=True,
        )
    rows = [Row([run.name, number(int(line[-1][0])), number(line[0][1], decimal(line[0][1])),
                 number(line[-1][1], decimal(line[-1][1]))]) for _, run, line in lines]  # fmt: skip
    behind = table(("run", "trials", "first", "best"), rows, caption="The best so far")
    legend = key(*((f"line c{place % SERIES}", run.name) for place, run, _ in lines[: 2 * SERIES]))
    return figure("Best so far, by trial", plot.drawn(f"Progress of {len(lines)} searches."), behind, None, legend)


def _settings(searches: Sequence[SearchRun]) -> Markup | None:
    """Settings in which searches differ: whether the comparison is fair."""
    if len(searches) < 2:
        return None
    flat = [dict(flattened(run.config.model_dump(mode="json"))) for run in searches]
    names = [name for name in dict.fromkeys(name for one in flat for name in one)
             if len({repr(one.get(name)) for one in flat}) > 1]  # fmt: skip
    rows = [Row([name, *(str(one.get(name, "-")) for one in flat)]) for name in names[:MOST_SETTINGS]]
    if not rows:
        return None
    return table(("setting", *(run.name for run in searches)), rows, caption="Settings in which the searches differ")


def _runs(runs: Sequence[SearchRun | StudyRun]) -> Markup:
    rows = []
    for run in runs:
        kind = f"{run.config.strategy_words} over {run.config.space}" if isinstance(run, SearchRun) else (
            f"study {run.config.study}")  # fmt: skip
        trials = sum(trial.status != "running" for trial in run.trials.values())
        failed = sum(trial.status == "failed" for trial in run.trials.values())
        rows.append(Row([run.name, kind, run.state, number(run.config.seed), number(trials), number(failed),
                         number(run.seconds_so_far, clock(run.seconds_so_far))]))  # fmt: skip
    headings = ("run", "what", "state", "seed", "trainings", "failed", "time")
    lines = [("A report of one of them", typed("report", runs[0].folder))]
    return joined(table(headings, rows, caption="Runs", sortable=True, id="runs-table"), commands(lines))
