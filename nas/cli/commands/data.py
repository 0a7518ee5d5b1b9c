"""``nasctl data``."""

from __future__ import annotations

from pathlib import Path

from nas.cli.commands.output import console, print_json
from nas.cli.parsing import Flags, data_config
from nas.cli.terminal import decoding
from nas.config import DataConfig, raise_all
from nas.data import DataReport
from nas.errors import attempt


def data_command(flags: Flags) -> None:
    """What is in a data set. Exit code 2 if a search could not use it as it is."""
    from nas.data import describe_data
    from nas.report.contact_sheet import check_picture
    from nas.report.documents import document
    from nas.report.tables.data import print_data

    faults: list[str] = []
    if flags["plot"] is not None:
        attempt(lambda: check_picture(Path(flags["plot"])), faults)
    config = data_config(flags, faults)
    raise_all(faults)
    assert config is not None
    with decoding(console, flags["json"]) as progress:
        report = describe_data(config, progress=progress)
    drawn = flags["plot"] is not None and report.preprocessing is not None
    if drawn:
        _draw(Path(flags["plot"]), config, report, quiet=flags["json"])
    if flags["json"]:
        print_json(document(report) | ({"plot": flags["plot"]} if drawn else {}))
    else:
        print_data(console, report)
        if drawn:
            console.print(f"Picture: {flags['plot']}", highlight=False, soft_wrap=True, markup=False)
    raise_all(list(report.faults))


def _draw(path: Path, config: DataConfig, report: DataReport, *, quiet: bool) -> None:
    """Examples of each class, as they are and as the network sees them."""
    from nas.data.examples import class_examples
    from nas.report.contact_sheet import EACH, MOST_CLASSES, draw_sheet

    assert report.preprocessing is not None
    with decoding(console, quiet) as progress:
        examples = class_examples(config, report.preprocessing, report.classes, MOST_CLASSES, EACH, progress=progress)
    draw_sheet(path, report, examples)
