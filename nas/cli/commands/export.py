"""``nasctl export``."""

from __future__ import annotations

from pathlib import Path

from nas.cli.commands.output import console, print_json
from nas.errors import UsageError
from nas.runs import load_run


def export_command(out: str, name: str | None, runs: str, *, trial: str | None, best: bool, as_json: bool) -> None:
    """Write a trial's network to a folder."""
    from nas.export import export_trial

    if best == (trial is not None):
        raise UsageError("Say which network: either --best, or --trial ID ('nasctl trials' lists them).")
    files = export_trial(load_run(name, Path(runs)), trial, Path(out))
    if as_json:
        print_json([str(path) for path in files])
        return
    console.print(f"Exported to {out}, each file loaded again and checked:")
    for path in files:
        console.print(f"  {path.name:<20} {path.stat().st_size:>12,} bytes", highlight=False)
