"""The answer: what a search found, its uncertainty, what stands beside it, and how it is repeated."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import UTC, datetime

from budgets.budget import COST_OF_LIMIT, UNITS
from nas.report.floor import advice, floor_words
from nas.report.guide import foresight_words
from nas.report.html.markup import Markup, Part, commands, facts, folded, joined, name_of, tag
from nas.report.html.provenance import in_words
from nas.report.html.smaller import smaller
from nas.report.html.svg import canvas
from nas.report.intervals import Interval, by_images, over_seeds
from nas.report.metric_text import decimal
from nas.report.recalls import recalls_of
from nas.report.verification import verification_words
from nas.runs import SearchRun, TrialRecord
from nas.runs.hints import typed
from nas.runs.standings import confirmed, seed_scores
from nas.units import counted

AVERAGED = ("balanced_accuracy", "macro_recall", "accuracy")  # metrics whose chance by the images is known
TOSS = 0.6  # probability of being the best, below which that is hardly known
BAR = (520, 14)  # of a budget, in units


def answer(run: SearchRun, settings: str | None) -> Markup:
    """The section that stands first. ``settings``: the file that makes the run again."""
    if run.winner is None:
        return _unfinished(run, settings)
    winner, objective = run.trials[run.winner.trial], run.config.objective.replace("_", " ")
    scores = run.test_scores
    seeds = f" (mean ± standard deviation of {len(scores)} seeds)" if len(scores) > 1 else " (one training)"
    first = tag(
        "p", tag("strong", _reached(scores)), f" {objective} on test{seeds}, by a network of ",
        tag("strong", f"{winner.cost.params:,} parameters"), f", trial {winner.id} of "
        f"{run.tally.count(stage='search')}: ", tag("code", run.text(winner.sample)), ".", class_="answer",
    )  # fmt: skip
    return joined(first, facts(_sureness(run, winner, scores)), _failed(run), _budget(run, winner),
                  smaller(run, winner), _again(run, settings))  # fmt: skip


def _reached(scores: list[float]) -> str:
    mean = decimal(statistics.fmean(scores))
    return mean if len(scores) < 2 else f"{mean} ± {decimal(statistics.stdev(scores))}"


def _sureness(run: SearchRun, winner: TrialRecord, scores: list[float]) -> Iterator[tuple[str, Part]]:
    assert run.winner
    interval = over_seeds(scores, run.config.objective)
    images = by_images(run, "test", run.winner.test[run.winner.weights])
    yield "Classical baseline", _above_floor(run, scores, interval)
    words = "not known: one training" if interval is None else (
        f"95 % confidence interval of the mean over {len(scores)} seeds: {interval.words} (Student's t)")  # fmt: skip
    if images is not None:
        tested = sum(run.facts.counts["test"])
        words += f". Sampling error of {tested:,} test images: ± {decimal(images)} (95 %, one training)"
    yield "Uncertainty", words + "."
    yield "Finalists", _among_finalists(run, winner)
    exported = decimal(run.winner.score(run.winner.weights, run.config.objective))
    kept = f"those of one of its {len(scores)} seeds, the best on the rank split" if len(scores) > 1 else "its own"
    yield "Weights to export", f"{kept}: {exported} on test."
    if pairs := verification_words(run.winner.test[run.winner.weights]):
        yield "Verification", f"{pairs}, all of classes that nothing was trained on, used once."
    yield "Weakest classes", _weakest(run)
    yield "Data", _splits(run)
    pruned = run.tally.count("pruned", stage="search")
    stopped = f", {pruned} of them stopped early" if pruned else ""
    again = run.tally.count(stage="confirm")
    trials = counted(run.tally.count(stage="search"), "trial")
    finalists = f", and {counted(again, 'training')} of finalists" if again else ""
    yield "Effort", f"{in_words(run.seconds_so_far)} of work for {trials}{stopped}{finalists}."
    if words_of_guide := foresight_words(run):
        yield "Predictor", words_of_guide.removeprefix("Guide: ") + "."


def _among_finalists(run: SearchRun, winner: TrialRecord) -> Part:
    """Probability that the winner is the best of those that were trained again."""
    ranked = confirmed(run)
    if winner.id not in ranked:
        return None
    if len(ranked) == 1:
        seeds = counted(ranked[winner.id].seeds, "seed")
        return f"Only trial {winner.id} was trained again, with {seeds}.{_chosen_by(run)}"
    probability = ranked[winner.id].probability
    second = max((of for of in ranked if of != winner.id), key=lambda of: ranked[of].mean)
    close = f": close to a coin toss against trial {second}" if probability < TOSS else f"; trial {second} is next"
    likely = f"with probability {probability:.2f} it is the best of them{close}."
    return f"{len(ranked)} trials were trained again; {likely}{_chosen_by(run)}"


def _chosen_by(run: SearchRun) -> str:
    """Rule that chose the finalists, where it was not by their scores."""
    if not run.expected:
        return ""
    return (
        " Finalists have the highest expected score, estimated from all trials on select and rank: the best single "
        "score is partly luck."
    )


def _weakest(run: SearchRun) -> Part:
    found = recalls_of(run)
    if found is None:
        return None
    order = sorted((recall, place) for place, recall in enumerate(found.recalls) if recall is not None)
    words: list[Part] = []
    for recall, place in order[:2]:
        words += [", " if words else "", name_of(found.classes[place]), f" (recall {decimal(recall)}, "
                  f"{counted(found.train[place], 'training image')})"]  # fmt: skip
    return [*words, "; ", tag("a", "all classes", href="#classes"), "."]


def _splits(run: SearchRun) -> Part:
    """Splits that the networks were trained, chosen and scored on."""
    known = run.facts
    if not known.counts:
        return None
    train = known.counts["train"]
    uneven = f"{max(train):,} to {min(train):,} per class" if max(train) != min(train) else f"{train[0]:,} a class"
    does = {"select": "picks the epoch", "rank": "ranks trials", "test": "is used once, for the winner"}
    others = [f"{name} ({sum(known.counts[name]):,}) {words}" for name, words in does.items() if name in known.counts]
    used = "; ".join([f"train ({sum(train):,}, {uneven}) trains", *others])
    thinned = run.config.data.imbalance_factor
    on_purpose = (
        f" Training images were subsampled on purpose, to an imbalance of {thinned:g} to 1 (--imbalance)."
        if thinned > 1
        else ""
    )
    return [name_of(known.data_name), f", {len(known.classes)} classes.{on_purpose} Splits, in images: {used}.",
            [f" {remark.rstrip('.')}." for remark in known.data_remarks[:3]]]  # fmt: skip


def _above_floor(run: SearchRun, scores: list[float], interval: Interval | None) -> Part:
    if run.floor is None:
        return "none was measured (--no-floor). 'nasctl baseline run classical' scores some on the same splits."
    floor, mean = run.floor.test[run.config.objective], statistics.fmean(scores)
    words = f"{floor_words(run.floor, run.config.objective)}. "
    if run.is_below_floor:
        return tag("strong", words + advice(run))
    clear = ""
    if interval is not None:
        clear = (", more than the variation between seeds explains" if interval.low > floor else
                 ", but within the interval over seeds: not certain")  # fmt: skip
    again, by_floor = seed_scores(run, run.winner.trial) if run.winner else [], run.floor.rank.get(run.config.objective)
    on_rank = f" On the rank split: {decimal(statistics.fmean(again))} against {decimal(by_floor)}." if (
        again and by_floor is not None) else ""  # fmt: skip
    return f"{words}The winner is {decimal(mean - floor)} above it on test{clear}.{on_rank}"


def _unfinished(run: SearchRun, settings: str | None) -> Markup:
    ended, planned = run.num_ended("search"), run.planned_trials
    state = "The search is still running" if run.state == "running" else "The search was stopped"
    why = f" ({run.stopped})" if run.state == "stopped" and run.stopped else ""
    head = tag("p", tag("strong", f"{state}{why}: {ended} of {planned} trials have ended."), " There is no winner yet, "
               "and the test split was not touched.", class_="answer")  # fmt: skip
    best = run.best(1)
    if not best:
        return joined(head, tag("p", "No trial finished."), _failed(run), _again(run, settings))
    score = best[0].score(run.config.objective)
    line = tag("p", f"Best so far: trial {best[0].id}, {decimal(score)} on {run.judged_on}, one training: ",
               tag("code", run.text(best[0].sample)), f", {best[0].cost.params:,} parameters.")  # fmt: skip
    return joined(head, line, _failed(run), _budget(run, best[0]), smaller(run, best[0]), _again(run, settings))


def _budget(run: SearchRun, trial: TrialRecord) -> Markup | None:
    """A bar a limit: how much of it the network takes."""
    bars = []
    for name, limit in run.budget.limits.items():
        unit = COST_OF_LIMIT[name]
        if not name.startswith("max"):
            continue
        used = getattr(trial.cost, unit)
        least = run.budget.min_params if unit == "params" else None
        words = f"{used:,} of at most {limit:,} {UNITS[unit]} ({100 * used / limit:.1f} %)"
        words += f"; mark: at least {least:,}" if least else ""
        marks = [tag("rect", width=BAR[0], height=BAR[1], class_="bar"),
                 tag("rect", width=round(BAR[0] * min(1, used / limit), 1), height=BAR[1], class_="c0")]  # fmt: skip
        if least:
            marks.append(tag("path", d=f"M{round(BAR[0] * least / limit, 1)} 0V{BAR[1]}", class_="line c1"))
        bars += [tag("p", words), canvas(*BAR, words, marks)]
    return tag("div", bars, class_="budget") if bars else None


def _failed(run: SearchRun) -> Markup | None:
    """Number of trials that failed, if any did."""
    failed = run.tally.count("failed")
    if not failed:
        return None
    return tag("p", f"{counted(failed, 'training')} failed: ", tag("a", "why", href="#failures"), ".")


def _again(run: SearchRun, settings: str | None) -> Markup:
    lines = []
    if run.winner is None and run.state != "running":
        lines.append(("Resume it", typed("resume", run.folder)))
    if run.winner is not None:
        lines.append(
            (
                f"Export the network (weights, source, ONNX, model card), from the folder that holds {run.folder}",
                typed("export --best --out model/ --run", run.folder),
            )
        )
        lines.append(("Optional, before that: train it for longer", typed("train", run.folder)))
    if settings is None:
        lines.append(("Repeat it: write the settings to a file, then search with them",
                      f"{typed('config', run.folder)} > run.toml && nasctl search --config run.toml"))  # fmt: skip
        return tag("div", tag("h3", "To repeat it, and to resume it"), commands(lines))
    lines.append(("Repeat it, with the settings below saved as run.toml", "nasctl search --config run.toml"))
    file = folded("run.toml", tag("pre", tag("code", settings), tabindex="0"))
    return tag("div", tag("h3", "To repeat it, and to resume it"), commands(lines), file)


def heading(run: SearchRun) -> Markup:
    """The line under the title: what was searched, when, in which state."""
    config, day = run.config, datetime.fromtimestamp(run.started, UTC).date()
    return tag(
        "p", f"Architecture search by nasctl, {day}: {config.strategy_words} over ", tag("code", config.space),
        f", {counted(config.trials, 'trial')}, seed {config.seed}; data ", name_of(run.facts.data_name),
        f"; {run.facts.budget}; ", tag("strong", run.state, class_=f"state {run.state}"),
    )  # fmt: skip
