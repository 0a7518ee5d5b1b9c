"""The analysis of a search's winner, made by a worker when the search is done, and kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from baselines.studies import is_grid
from nas.analysis.record import FILE, analysis_folder
from nas.errors import MachineError, NasctlError
from nas.executors import LocalExecutor, WorkerSlot
from nas.executors.base import EpochReport, failure, was_too_long
from nas.runs import SearchRun, StudyRun
from nas.runs.folders import read_run
from nas.runs.hints import typed
from nas.runs.named import best_first
from nas.trials import TrialResult, TrialSpec

LIMIT = 60.0  # seconds; a small network takes one or two
WORK = "nas.analysis.keep:analysed"


def keep_analysis(run: SearchRun | StudyRun, slots: Sequence[WorkerSlot], *, limit: float = LIMIT) -> str | None:
    """Analyse a search's winner, or the best seed of a long training, on rank, in a worker, without pictures that can
    be drawn later: ``analysis.json`` and small images, in the folder that ``nasctl analyze`` uses. Of a study that is a
    grid it is the best cell. Nothing is done before there is one, of other studies, or if its analysis is there.

    Never raises for what goes wrong, nor for Ctrl-C, since the run is done: the notice why there is no analysis,
    None if there is nothing to say. ``limit``: after so many seconds the worker is ended.
    """
    trial = _handed_over(run)
    if trial is None or not run.weights(trial).is_file() or (analysis_folder(run.folder, trial) / FILE).is_file():
        return None
    spec = TrialSpec(
        id=trial, space="", sample={}, input_shape=run.facts.input_shape,
        num_classes=len(run.facts.classes), data=run.config.data, recipe=run.recipe(trial), seed=0,
        weights_path=str(run.weights(trial)),
    )  # fmt: skip
    try:
        slot = WorkerSlot("cpu", slots[0].num_threads)  # small networks; and a GPU may be somebody else's by now
        with LocalExecutor([slot], trial_timeout=limit, run=WORK) as executor:
            executor.submit(spec)
            (result,) = executor.wait()
        too_long = result.error is not None and was_too_long(result.error)
        why = f"it took longer than {limit:.0f} s" if too_long else result.error
    except (MachineError, NasctlError, OSError) as error:
        why = str(error)
    except KeyboardInterrupt:
        why = "interrupted"
    if why is None:
        return None
    return f"The network was not analysed: {why.rstrip('.')}. To do it: {typed('analyze', run.folder)}"


def _handed_over(run: SearchRun | StudyRun) -> str | None:
    """The training whose weights are exported, where one network is what the run is for."""
    if isinstance(run, SearchRun):
        return run.winner.weights if run.winner else None
    if not (run.is_done and run.config.data.hold_out):  # all images trained it: rank says nothing
        return None
    if is_grid(run.config.study):
        return run.best(1)[0].id
    if not run.trains_one:
        return None
    (learner,) = [member.name for member in run.config.members if member.name not in run.config.teachers]
    best = best_first(run, learner)
    return best[0].id if best else None


def analysed(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """Work of the worker, on its CPU: the analysis of trial ``spec.id`` of the run whose weights it names."""
    from nas.analysis.make import analyze_subject
    from nas.analysis.subject import of_run

    assert spec.weights_path is not None
    try:
        analyze_subject(of_run(read_run(Path(spec.weights_path).parent.parent), spec.id), pictures=False)
    except NasctlError as error:
        return failure(spec, str(error).splitlines()[0])
    return TrialResult(id=spec.id, status="finished")
