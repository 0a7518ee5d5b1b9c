"""The answer: what a search found, how sure that is, what stands beside it, and how it is made again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from baselines.figures import FIGURES
from budgets.budget import COST_OF_LIMIT, UNITS
from nas.report.figures import decimal
from nas.report.floor import advice, floor_words
from nas.report.guide import foresight_words
from nas.report.html.markup import Cell, Markup, Part, Row, commands, folded, joined, name_of, number, table, tag
from nas.report.html.svg import canvas
from nas.runs import SearchRun, TrialRecord
from nas.runs.hints import typed
from nas.runs.standings import confirmed
from nas.units import counted

AVERAGED = ("balanced_accuracy", "macro_recall", "accuracy")  # figures whose chance by the images is known
BAR = (520, 34)  # of a budget, in units


@dataclass(frozen=True)
class Interval:
    """That holds the true mean with 95 %."""

    low: float
    high: float

    @property
    def words(self) -> str:
        return f"{decimal(self.low)} to {decimal(self.high)}"


def over_seeds(scores: list[float], objective: str) -> Interval | None:
    """Of the mean of trainings with other seeds: Student's t, for two or more; of shares within 0 and 1."""
    if len(scores) < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(len(scores) - 1, 0.975)) * statistics.stdev(scores) / math.sqrt(len(scores))
    mean = statistics.fmean(scores)
    return (
        Interval(mean - half, mean + half)
        if objective not in FIGURES
        else Interval(max(0.0, mean - half), min(1.0, mean + half))
    )


def by_images(run: SearchRun) -> float | None:
    """Half of the interval that holds 95 % of what other test images of as many a class would give the same network:
    normal, from the binomial variances of the recalls. None for figures that are no mean of recalls."""
    counts = run.facts.counts.get("test")
    if run.winner is None or counts is None or run.config.objective not in AVERAGED:
        return None
    recalls = run.winner.test[run.winner.weights].get("recall_by_class")
    if not isinstance(recalls, list):
        return None
    seen = [(count, recall) for count, recall in zip(counts, map(_number, recalls), strict=True) if count]
    whole = sum(count for count, _ in seen)
    even = run.config.objective != "accuracy"
    weights = [1 / len(seen) if even else count / whole for count, _ in seen]
    variance = sum(w**2 * r * (1 - r) / n for w, (n, r) in zip(weights, seen, strict=True))
    return 1.96 * math.sqrt(variance)


def _number(recall: object) -> float:
    return recall if isinstance(recall, float) else 0.0


def answer(run: SearchRun, settings: str | None) -> Markup:
    """The section that stands first. ``settings``: the file that makes the run again."""
    if run.winner is None:
        return _unfinished(run, settings)
    winner, objective = run.trials[run.winner.trial], run.config.objective.replace("_", " ")
    scores, parts = run.test_scores, list[Part]()
    parts.append(tag("p", tag("strong", _reached(scores)), f" {objective} on the test split, by a network of ",
                     tag("strong", f"{winner.cost.params:,} parameters"), f" (trial {winner.id} of ",
                     f"{run.tally.count(stage='search')}): ", tag("code", run.text(winner.sample)), ".",
                     class_="answer"))  # fmt: skip
    parts.append(tag("ul", [tag("li", said) for said in _sureness(run, winner, scores)]))
    parts += [_failed(run), _budget(run, winner)]
    return joined(*parts, _smaller(run, winner), _again(run, settings))


def _reached(scores: list[float]) -> str:
    mean = decimal(statistics.fmean(scores))
    return mean if len(scores) < 2 else f"{mean} ± {decimal(statistics.stdev(scores))}"


def _sureness(run: SearchRun, winner: TrialRecord, scores: list[float]) -> Iterator[Part]:
    assert run.winner
    interval, images = over_seeds(scores, run.config.objective), by_images(run)
    if interval is None:
        yield "How sure: one training; how much another seed would differ is not known."
    else:
        yield (f"How sure: the mean of {len(scores)} seeds, ± their standard deviation. With 95 % the true mean lies "
               f"between {interval.words} (Student's t).")  # fmt: skip
    if images is not None:
        yield (f"Other test images: {sum(run.facts.counts['test']):,} of them leave ± {decimal(images)} to chance "
               "(95 %, of one training).")  # fmt: skip
    exported = run.winner.score(run.winner.weights, run.config.objective)
    yield f"The weights that export takes, the best seed on rank, reach {decimal(exported)} on test."
    yield _above_floor(run, scores, interval)
    ranked = confirmed(run)
    if len(ranked) > 1 and winner.id in ranked:
        yield f"Probability that it is the best of the {len(ranked)} confirmed: {ranked[winner.id].probability:.2f}."
    if words := foresight_words(run):
        yield words + "."


def _above_floor(run: SearchRun, scores: list[float], interval: Interval | None) -> Part:
    if run.floor is None:
        return "Something simple: no classical method was measured beside it."
    floor, mean = run.floor.test[run.config.objective], statistics.fmean(scores)
    words = f"Something simple, the floor: {floor_words(run.floor, run.config.objective)}. "
    if run.is_below_floor:
        return tag("strong", words + advice(run))
    clear = ""
    if interval is not None:
        clear = (": more than chance between seeds explains" if interval.low > floor else
                 "; the interval over seeds holds the floor too, so it is not certain")  # fmt: skip
    return f"{words}The winner is {decimal(mean - floor)} above it{clear}."


