"""``nasctl data``."""

from __future__ import annotations

from nas.cli.commands.output import console, print_json
from nas.cli.parsing import Flags, data_config
from nas.cli.terminal import decoding
from nas.config import raise_all


def data_command(flags: Flags) -> None:
    """What is in a data set. Exit code 2 if a search could not use it as it is."""
    from nas.data import describe_data
    from nas.report.documents import document
    from nas.report.tables.data import print_data

    faults: list[str] = []
    config = data_config(flags, faults)
    raise_all(faults)
    assert config is not None
    with decoding(console, flags["json"]) as progress:
        report = describe_data(config, progress=progress)
    if flags["json"]:
        print_json(document(report))
    else:
        print_data(console, report)
    raise_all(list(report.faults))
