"""What each command does: settings, one call to the engine, and a table or a JSON document at the end."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.config import SearchConfig, checked, raise_all
from nas.documents import run_document, trial_document
from nas.errors import RunError, UsageError
from nas.executors import WorkerSlot
from nas.options import Flags, attempt, data_config, parse_duration, search_config
from nas.runs import Run, find_run, fold, load_run, new_name, run_folders
from nas.store import RunStore, is_running, read_events, typed

console = Console(width=None if sys.stdout.isatty() else 132)  # a pipe has no width; tables need some


def search_command(flags: Flags) -> None:
    """Check everything, create the run, search to the end."""
    from nas.search import never_started, plan_search, start
    from nas.tables import print_plan

    runs = Path(flags["runs"])
    faults: list[str] = []
    config: SearchConfig | None = attempt(search_config, flags, faults)
    if config is None:
        faults += _other_faults(flags)
    name = flags["run"] or (new_name(f"{config.space}-{_stem(config.data.source)}", runs) if config else "unnamed")
    if not _is_name(name):
        faults.append(f"--run {name!r} is not a name: use letters, digits, '.', '-' and '_'.")
    elif flags["run"] and (runs / name).exists() and not never_started(runs / name):
        faults.append(
            f"Run {name!r} exists already. To go on with it: {typed('resume', runs / name)}. Or choose another --run."
        )
    raise_all(faults)
    assert config is not None
    quiet = flags["quiet"] or flags["json"]
    with _decoding(quiet) as progress:
        plan = plan_search(config, progress=progress)
    if not quiet:
        print_plan(console, plan, name)
    _carry_out(start(plan, runs / name), plan.slots, quiet=quiet, as_json=flags["json"])


def resume_command(flags: Flags) -> None:
    """Go on with a run; what was recorded is replayed, not trained again."""
    from nas.executors import plan_slots

    folder = find_run(flags["run"], Path(flags["runs"]))
    run = fold(folder, read_events(folder))
    config = run.config
    faults: list[str] = []
    changes: dict[str, Any] = {k: flags[k] for k in ("trials", "workers", "trials_per_gpu", "device") if flags[k]}
    if flags["time_limit"]:
        try:
            changes["time_limit"] = parse_duration(flags["time_limit"])
        except ValueError as error:
            faults.append(f"--time-limit: {error}.")
    changed = checked(SearchConfig, {**config.model_dump(), **changes}, faults)
    raise_all(faults)
    assert changed is not None
    if run.winner:
        _say_it_is_done(run, flags, changed=bool(changes))
        return
    slots = plan_slots(changed.device, changed.workers, changed.trials_per_gpu)
    store = RunStore(folder)
    if changes:
        store.append("changed", {"config": changed.model_dump(mode="json")})
    quiet = flags["quiet"] or flags["json"]
    _carry_out(store, slots, quiet=quiet, as_json=flags["json"])


def _say_it_is_done(run: Run, flags: Flags, *, changed: bool) -> None:
    """A finished run is shown again; it cannot be changed, since its test split has been read."""
    from nas.tables import print_outcome

    if changed:
        raise RunError(
            f"Run {run.name!r} is done and its winner was scored on the test split: searching on would choose with "
            "that knowledge. Start a new run (another --run, another --seed)."
        )
    if flags["json"]:
        _print_json(run_document(run))
    elif not flags["quiet"]:
        console.print(f"{run.name} is done already.")
        print_outcome(console, run)


def _carry_out(store: RunStore, slots: Sequence[WorkerSlot], *, quiet: bool, as_json: bool) -> None:
    """Search with a display and TensorBoard listening; say how to go on if it is stopped."""
    from nas.display import open_display
    from nas.keeping import bring_up_to_date, keep_files
    from nas.search import local_executor, search
    from nas.tables import print_outcome

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    run = fold(store.folder, store.events())
    bring_up_to_date(run)
    try:
        with store, open_display(console, len(slots), quiet=quiet) as display:
            listeners = [keep_files, display.on_event]
            run = search(store, slots, listeners, local_executor(run.config, display.on_epoch))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not garble the message
        print(f"\nStopped. Every finished trial is kept. To go on: {typed('resume', store.folder)}", file=sys.stderr)
        sys.exit(130)
    if as_json:
        _print_json(run_document(run))
    elif not quiet:
        print_outcome(console, run)


def status_command(name: str | None, runs: str, *, as_json: bool) -> None:
    """All runs in a table, or one run."""
    from nas.display import standing
    from nas.tables import print_outcome, print_run, runs_table, state

    if name is None:
        loaded = [run for folder in run_folders(Path(runs)) if (run := attempt(load_folder, folder, [])) is not None]
        if as_json:
            _print_json([run_document(run) for run in loaded])
        elif not loaded:
            console.print(
                f"There is no run in {runs}/ yet. Start one: nasctl search --space densenet --max-params 150k"
            )
        else:
            console.print(runs_table(loaded, [is_running(run.folder) for run in loaded]))
        return
    run = load_run(name, Path(runs))
    if as_json:
        _print_json(run_document(run))
        return
    active = is_running(run.folder)
    word = state(run, active)
    print_run(console, run)
    console.print(f"State   {word}: {standing(run, active=active)}", highlight=False, soft_wrap=True)
    if word == "stopped":
        console.print(f"Last: {run.ended or 'ended without a word (killed?)'}. To go on: {typed('resume', run.folder)}")
    print_outcome(console, run)


def load_folder(folder: Path) -> Run:
    """The run in a folder."""
    return fold(folder, read_events(folder))


def trials_command(name: str | None, runs: str, top: str | None, *, as_json: bool) -> None:
    """The trials of a run, all in their order or the best N."""
    from nas.tables import trials_table

    if top is not None and (not top.isdigit() or int(top) < 1):
        raise UsageError(f"--top {top!r} cannot be used: give a whole number of at least 1.")
    run = load_run(name, Path(runs))
    chosen = run.ranked()[: int(top)] if top else list(run.trials.values())
    if as_json:
        _print_json([trial_document(run, trial) for trial in chosen])
    else:
        console.print(trials_table(run, chosen))


def show_command(trial_id: str, name: str | None, runs: str, *, as_json: bool) -> None:
    """One trial's network, layer by layer."""
    from nas.tables import layers_table

    run = load_run(name, Path(runs))
    trial = run.trial(trial_id)
    if as_json:
        _print_json(trial_document(run, trial))
    else:
        console.print(layers_table(run, trial))


