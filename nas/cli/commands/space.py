"""``nasctl space``: a space under a budget, or one architecture."""

from __future__ import annotations

from pathlib import Path

from nas.api.settings import Flags, budget_of, data_config, other_errors, search_config
from nas.cli.commands.output import console, print_json
from nas.cli.declared import of_a_space
from nas.config import raise_all
from nas.errors import attempt
from nas.report.live import decoding


def space_command(flags: Flags) -> None:
    """Describe a space under a budget."""
    from nas.report.space import space_document, space_report, spaces_document
    from nas.report.tables.space import print_space, print_spaces

    if flags["arch"] is not None:
        _architecture(flags)
        return
    if flags["name"] is None:
        if flags["json"]:
            print_json(spaces_document())
        else:
            print_spaces(console)
        return
    errors: list[str] = []
    config = attempt(lambda: search_config({**flags, "space": flags["name"]}), errors)
    if errors:
        raise_all(errors + other_errors(flags))
    assert config is not None
    report = space_report(config, timing=not flags["no_timing"])
    if flags["json"]:
        print_json(space_document(report))
    else:
        print_space(console, report)


def _architecture(flags: Flags) -> None:
    """Print the costs of the architecture given with --arch, on the data of its run unless others are named."""
    from nas.config.data import FOREIGN
    from nas.data import open_data
    from nas.engine.architectures import NO_IMAGES, load_architecture
    from nas.report.architecture import ArchitectureReport, architecture_document
    from nas.report.tables.space import print_architecture
    from search_spaces import Task, get_space

    text = flags["arch"]
    errors = [
        f"--{name.replace('_', '-')} is about a whole space or its trainings, and --arch names one architecture: leave "
        "out one of them."
        for name, given in of_a_space().items()
        if given.path[0] not in ("budget", "data") and flags[name]
    ]
    found = attempt(lambda: load_architecture(text, Path(flags["runs"])), errors)
    if found and flags["name"] not in (None, found.space):
        errors.append(f"--arch {text} is of the space {found.space}: leave out {flags['name']}.")
    if found and found.data and found.data.source == FOREIGN and not flags["data"]:
        errors.append(NO_IMAGES)
    budget = budget_of(flags, errors)
    config = data_config({**flags, "data": flags["data"] or (found and found.data)}, errors)
    raise_all(errors)
    assert found is not None and config is not None
    with decoding(console, flags["json"]) as progress:
        data = open_data(config, progress=progress)
    space, task = get_space(found.space), Task(data.input_shape, len(data.classes), not budget.without_head)
    report = ArchitectureReport(space, found.sample, task, data.name, budget)
    if flags["json"]:
        print_json(architecture_document(report))
    else:
        print_architecture(console, report)
