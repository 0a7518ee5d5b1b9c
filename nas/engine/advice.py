"""Commands that cure the end of an unsuccessful run, by its cause."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from nas.errors import ALLOCATION
from nas.executors.base import was_too_long
from nas.runs import Run, SearchRun
from nas.runs.hints import loaded, typed
from nas.runs.trial_record import TrialRecord

LEAST_SECONDS = 60  # of a limit that is proposed
NOT_FINITE = re.compile(r" is (nan|-?inf)\b")  # as said of a loss, and of a metric


def resume_command_after(run: Run, failed: Sequence[str], *, out_of_time: bool) -> str:
    """The command that resumes ``run``, with longer limits where the reasons of ``failed`` or the time ask so."""
    if run.is_foreign:
        told = run.num_ended(run.main_stage) >= run.planned_trials
        return f"in Python, {loaded(run.folder, 2 * run.planned_trials if told else None)}"
    command = typed("resume", run.folder)
    if any(map(was_too_long, failed)):
        command += f" --trial-timeout {duration(_longer_timeout(run))}"
    if out_of_time:
        command += f" --time-limit {duration(_longer_limit(run))}"
    return command


def resume_command(run: Run) -> str:
    """The same for a run that stopped: longer limits where nothing was reached with those that it has."""
    if run.num_ranked:
        return resume_command_after(run, [], out_of_time=False)
    limit, trials = run.config.time_limit, run.stage(run.main_stage)
    failed = [str(trial.error) for trial in trials if trial.status == "failed"]
    return resume_command_after(run, failed, out_of_time=limit is not None and run.elapsed >= limit)


def without_a_trial(run: SearchRun) -> str:
    """Reason why a search whose trials are over has none that finished, and its cure."""
    trials = run.stage("search")
    failed = [trial for trial in trials if trial.status == "failed"]
    reasons = [str(trial.error) for trial in failed]
    limit = run.config.time_limit
    out_of_time = limit is not None and len(trials) < run.planned_trials
    text = _listed(failed) if failed else " (none was started within the time limit). "
    if out_of_time or any(map(was_too_long, reasons)):
        return f"{text}To give more time: {resume_command_after(run, reasons, out_of_time=out_of_time)}"
    more = f"{typed('resume', run.folder)} --trials {2 * run.config.trials}"
    return text + _cure(run, reasons, "try others", more)


def after_failures(run: Run, reasons: Sequence[str]) -> str:
    """Cure where trial after trial failed, before more of the others are tried."""
    command = resume_command_after(run, reasons, out_of_time=False)
    if all(map(was_too_long, reasons)):
        return f"Their logs are in {run.folder / 'logs'}. To give them more time: {command}"
    return _cure(run, reasons, "resume", command)


def _cure(run: Run, reasons: Sequence[str], what: str, command: str) -> str:
    """Advice on ``reasons`` before ``what``, which is ``command``."""
    if any(NOT_FINITE.search(reason) for reason in reasons):
        return "Start a new run with a lower --learning-rate: the recipe of a recorded run cannot be changed."
    if any(sign in reason for reason in reasons for sign in ALLOCATION):
        fewer = " --workers 1" if run.config.workers != 1 else ""
        return f"Free memory, then {what}{', one at a time' * bool(fewer)}: {command}{fewer}"
    return f"Their logs are in {run.folder / 'logs'}. When the cause is gone, {what}: {command}"


def without_a_confirmation(run: SearchRun, *, out_of_time: bool) -> str:
    """Reason why no confirmation of a search finished, and its cure: those that failed are trained again."""
    failed = [trial for trial in run.stage("confirm") if trial.status == "failed"]
    text = _listed(failed) if failed else " (none ended within the time limit). "
    return f"{text}To try again: {resume_command_after(run, [str(t.error) for t in failed], out_of_time=out_of_time)}"


def duration(seconds: float) -> str:
    """At least ``seconds``, as it is typed after a flag: 90s, 30m, 2h."""
    if seconds <= 120:
        return f"{math.ceil(seconds)}s"
    return f"{math.ceil(seconds / 60)}m" if seconds <= 2 * 3600 else f"{math.ceil(seconds / 3600)}h"


def _listed(trials: Sequence[TrialRecord]) -> str:
    return ":\n" + "\n".join([*(f"  trial {trial.id}: {trial.error}" for trial in trials[:10]), ""])


def _longer_timeout(run: Run) -> float:
    """Twice what it was, and more than a training takes if that is known."""
    known = [run.tally.mean_seconds(stage=run.main_stage) or 0.0]
    if isinstance(run, SearchRun):
        longest = max(1.0, run.confirm_epochs / run.config.recipe.epochs if run.config.confirm else 1.0)
        known = [seconds * longest for seconds in (*known, run.facts.trial_seconds or 0.0)]
    return max(LEAST_SECONDS, 2 * (run.config.trial_timeout or 0.0), 2 * max(known))


def _longer_limit(run: Run) -> float:
    """Twice what it was; it is for all sessions together. Where not even a trial was started, starting alone took all
    of the time, and will again."""
    times = 2 if run.stage(run.main_stage) else 4
    return max(LEAST_SECONDS, 2 * (run.config.time_limit or 0.0), times * run.elapsed)
