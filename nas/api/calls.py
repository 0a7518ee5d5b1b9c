"""Runs from Python: begun with the flags of the command line as keywords, and found again by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from baselines import classical
from nas import api
from nas.api.handles import Callback, Search, Study, carried_out, handle_of, listeners_of
from nas.api.in_memory import Data
from nas.api.keywords import Setting, as_flags
from nas.api.settings import Flags, settled_search, settled_study
from nas.api.wording import in_python
from nas.config import SearchConfig, StudyRequest
from nas.errors import UsageError, attempt
from nas.plugins.loading import load_plugins
from nas.report.live import decoding
from nas.runs import as_search, as_study
from nas.runs import load_run as load_record
from nas.runs.hints import RUNS


def search(
    space: str,
    *,
    data: Data = "digits",
    run: str | None = None,
    runs: str | Path = RUNS,
    callbacks: Callback | Sequence[Callback] = (),
    progress: bool = False,
    **settings: Setting,
) -> Search:
    """Find the best network of a family within a budget, confirm it, and score it on the test split.

    Everything that ``nasctl search --help`` lists is a setting, by its name with underscores, and is checked alike:
    ``max_params="150k"`` or 150_000, ``fix=["kernel*=3"]``, ``prune=False``, ``time_limit="30m"`` or seconds. ``run``
    names the run (SPACE-DATA-N unless told), which lies in the folder ``runs``.

    ``callbacks`` are called as ``fn(event, run)`` in this process, between trainings: ``nas.runs.events.TrialEnded``
    for every result, ``EpochEnded`` for every epoch, and so on. With ``progress`` a terminal or notebook shows bars,
    and anything else lines; otherwise nothing is printed. Works in a script without a guard, in a notebook, in a
    thread.

    UsageError has every fault in one message, and by setting in ``errors``; nothing was written then. A
    KeyboardInterrupt passes through, SearchStopped says why a search ended early: ``nas.load_run(run).resume()`` goes
    on, and nothing that finished is lost.

    >>> run = nas.search("vgg", max_params="20k", trials=2, epochs=1, confirm=0, no_floor=True, workers=1)
    >>> run.state, run.best.params <= 20_000
    ('done', True)
    >>> try:
    ...     nas.search("vgg", max_params="lots", trials=0)
    ... except ValueError as error:
    ...     dict(error.errors)["trials"]
    'trials=0 cannot be used: give a number of at least 1.'
    """
    given: dict[str, Any] = {"space": space, "data": data, "run": run, "runs": runs, **settings}
    with in_python(given):
        faults: list[str] = []
        flags = _flags(given, SearchConfig, callbacks, faults)
        config = settled_search(flags, faults)
        with decoding(Console(), quiet=not progress) as told:
            opened = api.new_search(config, name=run, runs=Path(runs), progress=told)
        return Search(as_search(carried_out(opened, callbacks, progress=progress)))


def baseline(
    study: str,
    *,
    data: Data | None = None,
    run: str | None = None,
    runs: str | Path = RUNS,
    callbacks: Callback | Sequence[Callback] = (),
    progress: bool = False,
    **settings: Setting,
) -> Study:
    """Train every member of a study with every seed; ``nasctl baseline list`` names the studies.

    The settings are the flags of ``nasctl baseline run``: members, seeds, epochs... ``data`` is the study's own unless
    told. All else is as in ``search``; SearchStopped, if some trainings failed, comes after the others are trained.

    >>> run = nas.baseline("hand-nets", members=["model2-setting2"], seeds=1, epochs=1, workers=1)
    >>> run.state, [member.name for member in run.members]
    ('done', ['model2-setting2'])
    """
    given: dict[str, Any] = {"study": study, "data": data, "run": run, "runs": runs, **settings}
    with in_python(given):
        faults: list[str] = []
        if study == classical.NAME:
            raise UsageError(
                "classical trains no network, and makes no run: nas.classical(data=...) scores its methods."
            )
        flags = _flags(given, StudyRequest, callbacks, faults)
        request = settled_study(flags, faults)
        with decoding(Console(), quiet=not progress) as told:
            opened = api.new_baseline(request, name=run, runs=Path(runs), progress=told)
        return Study(as_study(carried_out(opened, callbacks, progress=progress)))


def load_run(name: str | Path | None = None, *, runs: str | Path = RUNS) -> Search | Study:
    """A run by its name, or its folder; without one the newest of ``runs``. RunError names the nearest.

    >>> nas.load_run("vgg-digits-1").name
    'vgg-digits-1'
    """
    with in_python({"name": name, "runs": runs}):
        return handle_of(load_record(None if name is None else str(name), Path(runs)))


def _flags(
    given: dict[str, Any], kind: type[BaseModel], callbacks: Callback | Sequence[Callback], faults: list[str]
) -> Flags:
    """What is ``given`` as it would be typed, once its plug-ins are loaded; what is wrong goes into ``faults``."""
    load_plugins(given.pop("plugin", None))
    flags = as_flags(given, kind, faults)
    attempt(lambda: listeners_of(callbacks), faults)
    return flags
