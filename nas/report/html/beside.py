"""Baselines that lie beside a search: fixed networks that were trained on the same images with the same splits."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from nas.errors import NasctlError
from nas.report.study import finished
from nas.runs import SearchRun, StudyRun
from nas.runs.events import StudyStarted
from nas.runs.folders import read_run, run_folders
from nas.runs.log import read_log

MOST_LOOKED_AT, MOST_READ = 50, 3  # runs beside it, the newest first; baseline runs


@dataclass(frozen=True)
class Baseline:
    """A member of a baseline run: its parameters, and its mean score on rank over ``seeds``."""

    run: str
    label: str
    params: int
    score: float
    seeds: int


def baselines_beside(run: SearchRun) -> list[Baseline]:
    """Of the newest baseline runs in the folder of ``run`` on its images and splits. Runs that cannot be read count as
    not there."""
    found: list[Baseline] = []
    folders = [folder for folder in run_folders(run.folder.parent) if folder != run.folder and folder.is_dir()]
    read = 0
    for folder in sorted(folders, key=lambda folder: -folder.stat().st_mtime)[:MOST_LOOKED_AT]:
        try:
            first = next(read_log(folder)).event
            if not isinstance(first, StudyStarted) or first.facts.data_key != run.facts.data_key:
                continue
            study = read_run(folder)
        except (NasctlError, OSError, StopIteration):
            continue
        if isinstance(study, StudyRun) and study.config.data.hold_out:
            found += _members(study, run.config.objective)
            read += 1
        if read == MOST_READ:
            break
    return found


def _members(study: StudyRun, objective: str) -> list[Baseline]:
    """Those with a score that is honest: of networks that nobody searched for."""
    found = []
    for member in study.config.members:
        if member.chosen or study.config.oversamples_first(member.name):
            continue
        trials = finished(study, member.name)
        scores = [score for trial in trials if (score := trial.score_so_far(objective)) is not None]
        if scores:
            params = study.facts.members[member.name].cost.params
            found.append(Baseline(study.name, member.label, params, statistics.fmean(scores), len(scores)))
    return found
