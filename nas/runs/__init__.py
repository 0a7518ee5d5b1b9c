"""The run on the disk: typed events, the log of them, the state derived from it, folders. Nothing here trains.

The types of events are in ``nas.runs.events``.
"""

from nas.runs.fold import as_search, as_study
from nas.runs.folders import load_run, load_search
from nas.runs.journal import Journal
from nas.runs.listeners import Listener, register_listener
from nas.runs.log import EventLog, LogEntry
from nas.runs.run import Run, SearchRun
from nas.runs.study_run import StudyRun
from nas.runs.trial_record import TrialRecord

__all__ = [
    "EventLog",
    "Journal",
    "Listener",
    "LogEntry",
    "Run",
    "SearchRun",
    "StudyRun",
    "TrialRecord",
    "as_search",
    "as_study",
    "load_run",
    "load_search",
    "register_listener",
]
