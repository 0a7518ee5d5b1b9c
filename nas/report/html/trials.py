"""The trials of a search in pictures and in one table: sizes and scores, the best so far, how they learned, seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from nas.report.guide import proposal_words
from nas.report.html.beside import Baseline, baselines_beside
from nas.report.html.markup import Cell, Markup, Part, Row, joined, number, table, tag
from nas.report.html.smaller import front
from nas.report.html.svg import Axis, Plot, figure, key, linear, logarithmic
from nas.report.intervals import of_ranking
from nas.report.metric_text import decimal
from nas.report.tables.format import compact
from nas.runs import SearchRun, TrialRecord
from nas.runs.standings import confirmed, seed_scores
from nas.units import clock, counted

MOST_CURVES = 120  # trials whose curves are drawn
MOST_POINTS = 40  # of one curve
OFF = 4  # times smaller than the smallest trial, or larger than the largest, a baseline is told of and not drawn


def score_label(run: SearchRun) -> str:
    """Name of what trials are ranked by, in words."""
    return f"{run.config.objective.replace('_', ' ')} on {run.judged_on}"


def tip(run: SearchRun, trial: TrialRecord) -> str:
    """Text shown when the pointer is on a trial."""
    score = decimal(trial.score_so_far(run.config.objective, run.judged_on))
    return (f"trial {trial.id}: {score}\n{trial.cost.params:,} parameters, {compact(trial.cost.macs)} MACs\n"
            + run.line(trial.sample))  # fmt: skip


def sizes(run: SearchRun) -> Markup | None:
    """Parameters against the score of every finished trial, with the front, the winner and the floor."""
    trials, objective = run.ranked(), run.config.objective
    if not trials:
        return None
    scores = {trial.id: trial.score(objective) or 0.0 for trial in trials}
    floor = None if run.floor is None else run.floor.rank.get(objective)
    sides = [trial.cost.params for trial in trials]
    known = baselines_beside(run)
    shown = [one for one in known if min(sides) / OFF <= one.params <= OFF * max(sides)]
    plot = Plot(
        logarithmic("parameters (logarithmic)", [*sides, *(one.params for one in shown)]),
        linear(score_label(run), [*bulk(list(scores.values())), *(one.score for one in shown)],
               include=[] if floor is None else [floor]),
    )  # fmt: skip
    for one in shown:
        plot.square(one.params, one.score, "c5 square", _said_of(one))
    best = front(run)
    plot.line([(t.cost.params, scores[t.id]) for t in best[::-1]], "c1", steps=True)
    if floor is not None:
        assert run.floor
        plot.level(floor, "floor", f"{run.floor.method} {decimal(floor)}")
    winner = run.winner.trial if run.winner else None
    for trial in sorted(trials[::-1], key=lambda trial: trial.id == winner):
        draw = plot.star if trial.id == winner else plot.dot
        kind = "c3 star" if trial.id == winner else "c1" if trial in best else "c0"
        draw(trial.cost.params, max(scores[trial.id], plot.y.low), kind, tip(run, trial), trial=trial.id)
    words = (f"{len(trials)} trials by parameters and {score_label(run)}, from {decimal(min(scores.values()))} to "
             f"{decimal(max(scores.values()))}; {len(best)} of them on the front.")  # fmt: skip
    rows = [Row([Cell(t.id, t.order), number(t.cost.params), number(scores[t.id], decimal(scores[t.id])),
                 "yes" if t in best else ""], trial=t.id) for t in trials]  # fmt: skip
    behind = table(("trial", "parameters", "score", "on the front"), rows, caption=f"Sizes and {score_label(run)}")
    legend = key(("c0", "trial"), ("c1", "Pareto front: no smaller one is as good"),
                 *([("c3 star", "winner")] if run.winner else []),
                 *([("line floor", "classical baseline, on rank")] if floor is not None else []),
                 *([("c5 square", "baseline")] if shown else []))  # fmt: skip
    notes = [_cut_note(list(scores.values()), plot.y), *(_said_of(one) + "." for one in known if one not in shown)]
    said = f"Every mark is one training, on the {run.judged_on} split.{_between_seeds(run)} {of_ranking(run) or ''}"
    note = " ".join(filter(None, (said, *notes)))
    beside = [
        Row([one.run, one.label, number(one.params), number(one.score, decimal(one.score)), number(one.seeds)])
        for one in known
    ]
    if known:
        headings = ("run", "baseline", "parameters", "score", "seeds")
        behind = joined(behind, table(headings, beside, caption=f"Baselines on the same images, {score_label(run)}"))
    return figure("Accuracy against size", plot.drawn(words), behind, note, legend)


def _between_seeds(run: SearchRun) -> str:
    """Sentence on the standard deviation between seeds of one network, from those that were trained again."""
    groups = [scores for of in confirmed(run) if len(scores := seed_scores(run, of)) > 1]
    freedom = sum(len(scores) - 1 for scores in groups)
    if not freedom:
        return ""
    pooled = math.sqrt(sum(statistics.variance(scores) * (len(scores) - 1) for scores in groups) / freedom)
    return f" Between seeds of one network the standard deviation is {decimal(pooled)}."


def _said_of(baseline: Baseline) -> str:
    seeds = f", mean of {baseline.seeds} seeds" if baseline.seeds > 1 else ""
    return (
        f"Baseline {baseline.run}, {baseline.label}: {decimal(baseline.score)}{seeds}, {baseline.params:,} parameters"
    )


def bulk(scores: Sequence[float]) -> list[float]:
    """Scores that an axis is made for: not the few that lie far under all others, which would hide what differs."""
    ordered = sorted(scores)
    low, middle, high = ordered[len(ordered) // 4], ordered[len(ordered) // 2], ordered[-1]
    least = min(low, middle) - 3 * max(high - low, 1e-9)
    return [score for score in scores if score >= least]


def _cut_note(scores: Sequence[float], axis: Axis) -> str | None:
    low = sum(score < axis.low for score in scores)
    return f"{counted(low, 'trial')} below the range of the axis, drawn at its edge." if low else None


def best_so_far(run: SearchRun) -> list[tuple[TrialRecord, float, float]]:
    """The finished trials in the order in which they ended, each with its score and the best until then."""
    trials = sorted((t for t in run.stage("search") if t.status == "finished"), key=lambda t: t.result_number or 0)
    scores = [trial.score(run.config.objective) or 0.0 for trial in trials]
    return list(zip(trials, scores, accumulate(scores, max), strict=True))


def course(run: SearchRun) -> Markup | None:
    """The best score so far, by trial and by time."""
    ended = best_so_far(run)
    if not ended:
        return None
    trials, points, bests = zip(*ended, strict=True)
    by_trial, rows = list(enumerate(bests, start=1)), []
    by_time = [(trial.ended / 60, best) for trial, _, best in ended]
    for place, (trial, score, best) in enumerate(ended, start=1):
        rows.append(
            Row(
                [
                    Cell(str(place), place),
                    Cell(trial.id, trial.order),
                    number(score, decimal(score)),
                    number(best, decimal(best)),
                    number(trial.ended, clock(trial.ended)),
                ],
                trial=trial.id,
            )
        )
    y = linear(score_label(run), bulk(points))
    behind = table(("finished", "trial", "score", "best so far", "after"), rows, caption="The best so far")
    made = []
    for title, x_axis, line in (
        ("Best so far, by trial", linear("trials that finished", [1, len(trials)], whole=True), by_trial),
        ("Best so far, by time", linear("minutes since the search began", [0, *(x for x, _ in by_time)]), by_time),
    ):
        plot = Plot(x_axis, y)
        plot.line(line, "c0", steps=True)
        for (x, _), trial, score in zip(line, trials, points, strict=True):
            plot.dot(x, max(score, y.low), "c0 faint", tip(run, trial), trial=trial.id, size=3.5)
        words = f"The best {score_label(run)} so far: {decimal(by_trial[0][1])} at first, {decimal(best)} in the end."
        legend = key(("line c0", "best so far"), ("c0 faint", "trial"))
        made.append(figure(title, plot.drawn(words), behind, _cut_note(points, y), legend))
    return joined(*made)


def learning_curves(run: SearchRun) -> Markup | None:
    """The objective on select by epoch: the best trials, the others thinned out; pruned ones grey."""
    ended = [t for t in run.stage("search") if t.status in ("finished", "pruned") and t.epochs]
    if not ended:
        return None
    chosen = _thinned(run, ended)
    name, curves = f"select_{run.config.objective}", dict[str, list[tuple[float, float]]]()
    for trial in chosen:
        curve = [(row["epoch"], row[name]) for row in run.history(trial) if name in row]
        every = -(-len(curve) // MOST_POINTS)
        curves[trial.id] = [*curve[:-1:every], *curve[-1:]]
    curves = {trial_id: curve for trial_id, curve in curves.items() if curve}
    if not curves:
        return None
    ys = [y for curve in curves.values() for _, y in curve]
    plot = Plot(linear("epoch", [1, max(x for curve in curves.values() for x, _ in curve)], whole=True),
                linear(f"{run.config.objective.replace('_', ' ')} on select", ys))  # fmt: skip
    best = next((trial.id for trial in run.best(1)), None)
    top = run.winner.trial if run.winner else best
    by_id = {trial.id: trial for trial in chosen}
    for trial_id in sorted(curves, key=lambda of: (of == top, by_id[of].status == "finished")):
        kind = "c3 strong" if trial_id == top else "pruned" if by_id[trial_id].status == "pruned" else "c0 faint"
        plot.line(curves[trial_id], kind, tip(run, by_id[trial_id]), trial=trial_id)
    pruned = sum(by_id[trial_id].status == "pruned" for trial_id in curves)
    note = f"{len(curves)} of {len(ended)} trials are drawn: the best, and a regular sample of the others." if (
        len(curves) < len(ended)) else None  # fmt: skip
    rows = [Row([Cell(of, by_id[of].order), by_id[of].status, number(by_id[of].epochs),
                 number(curve[0][1], decimal(curve[0][1])), number(curve[-1][1], decimal(curve[-1][1]))], trial=of)
            for of, curve in curves.items()]  # fmt: skip
    behind = table(("trial", "status", "epochs", "first", "last"), rows, caption=f"{plot.y.label} by epoch")
    legend = key(("line c3", "winner" if run.winner else "best so far"), ("line c0", "trial"),
                 *([("line pruned", f"stopped early ({pruned})")] if pruned else []))  # fmt: skip
    return figure("Learning curves", plot.drawn(f"Learning curves of {len(curves)} trials, {pruned} stopped early."),
                  behind, note, legend)  # fmt: skip


def _thinned(run: SearchRun, trials: list[TrialRecord]) -> list[TrialRecord]:
    if len(trials) <= MOST_CURVES:
        return trials
    first = {trial.id for trial in run.best(MOST_CURVES // 2)}
    others = [trial for trial in trials if trial.id not in first]
    kept = first | {trial.id for trial in others[:: -(-len(others) // (MOST_CURVES - len(first)))]}
    return [trial for trial in trials if trial.id in kept]


def confirmation(run: SearchRun) -> Markup | None:
    """The seeds of every network that was trained again, on rank, and of the winner on test."""
    ranked = confirmed(run)
    if not ranked:
        return None
    order = sorted(ranked, key=lambda of: -ranked[of].mean)
    scores = {of: seed_scores(run, of) for of in order}
    values = [score for found in scores.values() for score in found] + run.test_scores
    lines = [*order, *(["test"] if run.test_scores else [])]
    scale = linear(f"{run.config.objective.replace('_', ' ')}", values)
    height = 66 + 34 * len(lines)
    rows_axis = Axis("", -0.6, len(lines) - 0.4, ticks=tuple(
        (len(lines) - 1 - place, "winner, test" if of == "test" else f"trial {of}") for place, of in enumerate(lines)
    ))  # fmt: skip
    plot = Plot(scale, rows_axis, height=height, left=84, fixed=True)
    for place, of in enumerate(lines):
        y, found = len(lines) - 1 - place, run.test_scores if of == "test" else scores[of]
        kind = "c3" if of == "test" or (run.winner and of == run.winner.trial) else "c0"
        mean = statistics.fmean(found)
        for seed, score in enumerate(found, start=1):
            plot.dot(score, y, kind + (" square" if of == "test" else ""), f"seed {seed}: {decimal(score)}",
                     trial=None if of == "test" else of)  # fmt: skip
        plot.line([(mean, y - 0.3), (mean, y + 0.3)], kind + " strong", f"mean {decimal(mean)}")
    rows = []
    for of in order:
        trial, found = run.trials[of], scores[of]
        deviation = statistics.stdev(found) if len(found) > 1 else None
        rows.append(Row([Cell(of, trial.order), number(len(found)), number(m := statistics.fmean(found), decimal(m)),
                         number(deviation, decimal(deviation)),
                         number(ranked[of].probability, f"{ranked[of].probability:.2f}" if len(ranked) > 1 else "-"),
                         number(trial.cost.params), ", ".join(map(decimal, found))], trial=of))  # fmt: skip
    epochs = counted(run.confirm_epochs, "epoch")
    headings = ("trial", "seeds", "mean", "standard deviation", "P(best)", "parameters", "scores by seed")
    behind = table(headings, rows, caption=f"Trained again for {epochs}, other seeds, {score_label(run)}")
    note = (
        f"Each dot is one training of {epochs} with another seed, the bar their mean. Rows of trials are on the "
        f"{run.judged_on} split, by which the winner is chosen; the last row is the winner on test."
    )
    words = f"{counted(len(order), 'network')} trained again with other seeds."
    return figure("Confirmation, by seed", plot.drawn(words), behind, note)


def every_trial(run: SearchRun) -> Markup:
    """The table of all trials, which can be sorted and filtered."""
    objective, rows = run.config.objective, []
    for trial in run.stage("search"):
        score = trial.score_so_far(objective, run.judged_on)
        status = run.status(trial)
        what: Part = tag("code", run.line(trial.sample))
        why = proposal_words(run, trial)
        rows.append(Row([
            Cell(trial.id, trial.order), Cell(status), number(score, decimal(score)), number(trial.cost.params),
            number(trial.cost.macs), number(trial.epochs), number(round(trial.seconds, 1)), what, trial.error or "",
            why or "",
        ], trial=trial.id, status=status))  # fmt: skip
    headings = [
        "trial",
        "status",
        "score",
        "parameters",
        "MACs",
        "epochs",
        "seconds",
        "architecture",
        "why it ended",
        "proposal",
    ]
    for place in (-1, -2):
        if not any(row.cells[place] for row in rows):
            del headings[place]
            rows = [replace(row, cells=[*row.cells[:place], *row.cells[place:][1:]]) for row in rows]
    every = tag("option", "every status", value="")
    statuses = sorted({row.status for row in rows if row.status})
    tools = tag(
        "p",
        tag("label", "Filter ", tag("input", type="search", data_filters="trials", placeholder="text or number")),
        " ",
        tag("label", "Status ", tag("select", every, [tag("option", s, value=s) for s in statuses],
                                    data_statuses="trials")),
        " ", tag("output", f"{len(rows):,} trials", data_counts="trials", aria_live="polite"),
        class_="tools",
    )  # fmt: skip
    made = table(headings, rows, caption=f"Trials; score: {score_label(run)}", sortable=True, id="trials")
    return joined(tools, made)
