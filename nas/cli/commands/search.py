"""``nasctl search`` and ``nasctl resume``: settings, one call to ``nas.api``, and what came of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from nas import api
from nas.api.settings import Flags, resolve_changes, resolve_search
from nas.cli.commands.output import console, outcome_document, print_json, show_outcome
from nas.cli.commands.report import settings_of
from nas.cli.plugin_flags import tell_plugin_errors, use_plugins
from nas.cli.settings_file import NO_FILE, SettingsFile
from nas.cli.streams import complain
from nas.report.documents import plan_document
from nas.report.live import decoding, open_display
from nas.runs import SearchRun, StudyRun, as_search, as_study, load_run
from nas.runs.folders import training_name
from nas.runs.hints import typed
from nas.runs.named import load_whole, one_name

Request = TypeVar("Request", contravariant=True)


class Begin(Protocol[Request]):
    """A function of ``nas.api`` that plans a run, and creates it or only shows it."""

    def __call__(
        self, request: Request, /, *, name: str | None, runs: Path, progress: api.Progress | None
    ) -> api.OpenRun | api.Preview: ...


def search_command(flags: Flags, file: SettingsFile = NO_FILE) -> None:
    """Check everything, create the run, search to the end. ``file``: where some of the flags come from."""
    from nas.report.tables.search import print_plan

    quiet = flags["quiet"] or flags["json"]
    with file.naming_keys():
        use_plugins(flags["plugin"])
        config = resolve_search(flags, file.errors)
        with decoding(console, quiet) as progress:
            begin = api.preview_search if flags["dry_run"] else api.new_search
            opened = begin(config, name=flags["run"], runs=Path(flags["runs"]), progress=progress)
    if not quiet:
        print_plan(console, as_search(opened.run), opened.slots)
    if isinstance(opened, api.Preview):
        tell_preview(opened, flags)
        return
    with stoppable(opened.run.folder):
        run = api.carry_out(opened, open_display(console, len(opened.slots), quiet=quiet), settings=settings_of)
    _tell_all(run, quiet=quiet, as_json=flags["json"])


def resume_command(flags: Flags) -> None:
    """Resume a run; what was recorded is replayed, not trained again."""
    run = load_whole(one_name(flags.get("name"), flags["run"]), "resume", Path(flags["runs"]))
    changes = resolve_changes(run, flags)
    quiet = flags["quiet"] or flags["json"]
    if api.stays_as_it_is(run, changes):
        tell_plugin_errors(run)
        if not quiet:
            console.print(f"{run.name} is done already.")
        _tell_all(run, quiet=quiet, as_json=flags["json"])
        return
    with decoding(console, quiet) as progress:
        opened = api.reopen(run, changes, progress=progress)
    with stoppable(opened.run.folder):
        run = api.carry_out(opened, open_display(console, len(opened.slots), quiet=quiet), settings=settings_of)
    _tell_all(run, quiet=quiet, as_json=flags["json"])


def _tell_all(run: SearchRun | StudyRun, *, quiet: bool, as_json: bool) -> None:
    """Print the outcome of a run, and of the long training of its winner, where the search asked for that."""
    if not (isinstance(run, SearchRun) and run.config.train):
        tell_outcome(run, quiet=quiet, as_json=as_json)
        return
    tell_outcome(run, quiet=quiet or as_json, as_json=False)
    with decoding(console, quiet) as progress:
        opened = api.training_of_winner(run, progress=progress)
    if opened is not None:
        carried_out(opened, quiet=quiet)
    training = load_run(training_name(run.name), run.folder.parent)
    if as_json:
        print_json(outcome_document(run) | {"training": outcome_document(training)})
    else:
        tell_outcome(training, quiet=quiet, as_json=False)


def study_command(
    flags: Flags, file: SettingsFile, resolve: Callable[[], Request], begin: Begin[Request], preview: Begin[Request]
) -> None:
    """Check everything, create the run of a study or of one network's training, carry it out, report; of a dry run
    the plan alone. ``resolve`` gives what is asked for."""
    from nas.report.tables.study import print_study_plan

    quiet = flags["quiet"] or flags["json"]
    with file.naming_keys():
        request = resolve()
        with decoding(console, quiet) as progress:
            make = preview if flags["dry_run"] else begin
            opened = make(request, name=flags["run"], runs=Path(flags["runs"]), progress=progress)
    if isinstance(opened, api.Preview):
        if not quiet:
            print_study_plan(console, as_study(opened.run), opened.slots)
        tell_preview(opened, flags)
        return
    tell_outcome(carried_out(opened, quiet=quiet), quiet=quiet, as_json=flags["json"])


def carried_out(opened: api.OpenRun, *, quiet: bool) -> SearchRun | StudyRun:
    """A study, or the training of one network, to its end, after its plan."""
    from nas.report.tables.study import print_study_plan

    if not quiet:
        print_study_plan(console, as_study(opened.run), opened.slots)
    with stoppable(opened.run.folder):
        return api.carry_out(opened, open_display(console, len(opened.slots), quiet=quiet), settings=settings_of)


def tell_preview(preview: api.Preview, flags: Flags) -> None:
    """After the plan of a dry run: that there is no more, or all of it as JSON."""
    if flags["json"]:
        print_json(plan_document(preview.run, preview.slots))
    elif not flags["quiet"]:
        console.print("Dry run: nothing was started. To start, run the same command without --dry-run.")


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end what is inside with a line that says how to resume, and exit code 130."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not garble the message
        complain(f"\nStopped. Every finished trial is kept. To resume: {typed('resume', folder)}")
        sys.exit(130)


def tell_outcome(run: SearchRun | StudyRun, *, quiet: bool, as_json: bool) -> None:
    """Print the outcome of a run."""
    if as_json:
        print_json(outcome_document(run))
    elif not quiet:
        show_outcome(run)
