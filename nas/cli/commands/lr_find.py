"""``nasctl lr-find``: the learning-rate range test of one network, its curve and what it suggests."""

from __future__ import annotations

from pathlib import Path

from nas.api.settings import Flags, rate_request
from nas.cli.commands.output import console, print_json
from nas.engine.rate_plan import find_rate
from nas.errors import UsageError
from nas.report.learning_rate import draw_rates, print_rates, rates_document
from nas.report.live import decoding
from nas.report.png_files import check_png


def lr_find_command(flags: Flags) -> None:
    """Check everything, take the steps, show the curve."""
    named, out = flags.pop("name", None), flags.pop("out", None)
    if named is not None and flags["arch"] is not None:
        raise UsageError(f"{named} and --arch both say which network is meant: leave out one of them.")
    if out is not None:
        check_png("out", Path(out))
    request = rate_request({**flags, "arch": named or flags["arch"]})
    with decoding(console, flags["json"], "steps of the range test") as on_step:
        found = find_rate(request, runs=Path(flags["runs"]), on_step=on_step)
    picture = None if out is None else draw_rates(found, Path(out))
    if flags["json"]:
        print_json(rates_document(found) | ({"picture": str(picture)} if picture else {}))
    else:
        print_rates(console, found, picture)
