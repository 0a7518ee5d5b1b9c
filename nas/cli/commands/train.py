"""``nasctl train``: one network trained for long, and what came of it."""

from __future__ import annotations

from pathlib import Path

from nas import api
from nas.api.settings import Flags, settled_training
from nas.cli.commands.output import console
from nas.cli.commands.search import carried_out, tell_outcome, tell_preview
from nas.cli.plugin_flags import use_plugins
from nas.cli.settings_file import NO_FILE, SettingsFile
from nas.errors import UsageError
from nas.report.live import decoding
from nas.runs import as_study


def train_command(flags: Flags, file: SettingsFile = NO_FILE) -> None:
    """Check everything, create the run, train the network with every seed, report. ``file``: where some of the flags
    come from."""
    from nas.report.tables.study import print_study_plan

    quiet = flags["quiet"] or flags["json"]
    with file.naming_keys():
        use_plugins(flags["plugin"], trusting=flags["trust_plugin"])
        named = flags.pop("name", None)
        if named is not None and flags["arch"] is not None:
            raise UsageError(f"{named} and --arch both say which network is trained: leave out one of them.")
        request = settled_training({**flags, "arch": named or flags["arch"]}, file.faults)
        with decoding(console, quiet) as progress:
            begin = api.preview_training if flags["dry_run"] else api.new_training
            opened = begin(request, name=flags["run"], runs=Path(flags["runs"]), progress=progress)
    if isinstance(opened, api.Preview):
        if not quiet:
            print_study_plan(console, as_study(opened.run), opened.slots)
        tell_preview(opened, flags)
        return
    tell_outcome(carried_out(opened, quiet=quiet), quiet=quiet, as_json=flags["json"])
