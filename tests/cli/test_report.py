"""``nasctl report`` as it is typed, and the page that every run leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import refused, told

import nas

SMALL = ["--max-params", "20k", "--trials", "2", "--epochs", "1", "--confirm", "0", "--no-floor", "--workers", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search, which left its page, and a study, which was told not to."""
    place = tmp_path_factory.mktemp("reports")
    assert "runs/one/report.html" in told(place, "search", "--space", "vgg", "--run", "one", *SMALL)
    study = ["--members", "model2-setting2", "--epochs", "1", "--seeds", "1", "--run", "hand", "--quiet", "--no-report"]
    told(place, "baseline", "run", "hand-nets", *study)
    return place


def test_a_search_leaves_its_page_and_its_settings_are_in_it(place):
    page = (place / "runs/one/report.html").read_text()
    settings = told(place, "config", "one")
    assert settings.splitlines()[0].lstrip("# ") in page and "max_params = " in page
    assert "nasctl search --config run.toml" in page


def test_it_can_be_left_out_and_made_later(place):
    folder = place / "runs/hand"
    assert not (folder / "report.html").exists()
    output = told(place, "report", "hand")
    assert "Report: runs/hand/report.html" in output and "State   done" in output
    page = (folder / "report.html").read_text()
    assert "confusion model2 setting2" in page and "data:image/png;base64," in page
    assert json.loads(told(place, "report", "hand", "--json", "--out", "h.html"))["report"] == "h.html"
    assert json.loads(told(place, "report", "one", "--json")) == {"report": "runs/one/report.html"}
    assert "Baseline hand, model2" in (place / "runs/one/report.html").read_text()


def test_several_need_a_place_and_stand_in_one_page(place):
    assert "Report: both.html" in told(place, "report", "one", "hand", "--out", "both.html")
    assert "2 runs" in (place / "both.html").read_text()


def test_what_cannot_be_is_said_at_once(place):
    (place / "mine.html").write_text("my own")
    for words, why in (
        (["one", "--out", "mine.html"], "not a report of nasctl"),
        (["one", "--out", "no/r.html"], "no folder no"),
        (["one", "--filters", "3"], "baseline run"),
        (["one", "hand"], "--out report.html"),
        (["one", "hand", "--out", "x.html", "--watch"], "name one"),
        (["on"], "'one'"),
    ):
        assert why in refused(place, "report", *words), words
    assert (place / "mine.html").read_text() == "my own" and not (place / "x.html").exists()
    both = refused(place, "report", "on", "--out", "mine.html", "--filters", "no")
    assert all(why in both for why in ("'one'", "not a report of nasctl", "--filters"))


def test_a_page_that_cannot_be_written_ends_no_search(tmp_path, capfd):
    def in_the_way(event: object, run: nas.Search) -> None:
        (run.folder / "report.html").mkdir(exist_ok=True)

    run = nas.search(
        "vgg", max_params="20k", trials=1, epochs=1, confirm=0, no_floor=True, workers=1, callbacks=[in_the_way],
        progress=True, runs=str(tmp_path), run="two",
    )  # fmt: skip
    assert run.state == "done" and run.best.params <= 20_000
    said = capfd.readouterr().out
    assert "The report was not written" in said and "nasctl report two" in said
