"""The report of a search: the answer first, then what it rests on."""

from __future__ import annotations

from nas.errors import NasctlError
from nas.report.html import provenance
from nas.report.html.architecture import drawn
from nas.report.html.choices import choices
from nas.report.html.classes import as_given, classes, kept_of_winner
from nas.report.html.markup import Markup, joined, tag
from nas.report.html.page import Section, page, side_by_side
from nas.report.html.supernet import supernet
from nas.report.html.trials import confirmation, course, every_trial, learning_curves, sizes
from nas.report.html.winner import answer, heading
from nas.runs import SearchRun

REREAD = 15  # seconds after which the page of a search that runs is read again


def search_page(run: SearchRun, *, settings: str | None = None, watched: bool = False) -> str:
    """The whole page. ``settings``: the file that makes the run again; ``watched``: it is written anew during
    the run."""
    kept, remark = kept_of_winner(run)
    sections = [
        Section("answer", "What was found", answer(run, settings)),
        Section(
            "course",
            "Size, score and time",
            side_by_side(sizes(run), confirmation(run), course(run), learning_curves(run)),
        ),
        Section("choices", "Choices", side_by_side(choices(run))),
        Section("supernet", "Supernet", supernet(run)),
        Section("classes", "Classes, mistakes and calibration", classes(run, kept, remark)),
        Section("architecture", "Architecture", _architecture(run)),
        Section("all-trials", "Every trial", every_trial(run)),
        Section("data", "Data", joined(provenance.data(run), as_given(*kept) if kept else None)),
        Section("recipe", "Recipe", provenance.recipe(run)),
        Section("time", "Time", provenance.time(run)),
        Section("failures", "Failures and notes", provenance.failures(run)),
        Section("versions", "Versions", provenance.versions(run)),
    ]
    again = REREAD if watched and run.state == "running" else None
    return page(f"nasctl: {run.name}", heading(run), sections, again_in=again)


def _architecture(run: SearchRun) -> Markup | None:
    best = [run.trials[run.winner.trial]] if run.winner else run.best(1)
    if not best:
        return None
    try:
        tree = run.space.structure(best[0].sample, run.task)
    except NasctlError as error:  # a plug-in that is not trusted here
        return tag("p", f"It cannot be drawn: {' '.join(error.args)}")
    words = "x".join(map(str, run.facts.input_shape)) + " image"
    what = "The winner" if run.winner else "The best so far"
    return joined(tag("p", tag("code", run.text(best[0].sample))), drawn(tree, f"{what}, trial {best[0].id}", words))
