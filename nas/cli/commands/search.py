"""What each command does: settings, one call to the engine, and a table or a JSON document at the end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas import STARTED
from nas.autotune import read_placement
from nas.cli.commands.output import console, other_faults, outcome_document, print_json, show_outcome
from nas.cli.parsing import Flags, converted, search_config, too_many_trials
from nas.cli.terminal import decoding
from nas.config.validation import checked, raise_all
from nas.engine.placement import placed, slots_of
from nas.engine.plan import Plan, check_data, plan_search, start
from nas.engine.runner import local_executor
from nas.engine.search import search
from nas.errors import RunError, attempt
from nas.executors import WorkerSlot, start_server
from nas.runs.folders import find_run, name_faults, under_free_name
from nas.runs.hints import typed
from nas.runs.log import RunStore, stream_events
from nas.runs.run import Run, fold
from nas.stopwatch import OFF, Stopwatch
from nas.units import parse_duration


def search_command(flags: Flags) -> None:
    """Check everything, create the run, search to the end."""
    from nas.report.tables.search import print_plan

    faults: list[str] = []
    config = attempt(lambda: search_config(flags), faults)
    faults += name_faults(flags["run"], Path(flags["runs"]))
    if faults:
        raise_all(faults + other_faults(flags))
    assert config is not None
    quiet = flags["quiet"] or flags["json"]
    with decoding(console, quiet) as progress:
        plan = plan_search(config, progress=progress)
    plan = placed(plan)
    store = _started(plan, flags)
    if not quiet:
        print_plan(console, plan, store.folder.name)
    carry_out(store, plan.slots, quiet=quiet, as_json=flags["json"])


def _started(plan: Plan, flags: Flags) -> RunStore:
    """The new run's log."""
    return under_free_name(
        lambda folder: start(plan, folder), plan.space.name, plan.config.data.source,
        name=flags["run"], runs=Path(flags["runs"]),
    )  # fmt: skip


def resume_command(flags: Flags) -> None:
    """Go on with a run; what was recorded is replayed, not trained again."""
    from nas.executors import plan_slots

    folder = find_run(flags["run"], Path(flags["runs"]))
    run = fold(folder, stream_events(folder))
    faults: list[str] = []
    changes: dict[str, Any] = {k: flags[k] for k in ("trials", "workers", "trials_per_gpu", "device") if flags[k]}
    if flags.get("profile") not in (None, run.config.profile):
        changes["profile"] = flags["profile"]
    if flags["time_limit"]:
        changes["time_limit"] = converted(parse_duration, "time_limit", flags, faults)
    if flags["trials"]:
        faults += _trials_faults(run, flags["trials"])
        changes = {k: v for k, v in changes.items() if not (k == "trials" and run.is_study)}
    changed = checked(type(run.config), {**run.config.model_dump(), **changes}, faults)
    if run.state == "done" and not faults:
        _say_it_is_done(run, flags, changed=bool(changes.keys() - {"profile"}))
        return
    quiet = flags["quiet"] or flags["json"]
    with decoding(console, quiet) as progress:
        attempt(lambda: check_data(run, progress=progress), faults)
    settings = changed or run.config
    told = (settings.device, settings.workers, settings.trials_per_gpu)
    placement = read_placement(run.facts.get("placement"))
    slots = attempt(lambda: slots_of(plan_slots(*told), settings, placement), faults)
    raise_all(faults)
    assert changed is not None and slots is not None
    store = RunStore(folder)
    if changes:
        store.append("changed", {"config": changed.model_dump(mode="json")})
    carry_out(store, slots, quiet=quiet, as_json=flags["json"], run=run)


def _trials_faults(run: Run, trials: str) -> list[str]:
    """What is wrong with a new number of trials for a run."""
    if run.is_study:
        return [f"--trials {trials} cannot be used: the trainings of a baseline run are those of its study."]
    return too_many_trials(trials, run.search.supernet.candidates) if run.search.one_shot else []


def _say_it_is_done(run: Run, flags: Flags, *, changed: bool) -> None:
    """A finished run is shown again; it cannot be changed, since its test split has been read."""
    if changed and not run.is_study:
        raise RunError(
            f"Run {run.name!r} is done and its winner was scored on the test split: searching on would choose with "
            "that knowledge. Start a new run (another --run, another --seed)."
        )
    if flags["json"]:
        print_json(outcome_document(run))
    elif not flags["quiet"]:
        console.print(f"{run.name} is done already.")
        show_outcome(run)


def carry_out(
    store: RunStore, slots: Sequence[WorkerSlot], *, quiet: bool, as_json: bool, run: Run | None = None
) -> None:
    """Search, or train a study, with a display and TensorBoard listening; say how to go on if it is stopped.

    ``run`` is what its log said a moment ago, if it was read.
    """
    start_server(slots)  # first: it imports in the background
    from nas.engine.study import run_study
    from nas.report.live import open_display
    from nas.report.tensorboard.listener import bring_up_to_date, keep_files

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if run is None:
        run = fold(store.folder, store.stream())
    run.catch_up(store)
    watch = Stopwatch("starting", since=STARTED) if run.config.profile else OFF
    bring_up_to_date(run)
    try:
        with store, open_display(console, len(slots), quiet=quiet) as display:
            listeners = [keep_files, display.on_event]
            work = run_study if run.is_study else search
            open_executor = local_executor(run.config, display.on_epoch)
            run = work(store, slots, listeners, open_executor, run=run, watch=watch)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not garble the message
        print(f"\nStopped. Every finished trial is kept. To go on: {typed('resume', store.folder)}", file=sys.stderr)
        sys.exit(130)
    if as_json:
        print_json(outcome_document(run))
    elif not quiet:
        show_outcome(run)
