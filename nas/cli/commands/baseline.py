"""The commands about baselines: lists, a study's training, its report, and the comparison with a search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from baselines import classical
from baselines.registry import network_names
from baselines.studies import STUDIES
from nas import api
from nas.api.settings import Flags, classical_request, resolve_study
from nas.cli.commands.output import console, outcome_document, print_json, show_outcome
from nas.cli.commands.search import study_command
from nas.cli.plugin_flags import use_plugins
from nas.cli.settings_file import NO_FILE, SettingsFile
from nas.config import raise_all
from nas.errors import UsageError, attempt
from nas.report.live import decoding
from nas.runs.named import load_named, load_whole


def list_command(*, as_json: bool) -> None:
    """Every study with its members, and the networks."""
    from nas.report.tables.study import print_studies

    if not as_json:
        print_studies(console)
        return
    studies = [
        {
            "name": study.name, "sentence": study.sentence, "seeds": study.seeds, "data": study.data,
            "members": [
                {"name": m.name, "label": m.label, "network": m.network or study.network, "recipe": dict(m.recipe)}
                for m in study.members
            ],
        }
        for study in STUDIES.values()
    ]  # fmt: skip
    studies.append({
        "name": classical.NAME, "sentence": classical.SENTENCE, "seeds": 1, "data": "digits",
        "members": [{"name": m.name, "label": m.label, "network": None, "recipe": {}} for m in classical.METHODS],
    })  # fmt: skip
    print_json({"studies": studies, "networks": network_names()})


def run_command(flags: Flags, file: SettingsFile = NO_FILE) -> None:
    """Check everything, create the run, train every member with every seed, report. ``file``: where some of the flags
    come from."""
    with file.naming_keys():
        use_plugins(flags["plugin"], trusting=flags["trust_plugin"])
    if flags["study"] == classical.NAME:
        with file.naming_keys():
            _score_classical(flags, file.errors)
        return
    study_command(flags, file, lambda: resolve_study(flags, file.errors), api.new_baseline, api.preview_baseline)


def _score_classical(flags: Flags, in_file: Sequence[str]) -> None:
    """Check everything, score classical methods, show what they reach. There is no run: the data cache keeps it.

    ``in_file``: what is wrong in the settings file.
    """
    from nas.api.classical import scored
    from nas.report.tables.classical import classical_document, print_classical

    errors = list(in_file)
    request = attempt(lambda: classical_request(flags), errors)
    raise_all(errors)
    assert request is not None
    with decoding(console, flags["quiet"] or flags["json"]) as progress:
        dataset, scores = scored(request, progress)
    if flags["json"]:
        print_json(classical_document(dataset, scores, request.objective))
    elif not flags["quiet"]:
        print_classical(console, dataset, scores, request.objective)


def merge_command(names: list[str], run: str | None, runs: str, *, as_json: bool) -> None:
    """Join runs of one study into a new one, and report it."""
    errors: list[str] = []
    found = [attempt(partial(load_whole, name, "merge", Path(runs)), errors) for name in names]
    raise_all(errors)
    made = api.merged([each for each in found if each is not None], name=run, runs=Path(runs))
    if as_json:
        print_json(outcome_document(made))
        return
    show_outcome(made)
    console.print(f"Merged run: {made.folder}", highlight=False, soft_wrap=True)


def compare_command(
    name: str | None, others: list[str], run: str | None, runs: str, plot: str | None, *, as_json: bool
) -> None:
    """A search's winner or a study's member (``run`` if that was given, else ``name``) against baseline runs and other
    searches on the same splits."""
    from nas.report.comparison import compare, comparison_document, draw
    from nas.report.tables.comparison import print_comparison

    words = [word for word in (name, *others) if word is not None]
    if run is not None and words[:1] != [run]:
        words = [run, *words]
    if len(words) < 2:
        raise UsageError("Name the runs to compare with: nasctl compare RUN OTHER... ('nasctl status' lists the runs).")
    errors: list[str] = []
    loaded = [attempt(partial(load_named, n, Path(runs)), errors) for n in words]
    raise_all(errors)
    comparison = compare([named for named in loaded if named is not None])
    picture = None if plot is None else draw(comparison, Path(plot))
    if as_json:
        print_json(comparison_document(comparison) | ({"plot": str(picture)} if picture else {}))
    else:
        print_comparison(console, comparison, picture)
