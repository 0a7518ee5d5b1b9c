"""Names and texts from outside stand everywhere as they are, and command nothing: neither the terminal nor a page."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.report.screen import Screen
from nas.text import in_markdown, shown
from tests.support.command_line import nasctl, told

HOSTILE = ("[/x]", "[red]x", "\x1b[31m", "\u202eabc", "$x$", "</script>", ":smile:")
READ = ("[/x]", "[red]x", "\\x1b[31m", "\\u202eabc", "$x$", "</script>", ":smile:")
DATA = "[bold]set/labels.csv"
BROKEN_LOSS = """
from nas import plugins

@plugins.loss("odd")
def odd(logits, labels):
    raise ValueError("[/x] \\x1b[31mred \\u202eabc [red]x")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, and runs on it: a search, a study, a search whose trials fail."""
    place = tmp_path_factory.mktemp("hostile")
    folder = place / "[bold]set"
    (folder / "[i]").mkdir(parents=True)
    random, rows = np.random.default_rng(0), []
    for number, name in enumerate(HOSTILE):
        for image in range(14):
            file = f"[i]/{number}_{image} [b].png"
            pixels = np.clip(random.normal(30 + 30 * number, 20, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / file)
            rows.append((file, name))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *rows])
    few = ("--data", DATA, "--epochs", 1, "--run")
    search = ("search", "--space", "densenet", "--max-params", "20k", "--trials", 2, "--confirm", 1)
    _read(place, *search, *few, "found")
    _read(place, "baseline", "run", "losses", "--members", "custom-ce", "--arch", "found", "--seeds", 1, *few, "study")
    return place


def _read(place: Path, *arguments: object) -> str:
    """What a command says that must succeed, without a sign that commands the terminal."""
    text = told(place, *arguments)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text), arguments
    return text


@pytest.mark.parametrize("command", [
    ("data", DATA), ("data", DATA, "--plot", "sheet.png"), ("evaluate", "found"), ("analyze", "found"),
    ("evaluate", "found", "--picture", "who.png"),
], ids=" ".join)  # fmt: skip
def test_every_class_is_read_in_tables(place, command):
    text = _read(place, *command)
    assert command[0] == "analyze" or [name for name in READ if name not in text] == []


@pytest.mark.parametrize("command", [
    ("status",), ("status", "found"), ("status", "study"), ("trials", "found"), ("trials", "study"), ("show", "found"),
    ("show", "study:custom-ce"), ("report", "found"), ("report", "study"), ("compare", "found", "study", "--plot", "c.png"),
    ("space", "densenet", "--arch", "found"), ("config", "found"), ("lr-find", "found", "--out", "rates.png"),
    ("predict", "found", "[bold]set/[i]/0_0 [b].png"), ("predict", "found", "[bold]set/[i]/2_0 [b].png"),
], ids=" ".join)  # fmt: skip
def test_every_command_says_it_harmlessly(place, command):
    _read(place, *command)
