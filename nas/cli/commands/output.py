"""What several commands share: where they print, and how a run's outcome is shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from nas.cli.parsing import Flags, data_config
from nas.cli.terminal import Terminal
from nas.config import DataConfig
from nas.errors import attempt
from nas.report import run_document
from nas.report.documents import Document, document
from nas.runs import SearchRun, StudyRun

console = Terminal()


def outcome_document(run: SearchRun | StudyRun) -> Document:
    """What a run found, as JSON; of a study with its pictures drawn."""
    if isinstance(run, SearchRun):
        return run_document(run)
    from nas.report.rivals import against, draw_rivals
    from nas.report.study import study_report, write_pictures

    report = study_report(run)
    pictures = write_pictures(run) + draw_rivals(run, report)
    found = [asdict(one) for one in against(report.members)]
    return document(report) | {"found": found, "pictures": [str(path) for path in pictures]}


def show_outcome(run: SearchRun | StudyRun) -> None:
    """What a run found, in words and tables; of a study with its pictures drawn."""
    from nas.report.tables.profile import print_profile
    from nas.report.tables.search import print_outcome
    from nas.report.tables.supernet import print_supernet

    if isinstance(run, StudyRun):
        from nas.report.rivals import draw_rivals
        from nas.report.study import study_report, write_pictures
        from nas.report.tables.study import print_study

        print_study(console, run, write_pictures(run) + draw_rivals(run, study_report(run)))
    else:
        print_supernet(console, run)
        print_outcome(console, run)
    print_profile(console, run)


def print_json(whole: Any) -> None:
    """One document on standard output."""
    print(json.dumps(whole, indent=2))


def other_faults(flags: Flags) -> list[str]:
    """What else is wrong besides the settings, so that one message tells it all. Reads no image."""
    from nas.data.cache import cache_root
    from nas.data.sources.find import find_source
    from nas.executors import plan_slots

    faults: list[str] = []
    config = data_config(flags, []) or DataConfig(source=flags["data"] or "digits")
    attempt(lambda: find_source(config, cache_root(None)).fingerprint(), faults)
    attempt(lambda: plan_slots(flags["device"], None, None), faults)
    return faults
