"""Output of commands: within 80 columns of a terminal, and plain text where it goes into a file."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from command_line import NASCTL, nasctl, told

from nas.cli.terminal import Terminal, folded
from nas.report.screen import Screen

SHORT = ["--epochs", 1, "--workers", 1, "--device", "cpu", "--quiet"]
COMMANDS = (
    "status", "status sv", "trials hn", "show sv", "show hn:model1-setting2", "show hn:model1-setting2.1",
    "compare sv hn", "report hn", "baseline list", "space vgg --max-params 20k --no-timing", "data", "cache",
    "config sv", "evaluate sv", "resume sv", "search --space vgg --max-params 20k --dry-run --workers 1 --epochs 1",
)  # fmt: skip
CONTROL = re.compile(r"\r|\x1b|\x07|\x08")
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study ``hn`` and a search ``sv``."""
    folder = tmp_path_factory.mktemp("output")
    study = ["--members", "model1-setting2,model2-setting2", "--seeds", 1, "--run", "hn"]
    search = ["--space", "vgg", "--max-params", "20k", "--trials", 2, "--confirm", 1, "--no-floor", "--run", "sv"]
    for command in (["baseline", "run", "hand-nets", *study], ["search", *search]):
        assert nasctl(*command, *SHORT, cwd=folder).returncode == 0
    return folder


def test_a_terminal_of_80_columns_holds_every_line_and_a_pipe_gets_plain_text(place, monkeypatch):
    plain = {command: told(place, *command.split()) for command in COMMANDS if command != "evaluate sv"}  # long
    assert not [command for command, text in plain.items() if CONTROL.search(text)]
    monkeypatch.setattr(Terminal, "__init__", lambda self: Screen.__init__(self, width=80, force_terminal=True))
    for command in COMMANDS:
        text = STYLE.sub("", told(place, *command.split()))
        wide = [line for line in text.split("\n") if len(line.rpartition("\r")[2]) > 80]
        assert not [line for line in wide if max(map(len, line.split())) < 60], command  # the paths of a test are long
        if command.startswith(("show", "trials")):  # no number is cut
            assert set(re.findall(r"\d\.\d{3}\b", plain[command])) <= set(re.findall(r"\d\.\d{3}\b", text)), command


def test_a_terminal_that_is_to_have_no_colours_has_none(place):
    for colours, begins in (({"NO_COLOR": "1"}, False), ({}, True)):
        reader, writer = pty.openpty()
        size = {"COLUMNS": "80", "TERM": "xterm-256color"}
        env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        with subprocess.Popen([NASCTL, "status"], cwd=place, stdout=writer, env=env | size | colours) as process:
            os.close(writer)
            shown = b""
            while part := _read(reader):
                shown += part
        os.close(reader)
        assert process.returncode == 0 and b"sv" in shown and b"score" in shown
        assert bool(re.search(rb"\x1b\[(?:\d+;)*(?:3\d|9\d|38;5;\d+)m", shown)) in (False, begins)
        assert max(len(line) for line in STYLE.sub("", shown.decode()).splitlines()) <= 80


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 65536)
    except OSError:  # Linux says so that nobody writes any more
        return b""


def test_lines_are_folded_under_their_text():
    assert folded("Recipe  one two three\n  in as far as this\nshort", 15) == (
        "Recipe  one two\n        three\n  in as far as\n  this\nshort"
    )
    assert folded(f"{'x' * 30} y", 15) == f"{'x' * 30}\ny"
