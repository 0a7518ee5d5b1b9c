"""Names and texts from outside stand everywhere as they are, and command nothing: neither the terminal nor a page."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import told
from PIL import Image

from nas.cli.streams import data_out
from nas.export.model_card import model_card
from nas.export.predict import request_of_run
from nas.report.screen import Screen
from nas.report.tables.format import make_table
from nas.text import in_markdown, shown

HOSTILE = ("[/x]", "[red]x", "\x1b[31m", "\u202eabc", "$x$", "</script>", ":smile:")
READ = ("[/x]", "[red]x", "\\x1b[31m", "\\u202eabc", "$x$", "</script>", ":smile:")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
DATA = "[bold]set/labels.csv"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, a search on it and a study."""
    place = tmp_path_factory.mktemp("hostile")
    folder = place / "[bold]set"
    (folder / "[i]").mkdir(parents=True)
    random, rows = np.random.default_rng(0), []
    for number, name in enumerate(HOSTILE):
        for image in range(12):
            file = f"[i]/{number}_{image} [b].png"
            pixels = np.clip(random.normal(30 + 30 * number, 20, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / file)
            rows.append((file, name))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *rows])
    few = ("--data", DATA, "--epochs", 1, "--workers", 1, "--device", "cpu")
    search = ("search", "--space", "vgg", "--max-params", "20k", "--no-floor", "--trials", 2, "--confirm", 1)
    harmless(place, *search, *few, "--run", "found")
    study = ("baseline", "run", "losses", "--members", "custom-ce", "--arch", "found", "--seeds", 1)
    harmless(place, *study, *few, "--run", "study")
    return place


def harmless(place: Path, *arguments: object) -> str:
    """Output of a command that must succeed, without a sign that commands the terminal."""
    text = told(place, *arguments)
    assert not CONTROL.search(text), arguments
    return text


@pytest.mark.parametrize("command", [("data", DATA, "--plot", "sheet.png"), ("evaluate", "found")], ids=" ".join)
def test_every_class_is_read_in_tables(place, command):
    text = harmless(place, *command)
    assert [name for name in READ if name not in text] == []


@pytest.mark.parametrize("command", [
    ("status",), ("status", "found"), ("status", "study"), ("trials", "found"), ("trials", "study"), ("show", "found"),
    ("show", "study:custom-ce"), ("report", "study"), ("compare", "found", "study", "--plot", "c.png"),
    ("space", "vgg", "--arch", "found"), ("config", "found"), ("trials", "found", "--json"),
], ids=" ".join)  # fmt: skip
def test_every_command_says_it_harmlessly(place, command):
    harmless(place, *command)


def test_a_model_card_shows_classes_as_they_are(place):
    request = request_of_run("found", place / "runs")
    card = model_card(request)
    assert sorted(request.classes) == sorted("\\x1b[31m" if name == "\x1b[31m" else name for name in HOSTILE)
    assert not CONTROL.search(card)
    assert [name for name in request.classes if f"| {in_markdown(name)} |" not in card] == []
    assert "\\[/x\\]" in card and "\\</script\\>" in card and "\\$x\\$" in card and "\\\\u202eabc" in card


def test_a_screen_shows_no_markup_and_no_control_in_texts_and_tables():
    out = io.StringIO()
    screen = Screen(file=out, width=100, force_terminal=True)
    screen.print("\n".join(HOSTILE), title=HOSTILE[0], highlight=False)
    table = make_table("[/x] \u202etitle", ("[red]head",), (), "\x1b[31mtext")
    table.add_row("[/x]", "\x1b[31m")
    screen.print(table)
    styles = re.compile(r"\x1b\[[0-9;]*m")
    text = styles.sub("", out.getvalue())
    assert text.split("\n")[: len(READ)] == list(READ)
    assert not CONTROL.search(text) and "\\u202etitle" in text and "[red]head" in text and "\\x1b[31mtext" in text
    assert "\x1b[1m[/x]" in out.getvalue() and "\x1b[31m" not in out.getvalue()


def test_names_are_escaped_on_a_terminal_and_whole_in_a_pipe(monkeypatch, capsys):
    class OnTerminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = OnTerminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with data_out():
        print("\x1b[31mred")
    monkeypatch.undo()
    with data_out():
        print("\u202eabc")
    assert terminal.getvalue() == "\\x1b[31mred\n"
    assert capsys.readouterr().out == "\u202eabc\n"


@pytest.mark.parametrize("text, expected", [
    ("grün 犬\tx\n", "grün 犬\tx\n"), ("\u202ea", "\\u202ea"), ("\x9b", "\\x9b"), ("\ud800", "\\ud800"),
    ("\U000e0001", "\\U000e0001"),
])  # fmt: skip
def test_what_cannot_be_seen_is_written_as_an_escape(text, expected):
    assert shown(text) == expected