def space_command(flags: Flags) -> None:
    """What a space holds under a budget."""
    from nas.space_report import print_spaces, space_report

    if flags["name"] is None:
        print_spaces(console)
        return
    space_report(console, flags, as_json=flags["json"])


def data_command(flags: Flags) -> None:
    """What is in a data set. Exit code 2 if a search could not use it as it is."""
    from nas.data import describe_data
    from nas.data_report import data_document, print_data

    faults: list[str] = []
    config = data_config(flags, faults)
    raise_all(faults)
    assert config is not None
    with _decoding(flags["json"]) as progress:
        report = describe_data(config, progress=progress)
    if flags["json"]:
        _print_json(data_document(report))
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
        _print_json([str(path) for path in files])
        return
    console.print(f"Exported to {out}, each file loaded again and checked:")
    for path in files:
        console.print(f"  {path.name:<20} {path.stat().st_size:>12,} bytes", highlight=False)


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2))


def _stem(source: str) -> str:
    kept = "".join(c if c.isalnum() else "-" for c in Path(source).stem.lower()).strip("-")
    return kept or "data"


def _is_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and all(c.isalnum() or c in "._-" for c in name)


def _other_faults(flags: Flags) -> list[str]:
    """What else is wrong besides the settings, so that one message tells it all. Reads no image."""
    from nas.data.cache import cache_root
    from nas.data.finding import find_source
    from nas.executors import plan_slots

    faults: list[str] = []
    attempt(lambda source: find_source(source, cache_root(None)).fingerprint(), flags["data"] or "digits", faults)
    attempt(lambda device: plan_slots(device, None, None), flags["device"], faults)
    return faults


@contextmanager
def _decoding(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar for decoding images that appears only if there are many to decode."""
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("decoding images", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
