"""Provenance of a run: data, recipe, versions, time by part, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nas.config.rates import optimizer_words, schedule_words
from nas.config.views import views_in_words
from nas.report.html.markup import Cell, Markup, Part, Row, facts, folded, joined, name_of, number, table, tag
from nas.runs import Run, SearchRun, TrialRecord
from nas.units import counted

MOST_CLASSES = 400  # rows of a table of classes: the first half and the last
MOST_FAILED = 200
SPLITS = {
    "train": "trains the networks", "select": "chooses the epoch", "rank": "ranks the trials",
    "test": "scores the winner, once",
}  # fmt: skip


def data(run: Run) -> Markup:
    """Counts of every split and class, and how images became pixels."""
    known = run.facts
    if not known.counts:
        return tag("p", "The networks were trained by a Python program of the user (nas.Searcher), which has the data.")
    train, shape = known.counts["train"], "x".join(map(str, known.input_shape))
    splits = [Row([name, number(sum(counts)), does]) for name, does in SPLITS.items()
              if (counts := known.counts.get(name)) is not None]  # fmt: skip
    pairs: list[tuple[str, Part]] = [
        ("data", name_of(known.data_name)),
        ("images", f"{shape}; pixels are {run.preprocessing.words}"),
        ("classes", f"{len(known.classes)}, with {min(train):,} to {max(train):,} training images"),
        ("fingerprint", tag("code", known.data_key)),
        *((("note"), remark) for remark in known.data_remarks),
    ]
    order = sorted(range(len(known.classes)), key=lambda place: -train[place])
    left_out = max(0, len(order) - MOST_CLASSES)
    if left_out:
        order = [*order[: MOST_CLASSES // 2], *order[-MOST_CLASSES // 2 :]]
    names = [name for name in SPLITS if name in known.counts]
    rows = [Row([name_of_cell(known.classes[place]), *(number(known.counts[name][place]) for name in names)])
            for place in order]  # fmt: skip
    caption = "Images of each class" + (f"; {left_out:,} classes between the ends are left out" if left_out else "")
    by_class = folded("Images of each class", table(("class", *names), rows, caption=caption, sortable=True))
    return joined(facts(pairs), table(("split", "images", "what it does"), splits, caption="Splits"), by_class)


def name_of_cell(name: str) -> Cell:
    """A class in a table."""
    return Cell(name_of(name))


def recipe(run: SearchRun) -> Markup:
    """Recipe of every trial, and the objective that ranks them."""
    config, used = run.config, run.config.recipe
    losses = f"{used.loss}, {optimizer_words(used)}, learning rate {used.learning_rate:g}, {schedule_words(used)}"
    pairs: list[tuple[str, Part]] = [
        ("recipe", f"{used.name}: {losses}, weight decay {used.weight_decay:g}"),
        ("oversampling", used.oversampling),
        (
            "length",
            f"{counted(used.epochs, 'epoch')} in batches of {used.batch_size}"
            + (f"; {config.final_epochs} for confirmations" if config.final_epochs != used.epochs else ""),
        ),
        (
            "augmentation",
            views_in_words(used, run.facts.input_shape, run.facts.mirroring) if run.facts.counts else None,
        ),
        ("ranked by", f"{config.objective.replace('_', ' ')} on {run.judged_on}"),
        ("stopping", "weak trials are pruned" if config.prune else None),
        ("note", run.facts.recipe_note or None),
    ]
    return facts(pairs)


def in_words(seconds: float) -> str:
    """A time with its units: 16 min 26 s."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(hours or minutes) + [f"{left} s"]
    return " ".join(parts)


def versions(run: Run) -> Markup:
    """Of the programs that started it."""
    return facts((name, number) for name, number in run.versions.items())


def time(run: Run) -> Markup:
    """Of training by stage, and from the first event to the last."""
    rows = [Row([name, number(trainings), number(round(seconds, 1), in_words(seconds)), number(epochs)])
            for name, trainings, seconds, epochs in _stages(run)]  # fmt: skip
    made = table(("part", "trainings", "time of training", "epochs"), rows, caption="Where the time went")
    return joined(
        tag(
            "p",
            f"{in_words(run.seconds_so_far)} spent on the run in all. The table sums over trainings, including "
            "those that ran in parallel.",
        ),
        made,
    )


def _stages(run: Run) -> Iterator[tuple[str, int, float, int]]:
    names = {"search": "search", "confirm": "confirmation over seeds", "study": "trainings"}
    if isinstance(run, SearchRun) and run.supernet_epochs:
        yield "supernet", 1, sum(e.seconds for e in run.supernet_epochs), len(run.supernet_epochs)
    for stage, words in names.items():
        trials = run.stage(stage)  # type: ignore[arg-type]
        if trials:
            yield words, len(trials), sum(t.seconds for t in trials), sum(t.epochs for t in trials)


def failures(run: Run) -> Markup | None:
    """Trials without a score, and why; what the run noted."""
    failed = [trial for trial in run.trials.values() if run.status(trial) in ("failed", "interrupted")]
    notes = tag("ul", [tag("li", note) for note in run.notes]) if run.notes else None
    if not failed:
        return joined(tag("p", "No trial failed."), notes)
    reasons = Counter(_reason(trial) for trial in failed)
    most = ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common(3))
    rows = [Row([Cell(t.id, t.order), run.status(t), _reason(t), number(t.cost.params)], trial=t.id)
            for t in failed[:MOST_FAILED]]  # fmt: skip
    made = table(("trial", "status", "why", "parameters"), rows, caption="Trials without a result")
    more = f" The first {MOST_FAILED} are shown." if len(failed) > MOST_FAILED else ""
    return joined(tag("p", f"{counted(len(failed), 'trial')} without a result: {most}.{more}"), made, notes)


def _reason(trial: TrialRecord) -> str:
    return trial.error or "stopped before it had a result"
