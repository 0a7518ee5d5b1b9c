"""Importance of a space's choices, and all trials as lines through their values."""

from __future__ import annotations

from collections.abc import Sequence

from nas.report.html.markup import Cell, Markup, Row, folded, joined, number, table, tag
from nas.report.html.svg import canvas, compact_count, figure, key
from nas.report.html.trials import score_label, tip
from nas.report.importance import Importances, decisive_samples, importances
from nas.report.metric_text import NONE, decimal
from nas.runs import SearchRun, TrialRecord
from search_spaces import Sample

MOST_LINES = 300  # trials in the picture of parallel coordinates
FIFTHS = ("lowest fifth by score", "second", "third", "fourth", "highest fifth")
SHADES = len(FIFTHS)  # of the lines
STEP, ACROSS = 74, 40  # units between two axes; beside the outer ones
TOP, DOWN = 34, 230  # of the axes
LETTERS = 11  # of a name above an axis
LEFT, BAR, LINE = 120, 300, 22  # of the bars


def choices(run: SearchRun) -> Markup | None:
    """Importance and parallel coordinates."""
    trials = [trial for trial in run.stage("search") if trial.status == "finished"]
    if not trials:
        return None
    return joined(_importance(run), _parallel(run, trials))


def _importance(run: SearchRun) -> Markup:
    found = importances(run)
    title = "Which choices decide"
    if not found.found:
        return tag("figure", tag("figcaption", title), tag("p", found.remark, class_="note"))
    rows = [
        Row([Cell(one.name), number(one.share, f"{100 * one.share:.0f} %"), number(one.p, f"{one.p:.3f}"),
             "yes" if one.is_clear else "cannot tell", one.best])
        for one in found.found
    ]  # fmt: skip
    headings = ("choice", "share of the ranks' variance", "p", "clear", "best values")
    behind = table(headings, rows, caption="Importance of each choice, taken alone")
    note = (
        "How much of the variance of the trials' ranks the values of a "
        "choice explain, each taken alone (epsilon squared of the Kruskal-Wallis test); pale bars cannot be "
        "told from chance (permutation test, Holm-corrected)."
        " The trials were chosen by the strategy and the budget ties the "
        "choices together, so this is a hint, not proof of a cause."
    )
    made = figure(title, _bars(found), behind, note)
    return made if found.remark is None else folded(f"{title}: {found.remark}", made)


def _bars(found: Importances) -> Markup:
    marks = []
    for place, one in enumerate(found.found):
        y = 4 + LINE * place
        text = f"{100 * one.share:.0f} %" + ("" if one.is_clear else " (?)")
        width = max(1.0, round(BAR * one.share, 1))
        marks += [
            tag("text", _short(one.name, 16), x=LEFT - 8, y=y + 13, class_="end"),
            tag("rect", x=LEFT, y=y, width=width, height=LINE - 6, class_="c0" if one.is_clear else "pale",
                data_tip=f"{one.name}: {text}, p = {one.p:.3f}; best {one.best}"),
            tag("text", text, x=LEFT + width + 6, y=y + 13),
        ]  # fmt: skip
    words = "Importance of choices: " + ", ".join(f"{one.name} {100 * one.share:.0f} %" for one in found.found[:5])
    return canvas(LEFT + BAR + 90, 8 + LINE * len(found.found), words, marks)


