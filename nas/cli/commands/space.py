"""``nasctl space``."""

from __future__ import annotations

from nas.api.settings import Flags, other_faults, search_config
from nas.cli.commands.output import console, print_json
from nas.config import raise_all
from nas.errors import attempt


def space_command(flags: Flags) -> None:
    """What a space holds under a budget."""
    from nas.report.space import space_document, space_report
    from nas.report.tables.space import print_space, print_spaces

    if flags["name"] is None:
        print_spaces(console)
        return
    faults: list[str] = []
    config = attempt(lambda: search_config({**flags, "space": flags["name"]}), faults)
    if faults:
        raise_all(faults + other_faults(flags))
    assert config is not None
    report = space_report(config, timing=not flags["no_timing"])
    if flags["json"]:
        print_json(space_document(report))
    else:
        print_space(console, report)
