"""``nasctl export``."""

from __future__ import annotations

from pathlib import Path

from nas.cli.commands.output import console, print_json
from nas.errors import UsageError
from nas.export.request import Extras, Quantized
from nas.report.tables.format import make_table
from nas.runs import load_run
from nas.runs.named import Named, load_part, one_name, split_name


def export_command(
    out: str,
    name: str | None,
    run: str | None,
    runs: str,
    extras: Extras,
    *,
    trial: str | None,
    best: bool,
    as_json: bool,
) -> None:
    """Write a trial's network to a folder."""
    from nas.export import export_trial

    name = one_name(name, run)
    if name is not None and (part := split_name(name)[1]) is not None:
        if trial not in (None, part, name):
            raise UsageError(f"{name} names a trial, and --trial {trial} another: leave out one of them.")
        name, trial = None, name
    if best == (trial is not None):
        raise UsageError("Name a network: either --best, or RUN:TRIAL or --trial ID ('nasctl trials' lists them).")
    named = Named(load_run(name, Path(runs))) if trial is None else load_part(trial, name, Path(runs))
    files, request, milliseconds = export_trial(named.run, named.part, Path(out), extras)
    if as_json:
        print_json([str(path) for path in files])
        return
    console.print(f"Exported to {out}, each model file loaded again and checked:")
    for path in files:
        console.print(f"  {path.name:<20} {path.stat().st_size:>12,} bytes", highlight=False)
    if request.calibration is None and request.has_head:
        console.print(f"Scores are not calibrated. {request.no_dataset}.", style="yellow")
    if request.quantized and milliseconds:
        _show_int8(request.quantized, milliseconds)


def _show_int8(found: Quantized, milliseconds: tuple[float, float]) -> None:
    """Print the scores and sizes of the network in int8 beside those in float."""
    words = found.objective.replace("_", " ")
    table = make_table("In int8", ["numbers"], [f"{words} on rank", "on test", "bytes", "ms an image"])
    rows = [
        ("float32", found.float_rank, found.float_test, found.float_bytes, milliseconds[0]),
        ("int8", found.int8_rank, found.int8_test, found.num_bytes, milliseconds[1]),
    ]
    for name, rank, test, num_bytes, time in rows:
        table.add_row(name, f"{rank:.4f}", f"{test:.4f}", f"{num_bytes:,}", f"{time:.2f}")
    console.print(table)
    console.print(
        f"{found.agreement:.1%} of the images of rank get the same label. Activation ranges by {found.method} "
        f"over {found.images} training images."
    )