def _parallel(run: SearchRun, trials: list[TrialRecord]) -> Markup | None:
    objective = run.config.objective
    ranked = sorted(trials, key=lambda trial: trial.score(objective) or 0.0)
    samples = dict(zip((t.id for t in trials), decisive_samples(run, trials), strict=True))
    names = [name for name in dict.fromkeys(n for sample in samples.values() for n in sample)
             if len({sample.get(name) for sample in samples.values()}) > 1]  # fmt: skip
    if not names or len(trials) < 2:
        return None
    shade = {trial.id: SHADES * place // len(ranked) for place, trial in enumerate(ranked)}
    drawn = ranked if len(ranked) <= MOST_LINES else ranked[:: -(-len(ranked) // MOST_LINES)]
    axes = [_axis(name, list(samples.values())) for name in names]
    sizes, scores = [t.cost.params for t in trials], [t.score(objective) or 0.0 for t in trials]
    ends = ((min(sizes), max(sizes)), (min(scores), max(scores)))
    parts = []
    top = run.winner.trial if run.winner else ranked[-1].id
    for trial in sorted(drawn, key=lambda trial: trial.id == top):
        shares = [axis.get(samples[trial.id].get(name, NONE), 0.5) for name, axis in zip(names, axes, strict=True)]
        for value, (low, high) in zip((trial.cost.params, trial.score(objective) or 0.0), ends, strict=True):
            shares.append((value - low) / (high - low) if high > low else 0.5)
        path = "L".join(f"{_x(place)} {_y(share)}" for place, share in enumerate(shares))
        kind = "c3 strong" if trial.id == top else f"shade{shade[trial.id]}"
        parts.append(tag("path", d=f"M{path}", class_=f"line {kind}", data_tip=tip(run, trial), data_trial=trial.id))
    for place, (name, axis) in enumerate(zip(names, axes, strict=True)):
        parts.append(_scale(place, name, [(share, str(value)) for value, share in axis.items()]))
    parts.append(_scale(len(names), "parameters", [(0.0, compact_count(ends[0][0])), (1.0, compact_count(ends[0][1]))]))
    parts.append(_scale(len(names) + 1, "score", [(0.0, decimal(ends[1][0])), (1.0, decimal(ends[1][1]))]))
    words = f"{len(drawn)} trials as lines through {', '.join(names)}, parameters and score."
    picture = canvas(2 * ACROSS + 20 + STEP * (len(names) + 1), TOP + DOWN + 16, words, parts)
    legend = key(*((f"line shade{n}", words) for n, words in enumerate(FIFTHS)), ("line c3", "winner"))
    note = f"{len(drawn)} of {len(trials)} trials are drawn. " if len(drawn) < len(trials) else ""
    if any(len(sample) < max(map(len, samples.values())) for sample in samples.values()):
        note += f"{NONE}: the network does not have that stage."
    rows = [Row([Cell(t.id, t.order), *(str(samples[t.id].get(name, NONE)) for name in names), number(t.cost.params),
                 number(s := t.score(objective), decimal(s))], trial=t.id) for t in drawn[::-1]]  # fmt: skip
    behind = table(("trial", *names, "parameters", "score"), rows, caption=f"Choices of the trials; {score_label(run)}")
    return tag("div", figure("Every trial as a line through its choices", picture, behind, note, legend), class_="full")


def _axis(name: str, samples: Sequence[Sample]) -> dict[int | str, float]:
    """Positions of the values on the axis of a choice, from 0 at its foot."""
    values = sorted({sample.get(name, NONE) for sample in samples}, key=lambda value: (isinstance(value, str), value))
    return {value: place / (len(values) - 1) for place, value in enumerate(values)}


def _x(place: int) -> int:
    return ACROSS + STEP * place


def _y(share: float) -> float:
    return round(TOP + DOWN * (1 - share), 1)


def _scale(place: int, name: str, marks: list[tuple[float, str]]) -> Markup:
    x, stagger = _x(place), 0 if place % 2 else 13
    every = -(-len(marks) // 14)
    return joined(
        tag("path", d=f"M{x} {TOP}V{TOP + DOWN}", class_="axis"),
        tag("text", tag("title", name), _short(name, 2 * LETTERS), x=x, y=TOP - 9 - stagger, class_="mid small"),
        [tag("text", _short(text, 9), x=x + 4, y=_y(share) + 4, class_="small halo") for share, text in marks[::every]],
    )


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
