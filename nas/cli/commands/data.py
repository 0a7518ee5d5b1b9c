"""``nasctl data``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.api.settings import Flags, data_config
from nas.cli.commands.output import console, print_json
from nas.config import DataConfig, raise_all
from nas.config.recipe_rules import check_name
from nas.data import DataReport
from nas.errors import attempt
from nas.report.live import decoding

if TYPE_CHECKING:
    from nas.data.writing import WrittenSet


def data_command(flags: Flags) -> None:
    """Describe a data set. Exit code 2 if a search could not use it as it is."""
    from nas.data import describe_data
    from nas.report.documents import document
    from nas.report.png_files import check_png
    from nas.report.tables.data import print_data, print_written

    errors: list[str] = []
    if flags["plot"] is not None:
        attempt(lambda: check_png("plot", Path(flags["plot"])), errors)
    _check_writing(flags, errors)
    config = data_config(flags, errors)
    raise_all(errors)
    assert config is not None
    with decoding(console, flags["json"]) as progress:
        report = describe_data(config, progress=progress)
    drawn = flags["plot"] is not None and report.preprocessing is not None
    if drawn:
        _draw(Path(flags["plot"]), config, report, quiet=flags["json"])
    if not flags["json"]:
        print_data(console, report)
        if drawn:
            console.print(f"Picture: {flags['plot']}", highlight=False, soft_wrap=True)
    written = _write(config, flags) if flags["write"] is not None and not report.errors else None
    if flags["json"]:
        more = {"plot": flags["plot"]} if drawn else {}
        print_json(document(report, errors="faults") | more | ({"written": document(written)} if written else {}))
    elif written:
        print_written(console, written, config)
    raise_all(list(report.errors))


def _check_writing(flags: Flags, errors: list[str]) -> None:
    """Put into ``errors`` what cannot be written, or not so."""
    from nas.data.writing import check_target

    if name := flags["oversample"]:
        errors += check_name("oversampling", name)
        if flags["write"] is None:
            errors.append(
                "--oversample says what --write adds: give --write FOLDER or --write FILE.npz too. A search "
                f"oversamples by itself: nasctl search --oversample {name}."
            )
    if flags["write"] is not None:
        attempt(lambda: check_target(Path(flags["write"]), flags["data"]), errors)


def _write(config: DataConfig, flags: Flags) -> WrittenSet:
    """The splits as a set of their own."""
    from nas.data import open_data
    from nas.data.writing import write_set

    data = open_data(config)
    with decoding(console, flags["json"], "writing images") as progress:
        return write_set(config, data, flags["oversample"] or "none", Path(flags["write"]), progress=progress)


def _draw(path: Path, config: DataConfig, report: DataReport, *, quiet: bool) -> None:
    """Examples of each class, as they are and as the network sees them."""
    from nas.data.examples import class_examples
    from nas.report.contact_sheet import EACH, MOST_CLASSES, draw_sheet

    assert report.preprocessing is not None
    with decoding(console, quiet) as progress:
        examples = class_examples(config, report.preprocessing, report.classes, MOST_CLASSES, EACH, progress=progress)
    draw_sheet(path, report, examples)