def _unfinished(run: SearchRun, settings: str | None) -> Markup:
    ended, planned = run.num_ended("search"), run.planned_trials
    state = "The search still runs" if run.state == "running" else "The search was stopped"
    why = f" ({run.stopped})" if run.state == "stopped" and run.stopped else ""
    head = tag("p", tag("strong", f"{state}{why}: {ended} of {planned} trials have ended."), " There is no winner yet, "
               "and the test split was not touched.", class_="answer")  # fmt: skip
    best = run.best(1)
    if not best:
        return joined(head, tag("p", "No trial finished."), _failed(run), _again(run, settings))
    score = best[0].score(run.config.objective)
    line = tag("p", f"Best so far: trial {best[0].id}, {decimal(score)} on {run.judged_on}, one training: ",
               tag("code", run.text(best[0].sample)), f", {best[0].cost.params:,} parameters.")  # fmt: skip
    return joined(head, line, _failed(run), _budget(run, best[0]), _smaller(run, best[0]), _again(run, settings))


def _budget(run: SearchRun, trial: TrialRecord) -> Markup | None:
    bars = []
    for name, limit in run.budget.limits.items():
        unit = COST_OF_LIMIT[name]
        if not name.startswith("max"):
            continue
        used = getattr(trial.cost, unit)
        words = f"{used:,} of at most {limit:,} {UNITS[unit]} ({100 * used / limit:.1f} %)"
        least = run.budget.min_params if unit == "params" else None
        marks = [
            tag("rect", x=0, y=18, width=BAR[0], height=14, class_="bar"),
            tag("rect", x=0, y=18, width=round(BAR[0] * min(1, used / limit), 1), height=14, class_="c0"),
        ]
        if least:
            x = round(BAR[0] * least / limit, 1)
            marks.append(tag("path", d=f"M{x} 14V34", class_="line c1", data_tip=f"at least {least:,} parameters"))
        bars.append(canvas(*BAR, words, marks, tag("text", words, x=0, y=12)))
    return tag("div", bars, class_="budget") if bars else None


def front(run: SearchRun) -> list[TrialRecord]:
    """The finished trials that no smaller one reaches the score of, the largest first."""
    best, found = -math.inf, []
    ranked = [(trial.cost.params, -(trial.score(run.config.objective) or 0.0), trial.order, trial)
              for trial in run.ranked()]  # fmt: skip
    for _, minus, _, trial in sorted(ranked):
        if -minus > best:
            best = -minus
            found.append(trial)
    return found[::-1]


def _failed(run: SearchRun) -> Markup | None:
    """How many trials came to nothing, if any did."""
    failed = run.tally.count("failed")
    if not failed:
        return None
    return tag("p", f"{counted(failed, 'training')} failed: ", tag("a", "why", href="#failures"), ".")


def _smaller(run: SearchRun, winner: TrialRecord) -> Markup | None:
    objective = run.config.objective
    rows = [
        Row([
            Cell(trial.id, trial.order), number(trial.cost.params), number(trial.cost.macs),
            number(trial.score(objective), decimal(trial.score(objective))),
            number(difference := (trial.score(objective) or 0.0) - (winner.score(objective) or 0.0),
                   f"{difference:+.3f}"),
            tag("code", run.line(trial.sample)),
        ], trial=trial.id)
        for trial in front(run)
    ]  # fmt: skip
    if not rows:
        return None
    score = f"{objective.replace('_', ' ')} on {run.judged_on}"
    headings = ("trial", "parameters", "MACs", f"score ({score}, one training)", f"against trial {winner.id}",
                "architecture")  # fmt: skip
    made = table(headings, rows, caption="The best network of each size: no smaller trial has its score")
    return folded("What a smaller network would cost", made, is_open=True)


def _again(run: SearchRun, settings: str | None) -> Markup:
    lines = []
    if run.winner is None and run.state != "running":
        lines.append(("Go on with it", typed("resume", run.folder)))
    if run.winner is not None:
        lines.append(("Hand over the network: weights, source, ONNX, model card",
                      typed("export --best --out model/ --run", run.folder)))  # fmt: skip
        lines.append(("Train it for longer first", typed("train", run.folder)))
    if settings is None:
        lines.append(("Make it again: the settings as a file, then a search by them",
                      f"{typed('config', run.folder)} > run.toml && nasctl search --config run.toml"))  # fmt: skip
        return tag("div", tag("h3", "To repeat it, and to go on"), commands(lines))
    lines.append(("Make it again, with the settings below in a file run.toml", "nasctl search --config run.toml"))
    file = folded("run.toml", tag("pre", tag("code", settings), tabindex="0"))
    return tag("div", tag("h3", "To repeat it, and to go on"), commands(lines), file)


def heading(run: SearchRun) -> Markup:
    """The line under the title: what was searched, where, in which state."""
    config, facts = run.config, run.facts
    return tag(
        "p",
        f"{config.strategy_words} over ",
        tag("code", config.space),
        f", {counted(config.trials, 'trial')}, seed {config.seed}; data ",
        name_of(facts.data_name),
        f"; {facts.budget}; ",
        tag("strong", run.state, class_=f"state {run.state}"),
    )
