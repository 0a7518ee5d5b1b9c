"""SIGKILL at random instants, again and again: no finished trial is lost, and the log ends as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import NASCTL, nasctl
from simulated_search import events_of, timeless

from nas.errors import NasctlError
from nas.runs.events import Event, SessionStarted, TrialEnded

KILLS = 2
SEARCH = [
    "search", "--space", "vgg", "--max-params", "12k", "--trials", "8", "--epochs", "1", "--confirm", "1",
    "--workers", "1", "--device", "cpu", "--run", "r",
]  # fmt: skip


def started(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen([NASCTL, *arguments], cwd=folder, stdout=output, stderr=output, start_new_session=True)


def events(folder: Path) -> list[Event]:
    try:
        return events_of(folder / "runs" / "r")
    except NasctlError:  # not there yet
        return []


def story(folder: Path) -> list[Event]:
    return [timeless(event) for event in events(folder) if not isinstance(event, SessionStarted)]


@pytest.mark.slow
def test_a_search_killed_twice_has_the_log_of_one_that_was_not(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    untroubled = nasctl(*SEARCH, cwd=whole)
    assert untroubled.returncode == 0, untroubled.stderr
    chance = random.Random(0)
    arguments = SEARCH
    kills = 0
    while kills < KILLS:
        process = started(arguments, killed)
        before = len(events(killed))
        progress = before + chance.choice([1, 2, 2, 3])  # so that all kills fall within the search
        while len(events(killed)) < progress and process.poll() is None:
            time.sleep(0.03)
        time.sleep(chance.random() * 0.3)
        assert process.poll() is None, f"it ended before kill {kills + 1}: {(killed / 'output.txt').read_text()}"
        kept = story(killed)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert story(killed)[: len(kept)] == kept
        kills += 1
        if events(killed):
            arguments = ["resume", "r"]
    assert not _orphans(killed)
    last = nasctl(*arguments, cwd=killed)
    assert last.returncode == 0, last.stderr
    assert story(killed) == story(whole)
    trained = [event.result.id for event in story(killed) if isinstance(event, TrialEnded)]
    assert len(trained) == len(set(trained)) == 8 + 3
    for name in ("tensorboard", "logs"):
        kept = {p.name.removesuffix(".txt") for p in (killed / "runs/r" / name).iterdir()}
        assert kept - {"events.out.tfevents.0.columns"} == set(trained)


def _orphans(folder: Path) -> list[str]:
    """Worker processes that outlived the searches of ``folder``."""
    deadline = time.monotonic() + 20
    while True:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "cwd").resolve() == folder and "multiprocessing" in (entry / "cmdline").read_text():
                    found.append(entry.name)
            except OSError:
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)
