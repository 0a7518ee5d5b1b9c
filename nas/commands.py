"""What each command does: settings, one call to the engine, and a table or a JSON document at the end."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas import STARTED
from nas.config import checked, raise_all
from nas.documents import run_document, trial_document
from nas.errors import RunError, UsageError, attempt
from nas.executors import WorkerSlot, start_server
from nas.options import Flags, converted, data_config, parse_duration, search_config, too_many_trials
from nas.packing import as_recorded, packed
from nas.profiling import OFF, Stopwatch
from nas.runs import Run, find_run, fold, load_run, run_folders
from nas.search import Plan, check_data, local_executor, plan_search, search, start
from nas.starting import name_faults, under_free_name
from nas.store import RunStore, stream_events, typed
from nas.terminal import Terminal, decoding

console = Terminal()


def search_command(flags: Flags) -> None:
    """Check everything, create the run, search to the end."""
    from nas.tables import print_plan
    from nas.tuning import tuned

    faults: list[str] = []
    config = attempt(lambda: search_config(flags), faults)
    faults += name_faults(flags["run"], Path(flags["runs"]))
    if faults:
        raise_all(faults + _other_faults(flags))
    assert config is not None
    quiet = flags["quiet"] or flags["json"]
    with decoding(console, quiet) as progress:
        plan = plan_search(config, progress=progress)
    plan = tuned(packed(plan))
    store = _started(plan, flags)
    if not quiet:
        print_plan(console, plan, store.folder.name)
    carry_out(store, plan.slots, quiet=quiet, as_json=flags["json"])


def _started(plan: Plan, flags: Flags) -> RunStore:
    """The new run's log."""
    return under_free_name(lambda folder: start(plan, folder), plan.space.name, plan.config.data.source, flags)


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
    slots = attempt(lambda: as_recorded(plan_slots(*told), settings, run.facts), faults)
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


def outcome_document(run: Run) -> dict[str, Any]:
    """What a run found, as JSON; of a study with its pictures drawn."""
    if not run.is_study:
        return run_document(run)
    from nas.study_report import study_document, write_pictures

    return study_document(run) | {"pictures": [str(path) for path in write_pictures(run)]}


def show_outcome(run: Run) -> None:
    """What a run found, in words and tables; of a study with its pictures drawn."""
    from nas.profile_tables import print_profile
    from nas.supernet_tables import print_supernet
    from nas.tables import print_outcome

    if run.is_study:
        from nas.study_report import write_pictures
        from nas.study_tables import print_study

        print_study(console, run, write_pictures(run))
    else:
        print_supernet(console, run)
        print_outcome(console, run)
    print_profile(console, run)


def carry_out(
    store: RunStore, slots: Sequence[WorkerSlot], *, quiet: bool, as_json: bool, run: Run | None = None
) -> None:
    """Search, or train a study, with a display and TensorBoard listening; say how to go on if it is stopped.

    ``run`` is what its log said a moment ago, if it was read.
    """
    start_server(slots)  # first: it imports in the background
    from nas.display import open_display
    from nas.keeping import bring_up_to_date, keep_files
    from nas.study_loop import run_study

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


def status_command(name: str | None, runs: str, *, as_json: bool) -> None:
    """All runs in a table, or one run."""
    from nas.display import standing
    from nas.tables import print_run

    if name is None:
        _all_runs(Path(runs), as_json=as_json)
        return
    run = load_run(name, Path(runs))
    if as_json:
        print_json(run_document(run))
        return
    print_run(console, run)
    active = run.state == "running"
    console.print(f"State   {run.state}: {standing(run, active=active)}", highlight=False, soft_wrap=True)
    if run.state == "stopped":
        why = f"Stopped: {run.stopped or 'killed, it seems'}. To go on: {typed('resume', run.folder)}"
        console.print(why, highlight=False, markup=False, soft_wrap=True)
    if run.is_study:
        from nas.profile_tables import print_profile
        from nas.study_report import study_document
        from nas.study_tables import study_table

        console.print(study_table(run, study_document(run)))
        print_profile(console, run)
    else:
        show_outcome(run)


def _all_runs(runs: Path, *, as_json: bool) -> None:
    """Every run in a table, and those that cannot be read by name."""
    from nas.tables import runs_table

    faults: list[str] = []
    folders = run_folders(runs)
    loaded = [run for f in folders if (run := attempt(lambda f=f: fold(f, stream_events(f)), faults)) is not None]  # type: ignore[misc]
    if as_json:
        print_json([run_document(run) for run in loaded])
    elif loaded:
        console.print(runs_table(loaded))
    elif not folders:
        console.print(f"There is no run in {runs}/ yet. Start one: nasctl search --space densenet --max-params 150k")
    for fault in faults:
        print(f"Unreadable: {fault}", file=sys.stderr)


def show_command(trial_id: str, name: str | None, runs: str, *, as_json: bool) -> None:
    """One trial's network, layer by layer."""
    from nas.tables import layers_table

    run = load_run(name, Path(runs))
    trial = run.trial(trial_id)
    if as_json:
        print_json(trial_document(run, trial))
    else:
        console.print(layers_table(run, trial))


def space_command(flags: Flags) -> None:
    """What a space holds under a budget."""
    from nas.space_report import print_spaces, space_report

    if flags["name"] is None:
        print_spaces(console)
        return
    faults: list[str] = []
    attempt(lambda: search_config({**flags, "space": flags["name"]}), faults)
    if faults:
        raise_all(faults + _other_faults(flags))
    space_report(console, flags, as_json=flags["json"])


def data_command(flags: Flags) -> None:
    """What is in a data set. Exit code 2 if a search could not use it as it is."""
    from nas.data import describe_data
    from nas.data_report import data_document, print_data

    faults: list[str] = []
    config = data_config(flags, faults)
    raise_all(faults)
    assert config is not None
    with decoding(console, flags["json"]) as progress:
        report = describe_data(config, progress=progress)
    if flags["json"]:
        print_json(data_document(report))
    else:
        print_data(console, report)
    raise_all(list(report.faults))


def export_command(out: str, name: str | None, runs: str, *, trial: str | None, best: bool, as_json: bool) -> None:
    """Write a trial's network to a folder."""
    from nas.handover import export_trial

    if best == (trial is not None):
        raise UsageError("Say which network: either --best, or --trial ID ('nasctl trials' lists them).")
    files = export_trial(load_run(name, Path(runs)), trial, Path(out))
    if as_json:
        print_json([str(path) for path in files])
        return
    console.print(f"Exported to {out}, each file loaded again and checked:")
    for path in files:
        console.print(f"  {path.name:<20} {path.stat().st_size:>12,} bytes", highlight=False)


def print_json(document: Any) -> None:
    """One document on standard output."""
    print(json.dumps(document, indent=2))


def _other_faults(flags: Flags) -> list[str]:
    """What else is wrong besides the settings, so that one message tells it all. Reads no image."""
    from nas.data.cache import cache_root
    from nas.data.finding import find_source
    from nas.executors import plan_slots

    faults: list[str] = []
    attempt(lambda: find_source(flags["data"] or "digits", cache_root(None)).fingerprint(), faults)
    attempt(lambda: plan_slots(flags["device"], None, None), faults)
    return faults
