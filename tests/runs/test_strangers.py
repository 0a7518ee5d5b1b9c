"""Runs that somebody else made, or damaged: refused by event and field, and no other run with them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import nasctl, refused, told
from simulated_search import begin
from torch import nn

from nas.errors import RunError
from nas.runs.events import Noted
from nas.runs.folders import load_run, run_folders
from nas.runs.log import LOG_NAME, EventLog, read_log
from nas.trials.weights import Normalization, load_into, load_weights, save_weights

FOREIGN = {
    "ALTER TABLE events RENAME TO e; CREATE VIEW events AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) "
    "SELECT x AS number, 'note' AS kind, '' AS body, 0.0 AS elapsed, 0.0 AS time, NULL AS history FROM c": "table 'e'",
    "CREATE VIEW more AS SELECT 1": "view 'more'",
    "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END": "trigger 't'",
    "CREATE INDEX i ON events (abs(length(body)))": "index 'i'",
    "ALTER TABLE events ADD COLUMN more TEXT": "other columns",
}
DAMAGED = {
    "UPDATE events SET body = x'ff' WHERE number = 2": "event 2: body is bytes",
    "UPDATE events SET elapsed = 'x' WHERE number = 2": "event 2: elapsed is 'x'",
    "UPDATE events SET elapsed = 9e999 WHERE number = 2": "event 2: elapsed is inf",
    "UPDATE events SET time = 1e300 WHERE number = 2": "event 2: time is 1e+300",
    "UPDATE events SET history = '[' WHERE number = 2": "event 2 (note) has a damaged history",
    "UPDATE events SET body = '{}' WHERE number = 2": "event 2 (note) is not as this version records it: text",
    "UPDATE events SET body = '{\"text\": \"a\", \"x\": NaN}' WHERE number = 2": "event 2 (note)",
}  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two sound runs, of which "bad" is the newer."""
    for name in ("good", "bad"):
        with begin(tmp_path / "runs" / name) as log:
            log.append(Noted("n"))
    now = time.time()
    os.utime(tmp_path / "runs" / "good" / LOG_NAME, (now - 60, now - 60))
    return tmp_path / "runs"


def edit(folder: Path, statements: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / LOG_NAME)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        database.executescript(statements)


@pytest.mark.parametrize(("statements", "error"), FOREIGN.items(), ids=FOREIGN.values())
def test_a_database_that_is_no_log_of_ours_is_refused_before_it_computes(
    runs: Path, statements: str, error: str
) -> None:
    edit(runs / "bad", statements)
    with pytest.raises(RunError, match=f"'bad' cannot be read: .*{error}"):
        list(read_log(runs / "bad"))
    with pytest.raises(RunError, match=error):
        EventLog(runs / "bad")


@pytest.mark.parametrize(("statement", "error"), DAMAGED.items(), ids=range(len(DAMAGED)))
def test_a_damaged_row_is_named_by_its_number_and_field(runs: Path, statement: str, error: str) -> None:
    edit(runs / "bad", statement)
    with pytest.raises(RunError) as caught:
        list(read_log(runs / "bad", histories=True))
    assert f"run 'bad' cannot be read: {error}" in str(caught.value)


@pytest.mark.parametrize("harm", ["row", "folder", "pipe", "loop"])
def test_one_damaged_run_breaks_no_command(runs: Path, harm: str) -> None:
    log = runs / "bad" / LOG_NAME
    if harm == "row":
        edit(runs / "bad", "UPDATE events SET body = x'ff'")
    else:
        log.unlink()
        {"folder": log.mkdir, "pipe": lambda: os.mkfifo(log), "loop": lambda: log.symlink_to(log.name)}[harm]()
    done = nasctl("status", cwd=runs.parent)
    assert done.returncode == 0 and "good" in done.stdout and "bad" in done.stderr
    shown = nasctl("config", cwd=runs.parent)  # of the newest
    assert shown.returncode == 0 and "search good" in shown.stdout
    told_of_it = "The newest run that can be read is taken: good" in shown.stderr
    assert told_of_it == (harm == "row")  # what is no file at all comes last
    assert "bad" in refused(runs.parent, "status", "bad")
    shutil.rmtree(runs / "good")
    assert "bad" in refused(runs.parent, "config")


def test_a_folder_that_is_closed_to_us_is_no_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs / "lost+found").mkdir()
    sound = Path.lstat

    def closed(path: Path) -> os.stat_result:
        if path.parent.name in ("lost+found", "bad"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return sound(path)

    monkeypatch.setattr(Path, "lstat", closed)
    monkeypatch.setattr(Path, "is_file", lambda path: bool(closed(path)))
    assert [folder.name for folder in run_folders(runs)] == ["good", "bad"]
    assert load_run(None, runs).name == "good"
    with pytest.raises(RunError, match="Permission denied"):
        load_run("bad", runs)


def test_a_lock_that_is_a_pipe_is_not_waited_for(runs: Path) -> None:
    (runs / "good" / ".lock").unlink()
    os.mkfifo(runs / "good" / ".lock")
    assert "good" in told(runs.parent, "status")


@pytest.mark.parametrize(
    ("normal", "error"),
    [
        (((float("nan"),), (1.0,)), "nan, which is not a mean"),
        (((0.5,), (0.0,)), "divides by 0.0"),
        (((0.5,), (-1.0,)), "divides by -1.0"),
        (((0.5, 0.5), (1.0,)), "2 and 1 channels"),
        (((), ()), "0 and 0 channels"),
        (((0.5,), (1e300,)), "1e+300, which is not a mean"),
    ],
)
def test_an_absurd_normalization_is_refused(tmp_path: Path, normal: tuple[tuple[float, ...], ...], error: str) -> None:
    path = tmp_path / "1.safetensors"
    save_weights(nn.Linear(2, 3).state_dict(), Normalization(*normal), path)
    with pytest.raises(RunError) as caught:
        load_weights(path)
    assert str(path) in str(caught.value) and error in str(caught.value)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"weight": None}, "weight is missing"),
        ({"more": torch.zeros(1)}, "more is not a tensor of this network"),
        ({"weight": torch.zeros(3, 3)}, r"weight is (3, 3), and should be (3, 2)"),
        ({"bias": torch.zeros(3, dtype=torch.int8)}, "bias is torch.int8, and should be torch.float32"),
        ({"bias": torch.tensor(np.array([0, np.inf, 0], np.float32))}, "bias holds NaN or infinity"),
    ],
)
def test_tensors_of_another_network_are_named(change: dict[str, torch.Tensor | None], error: str) -> None:
    state = {name: tensor for name, tensor in (nn.Linear(2, 3).state_dict() | change).items() if tensor is not None}
    with pytest.raises(ValueError) as caught:
        load_into(nn.Linear(2, 3), state)
    assert str(caught.value) == error
