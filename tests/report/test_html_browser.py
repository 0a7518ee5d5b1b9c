"""Reports as HTML in a real browser: they work, they are quiet, and everybody can use them."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_search import Simulated, run_all

from nas.report.html.write import write_comparison, write_report

SECTIONS = (
    "answer", "course", "choices", "architecture", "all-trials", "data", "recipe", "time", "failures", "versions",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(run_all(tmp_path_factory.mktemp("runs") / "some", Simulated(2, fail=["5"]), trials=24))


def test_every_section_is_there_and_nothing_is_complained_of(browser, report):
    with browser.open_page(report) as shown:
        page = shown.page
        for name in SECTIONS:
            assert page.locator(f"section#{name} h2").is_visible(), name
            assert page.locator(f"nav a[href='#{name}']").count() == 1
        assert page.locator("figure svg").count() >= 6
        assert shown.errors == [] and shown.requests == []


@pytest.mark.parametrize("width, dark", [(1280, False), (1280, True), (360, False)])
def test_everybody_can_use_it(browser, report, width, dark):
    with browser.open_page(report, width=width, dark=dark) as shown:
        shown.page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
        assert shown.axe() == []
        assert not shown.scrolls_sideways()


def test_the_pointer_tells_what_a_mark_is_and_lights_its_trial_everywhere(browser, report):
    with browser.open_page(report) as shown:
        page = shown.page
        mark = page.locator("#course figure").first.locator("circle[data-trial='3'], path[data-trial='3']").first
        assert page.locator("#tip").is_hidden()
        mark.hover(force=True)
        assert "trial 3: " in page.locator("#tip").inner_text()
        assert page.locator("#trials tr[data-trial='3']").evaluate("row => row.classList.contains('lit')")
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()


def test_columns_sort_and_what_is_unknown_stands_last(browser, report):
    with browser.open_page(report) as shown:
        page = shown.page

        def column(place: int) -> list[str]:
            script = f"rows => rows.map(row => row.cells[{place}].textContent)"
            return page.locator("#trials tbody tr").evaluate_all(script)

        page.locator("#trials").get_by_role("button", name="score", exact=True).click()
        scores = column(2)
        assert scores[-1] == "-" and scores[:-1] == sorted(scores[:-1], reverse=True)
        assert page.locator("#trials thead th").nth(2).get_attribute("aria-sort") == "descending"
        page.locator("#trials").get_by_role("button", name="score", exact=True).press("Enter")  # by keyboard
        assert column(2)[:-1] == sorted(scores[:-1]) and column(2)[-1] == "-"
        page.locator("#trials").get_by_role("button", name="trial", exact=True).click()
        assert [int(number) for number in column(0)] == sorted(range(1, 25), reverse=True)


def test_rows_are_filtered_by_words_and_status(browser, report):
    with browser.open_page(report) as shown:
        page = shown.page
        page.get_by_label("Status").select_option("failed")
        assert page.locator("#trials tbody tr:visible").count() == 1
        assert page.locator("output").inner_text() == "1 of 24 trials"
        page.get_by_label("Status").select_option("")
        page.get_by_label("Filter").fill("simulated")
        assert page.locator("#trials tbody tr:visible").count() == 1
        page.get_by_label("Filter").fill("")
        assert page.locator("output").inner_text() == "24 trials"
        assert shown.errors == []


def test_it_prints_whole(browser, report, tmp_path):
    with browser.open_page(report, dark=True) as shown:
        shown.as_printed()
        assert shown.page.locator("nav").is_hidden() and shown.page.locator(".tools").is_hidden()
        assert shown.page.locator("section#answer").is_visible()
        shown.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_several_runs_too(browser, tmp_path):
    runs = [run_all(tmp_path / name, trials=8, strategy=name) for name in ("random", "evolution")]
    with browser.open_page(write_comparison(runs, tmp_path / "both.html"), width=360) as shown:
        assert shown.axe() == [] and shown.errors == [] and not shown.scrolls_sideways()
