"""Runs from Python: begun with the flags of the command line as keywords, and found again by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from baselines import classical
from nas import api
from nas.api.handles import Callback, Search, Study, carried_out, handle_of, listeners_of
from nas.api.in_memory import Data
from nas.api.keywords import WHERE, Setting, as_flags
from nas.api.settings import Flags, rate_request, resolve_search, resolve_study, resolve_training
from nas.api.spaces import Space
from nas.api.wording import in_python
from nas.arguments import checked_types, misfits
from nas.config import SearchConfig, StudyRequest, raise_all
from nas.config.options import base_name
from nas.config.recipe_rules import METHOD_FLAGS
from nas.config.training_request import RateRequest, TrainingRequest
from nas.engine.rate_plan import FoundRate, find_rate
from nas.errors import UsageError, attempt
from nas.plugins.loading import load_plugins, of_no_plugin
from nas.report.live import decoding
from nas.report.screen import Screen
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

    Works in a script without a guard, in a notebook, in a thread. What finished is never lost:
    ``nas.load_run(run).resume()`` resumes a search that was stopped.

    Args:
        space: Name of the search space: vgg, resnet, densenet, mobilenet, cell, or a plug-in's.
        data: Folder, file or named set; or arrays, tensors, tables and data sets from memory.
        run: Name of the run, SPACE-DATA-N unless told.
        runs: Folder of runs.
        callbacks: Called as ``fn(event, run)`` in this process, between trainings: ``nas.runs.events.TrialEnded`` for
            every result, ``EpochEnded`` for every epoch, and so on.
        progress: Show bars in a terminal or notebook, and lines elsewhere; otherwise nothing is printed.
        **settings: Flags of ``nasctl search --help`` by their names with underscores, checked alike:
            ``max_params="150k"`` or 150_000, ``fix=["kernel*=3"]``, ``prune=False``, ``time_limit="30m"`` or seconds.

    Returns:
        The finished search: ``best``, ``trials``, and scores on the test split.

    Raises:
        UsageError: With every error in one message, and by setting in ``errors``; nothing was written then.
        SearchStopped: If the search ended early, with the reason.

    >>> run = nas.search("vgg", max_params="20k", trials=2, epochs=1, confirm=0, no_floor=True, workers=1)
    >>> run.state, run.best.params <= 20_000
    ('done', True)
    >>> try:
    ...     nas.search("vgg", max_params="lots", trials=0)
    ... except ValueError as error:
    ...     dict(error.errors)["trials"]
    'trials=0 cannot be used: give a number of at least 1.'
    """
    name = space.name if isinstance(space, Space) else space
    given: dict[str, Any] = {"space": name, "data": data, "run": run, "runs": runs, **settings}
    with in_python(given):
        errors: list[str] = []
        if isinstance(space, Space):
            errors.append(f"--space takes a name, as in nas.search({name!r}): shape and classes are those of the data.")
        flags = _flags(search, given, SearchConfig, errors, callbacks=callbacks, progress=progress)
        config = resolve_search(flags, errors)
        raise_all(_only_here(config))
        with decoding(Screen(), quiet=not progress) as told:
            opened = api.new_search(config, name=run, runs=Path(runs), progress=told)
        found = as_search(carried_out(opened, callbacks, progress=progress))
        if (training := api.training_of_winner(found)) is not None:
            carried_out(training, callbacks, progress=progress)
        return Search(found)


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

    Args:
        study: Name of the study.
        data: As for ``search``; the study's own unless told.
        run: Name of the run, STUDY-DATA-N unless told.
        runs: Folder of runs.
        callbacks: As for ``search``.
        progress: As for ``search``.
        **settings: Flags of ``nasctl baseline run``: members, seeds, epochs...

    Returns:
        The finished study.

    Raises:
        UsageError: As for ``search``.
        SearchStopped: If some trainings failed; it comes after the others are trained.

    >>> run = nas.baseline("hand-nets", members=["model2-setting2"], seeds=1, epochs=1, workers=1)
    >>> run.state, [member.name for member in run.members]
    ('done', ['model2-setting2'])
    """
    given: dict[str, Any] = {"study": study, "data": data, "run": run, "runs": runs, **settings}
    with in_python(given):
        errors: list[str] = []
        if isinstance(study, str) and study == classical.NAME:
            raise UsageError(
                "classical trains no network, and makes no run: nas.classical(data=...) scores its methods."
            )
        flags = _flags(baseline, given, StudyRequest, errors, callbacks=callbacks, progress=progress)
        request = resolve_study(flags, errors)
        raise_all(_only_here(request))
        with decoding(Screen(), quiet=not progress) as told:
            opened = api.new_baseline(request, name=run, runs=Path(runs), progress=told)
        return Study(as_study(carried_out(opened, callbacks, progress=progress)))


def train(
    arch: str | Path | None = None,
    *,
    data: Data | None = None,
    run: str | None = None,
    runs: str | Path = RUNS,
    callbacks: Callback | Sequence[Callback] = (),
    progress: bool = False,
    **settings: Setting,
) -> Study:
    """Train one network for long.

    Args:
        arch: RUN for its winner, RUN:TRIAL, or a JSON file as ``nasctl show --json`` writes it; None: ``space=`` or
            ``network=`` names it.
        data: As for ``search``; that of the run unless told.
        run: Name of the new run.
        runs: Folder of runs.
        callbacks: As for ``search``.
        progress: As for ``search``.
        **settings: Flags of ``nasctl train``: preset, epochs, seeds, teacher...

    Returns:
        A study with the member "trained", and "teacher" beside it if that is trained for it.

    Raises:
        UsageError: As for ``search``.
        SearchStopped: As for ``search``.

    >>> run = nas.train("vgg-digits-1", epochs=1, seeds=1, workers=1)
    >>> run.state, run.member("trained").model().training
    ('done', False)
    """
    given: dict[str, Any] = {"arch": arch, "data": data, "run": run, "runs": runs, **settings}
    with in_python(given):
        errors: list[str] = []
        flags = _flags(train, given, TrainingRequest, errors, callbacks=callbacks, progress=progress)
        request = resolve_training(flags, errors)
        raise_all(_only_here(request))
        with decoding(Screen(), quiet=not progress) as told:
            opened = api.new_training(request, name=run, runs=Path(runs), progress=told)
        return Study(as_study(carried_out(opened, callbacks, progress=progress)))


def find_learning_rate(
    arch: str | Path | None = None, *, data: Data | None = None, runs: str | Path = RUNS, **settings: Setting
) -> FoundRate:
    """Run the learning-rate range test (Smith 2017) of a network; nothing is written.

    Args:
        arch: Network, named as for ``train``.
        data: As for ``train``.
        runs: Folder of runs.
        **settings: Flags of ``nasctl lr-find``.

    Returns:
        ``.test`` has the curve (``rates``, ``losses``, ``smoothed``) and suggests ``steepest``, where it falls fastest,
        and ``tenth``, a tenth of the rate from which on it rises; None where it never fell.

    Raises:
        UsageError: With every error.

    >>> found = nas.find_learning_rate(space="vgg", device="cpu")
    >>> 0.0001 < found.test.tenth < 0.1
    True
    """
    given: dict[str, Any] = {"arch": arch, "data": data, "runs": runs, **settings}
    with in_python(given):
        errors: list[str] = []
        flags = _flags(find_learning_rate, given, RateRequest, errors)
        request = attempt(lambda: rate_request(flags), errors)
        raise_all(errors)
        assert request is not None
        return find_rate(request, runs=Path(runs))


@checked_types
def load_run(name: str | Path | None = None, *, runs: str | Path = RUNS) -> Search | Study:
    """Load a run.

    Args:
        name: Name or folder of the run; None: the newest of ``runs``.
        runs: Folder of runs.

    Returns:
        A search, or a study with its trainings.

    Raises:
        RunError: If there is no such run (the nearest name is given), or it cannot be read.

    >>> nas.load_run("vgg-digits-1").name
    'vgg-digits-1'
    """
    with in_python({"name": name, "runs": runs}):
        return handle_of(load_record(None if name is None else str(name), Path(runs)))


def _flags(
    call: Callable[..., object],
    given: dict[str, Any],
    kind: type[BaseModel],
    errors: list[str],
    *,
    callbacks: Callback | Sequence[Callback] = (),
    progress: bool = False,
) -> Flags:
    """Flags for ``given`` as they would be typed, once its plug-ins are loaded; errors go into ``errors``."""
    load_plugins(given.pop("plugin", None))
    undeclared = {name: given[name] for name in WHERE if name in given} | {"progress": progress}
    wrong = misfits(call, undeclared)
    errors += [f"--{name}{error}" for name, error in wrong.items()]
    usual = {"run": None, "runs": RUNS}  # so that the other errors are found
    flags = as_flags({**given, **{name: usual[name] for name in wrong if name in usual}}, kind, errors)
    attempt(lambda: listeners_of(callbacks), errors)
    return flags


def _only_here(asked: SearchConfig | StudyRequest | TrainingRequest) -> list[str]:
    """Names registered by this program that a run would use: worker processes and later commands lack them."""
    used = {
        "search space": getattr(asked, "space", None),
        "baseline network": getattr(asked, "network", None),
        "strategy": getattr(asked, "strategy", None),
        "objective": asked.objective,
        "data source": asked.data.source.partition(":")[0],
    }
    if not isinstance(asked, StudyRequest):
        used |= {kind: str(getattr(asked.recipe, kind)) for kind in METHOD_FLAGS}
    own = of_no_plugin()
    return [
        f"The {kind} {base_name(name)!r} is registered in this program alone, so worker processes and later "
        "commands do not find it: put it into a file, and call nas.load_plugin(FILE) first."
        for kind, name in used.items()
        if name and (kind, base_name(name)) in own
    ]
