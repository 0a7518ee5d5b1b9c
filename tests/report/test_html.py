"""Reports as HTML: what stands in their tables is what the run's JSON says, and text from outside stays text."""

from __future__ import annotations

import html
import json
import statistics
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kruskal, spearmanr, t, ttest_ind
from simulated_search import Simulated, run_all

from nas.errors import UsageError
from nas.report.documents import confirmed_document, trial_document
from nas.report.html.markup import tag
from nas.report.html.svg import linear, logarithmic
from nas.report.html.write import report_page, write_comparison, write_report
from nas.report.importance import importances_of
from nas.report.intervals import of_difference, over_seeds
from nas.report.recalls import Recalls, few_images_words, p_of_correlation, rank_correlation
from nas.runs import SearchRun
from nas.text import shown


class Tables(HTMLParser):
    """Rows of cells by the caption of their table; and all other text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[str] = []
        self.ids: list[str] = []
        self._rows: list[list[str]] = []
        self._caption, self._where = "", ""
        self.words = ""
        self.feed(page)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(name)
        self.ids += [value for key, value in attributes if key == "id" and value]
        if name == "table":
            self._rows, self._caption = [], ""
        elif name == "tr":
            self._rows.append([])
        elif name in ("th", "td"):
            self._rows[-1].append("")
            self._where = "cell"
        elif name in ("caption", "script", "style"):
            self._where = name

    def handle_endtag(self, name: str) -> None:
        if name == "table":
            self.tables[self._caption] = self._rows
        if name in ("th", "td", "caption", "script", "style"):
            self._where = ""

    def handle_data(self, data: str) -> None:
        if self._where == "cell":
            self._rows[-1][-1] += data
        elif self._where == "caption":
            self._caption += data
        elif not self._where:
            self.words += data

    def rows(self, caption: str) -> list[list[str]]:
        """Those of the one table whose caption begins so, without its head."""
        (found,) = [rows for known, rows in self.tables.items() if known.startswith(caption)]
        return found[1:]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    return run_all(tmp_path_factory.mktemp("runs") / "some", Simulated(2, fail=["5"]), trials=24)


@pytest.fixture(scope="module")
def page(run: SearchRun) -> Tables:
    return Tables(report_page(run))


def test_every_number_of_the_trials_is_that_of_the_json(run, page):
    rows = {row[0]: row for row in page.rows("Trials; score")}
    trials = [trial_document(run, trial) for trial in run.stage("search")]
    assert len(rows) == len(trials) == 24
    for trial in trials:
        _, status, score, params, macs, *_, what = rows[trial["id"]]
        assert (status, params, macs) == (trial["status"], f"{trial['params']:,}", f"{trial['macs']:,}")
        assert score == ("-" if trial["score"] is None else f"{trial['score']:.3f}")
        assert ("simulated" in what) == (trial["status"] == "failed")
    sizes = {row[0]: row for row in page.rows("Sizes and")}
    assert set(sizes) == {trial["id"] for trial in trials if trial["status"] == "finished"}
    assert all(sizes[t["id"]][1:3] == [f"{t['params']:,}", f"{t['score']:.3f}"] for t in trials if t["id"] in sizes)


def test_the_front_holds_who_is_better_than_all_smaller_ones(run, page):
    scored = [(t.cost.params, t.score("balanced_accuracy"), t.id) for t in run.ranked()]
    best = {of for size, score, of in scored if not any(s <= size and x >= score and o != of for s, x, o in scored)}
    rows = {row[0].split()[0]: row for row in page.rows("Pareto front of size and score")}
    finalists = {trial["trial"]: trial["scores"] for trial in confirmed_document(run)}
    assert set(rows) == best | set(finalists)
    for of, row in rows.items():
        seeds = finalists.get(of)
        assert row[5].startswith(f"{statistics.fmean(seeds):.3f}" if seeds else "-")
    assert {row[0] for row in page.rows("Sizes and") if row[3] == "yes"} == best


def test_the_course_rises_to_the_best(run, page):
    rows = page.rows("The best so far")
    best = 0.0
    for row in rows:
        best = max(best, float(row[2]))
        assert float(row[3]) == best
    assert len(rows) == 23 and best == round(max(t.score("balanced_accuracy") for t in run.ranked()), 3)


def test_the_answer_is_the_winners_and_says_how_sure_it_is(run, page):
    assert run.winner
    mean, deviation = statistics.fmean(run.test_scores), statistics.stdev(run.test_scores)
    assert f"{mean:.3f} ± " in page.words and f"{run.trials[run.winner.trial].cost.params:,} parameters" in page.words
    half = t.ppf(0.975, len(run.test_scores) - 1) * deviation / len(run.test_scores) ** 0.5
    interval = over_seeds(run.test_scores, "balanced_accuracy")
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((mean - half, min(1.0, mean + half)))
    assert interval.words in page.words
    assert f"nasctl export --best --out model/ --run {run.name}" in page.words
    rows = page.rows("Trained again")
    for row, confirmed in zip(rows, confirmed_document(run), strict=True):
        assert row[0] == confirmed["trial"] and int(row[1]) == len(confirmed["scores"])
        assert row[4] == f"{confirmed['probability']:.2f}"
        assert row[6] == ", ".join(f"{score:.3f}" for score in confirmed["scores"])


def test_layers_add_up_to_the_network(run, page):
    winner = run.trials[run.winner.trial]
    for caption in ("Blocks", "Every layer"):
        rows = page.rows(caption)
        assert sum(int(row[3].replace(",", "")) for row in rows) == winner.cost.params
        assert sum(int(row[4].replace(",", "")) for row in rows) == winner.cost.macs


def test_a_failure_and_its_reason_are_told(page):
    assert [row[:3] for row in page.rows("Trials without a result")] == [["5", "failed", "simulated"]]


def test_text_from_outside_stays_text(run):
    bad = ("</script><script>alert(1)</script>", "\u202egnp.exe", '"><img src=x onerror=alert(1)>', "a&b", "\x1b[31m")
    names = (*bad, *run.facts.classes[len(bad) :])
    facts = replace(run.facts, classes=names, data_name=bad[0], data_remarks=bad)
    plain = report_page(run)
    marked = report_page(replace_facts(run, facts))
    assert marked.count("<script") == plain.count("<script") == 1 and "<img" not in marked
    assert "\u202e" not in marked and "\\u202e" in marked and "\x1b" not in marked
    assert [row[0] for row in Tables(marked).rows("Images of each class")][:4] == [bad[0], "\\u202egnp.exe", *bad[2:4]]
    assert tag("p", "</b>&", title='"><img>') == '<p title="&quot;&gt;&lt;img&gt;">&lt;/b&gt;&amp;</p>'
    assert shown("grün 犬\u200f") == "grün 犬\\u200f"


def replace_facts(run: SearchRun, facts: object) -> SearchRun:
    """The same run with other facts; the trials are shared."""
    import copy

    other = copy.copy(run)
    other.facts = facts
    return other


def test_a_stopped_search_says_so_and_shows_what_there_is(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "cut", Simulated(stop_after=7), trials=24)
    from nas.runs import load_run

    found = Tables(report_page(load_run("cut", tmp_path)))
    assert "The search was stopped" in found.words and "7 of 24 trials" in found.words
    assert "There is no winner yet" in found.words and "nasctl resume cut" in found.words
    assert len(found.rows("Trials; score")) >= 7


def test_several_runs_stand_beside_each_other(tmp_path):
    runs = [
        run_all(tmp_path / f"{strategy}-{seed}", trials=10, strategy=strategy, seed=seed)
        for strategy in ("evolution", "random") for seed in (0, 1)
    ]  # fmt: skip
    out = write_comparison(runs, tmp_path / "all.html")
    found = Tables(out.read_text())
    rows = found.rows("Balanced accuracy on test")
    assert [row[0].partition(":")[0] for row in rows] == [run.name for run in runs]
    for row, each in zip(rows, runs, strict=True):
        assert row[5].startswith(f"{statistics.fmean(each.test_scores):.3f} ± ")
    differences = [statistics.fmean(runs[0].test_scores) - statistics.fmean(each.test_scores) for each in runs[1:]]
    assert [row[6] for row in rows[1:]] == [f"{difference:+.3f}" for difference in differences]
    groups = found.rows("Winners'")
    means = [[statistics.fmean(run.test_scores) for run in runs[at : at + 2]] for at in (0, 2)]
    assert [(row[1], row[2]) for row in groups] == [("2", f"{statistics.fmean(mean):.3f}") for mean in means]
    assert groups[1][5] == f"{np.mean(np.subtract(*means)):+.3f}"
    other = replace_facts(runs[1], replace(runs[1].facts, data_key="another"))
    with pytest.raises(UsageError, match="other data or splits"):
        write_comparison([runs[0], other], tmp_path / "no.html")
    assert not (tmp_path / "no.html").exists()


def test_a_report_goes_over_no_other_file(run, tmp_path):
    mine = tmp_path / "thesis.html"
    mine.write_text("<html>mine</html>")
    for out, why in (
        (mine, "not a report of nasctl"),
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "r.html", "no folder"),
        (tmp_path / ("x" * 300), "cannot be"),
    ):
        with pytest.raises(UsageError, match=why):
            write_report(run, out)
    assert mine.read_text() == "<html>mine</html>"
    twice = [write_report(run, tmp_path / "r.html").read_text() for _ in range(2)]
    assert twice[0] == twice[1]
    assert write_report(run) == run.folder / "report.html"


def test_it_needs_neither_torch_nor_matplotlib(run):
    code = f"""
import sys
from pathlib import Path
from nas.report.html.write import write_report
from nas.runs import load_run
write_report(load_run({run.name!r}, Path({str(run.folder.parent)!r})))
print([name for name in ("torch", "matplotlib", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_policy_of_the_page_lets_nothing_in_but_itself(run):
    text = html.unescape(report_page(run))
    assert "default-src 'none'" in text and "unsafe-inline" not in text and "http:" not in text
    assert "https:" not in text and " style=" not in text and " onclick" not in text


@pytest.mark.parametrize("low, high", [(0.95, 0.9951), (0, 1), (3, 3), (1, 2000), (-4, 5e6), (0.00012, 0.00013)])
def test_axes_have_round_numbers_that_say_what_they_are(low, high):
    axis = linear("score", [low, high])
    assert 3 <= len(axis.ticks) <= 12
    assert all(axis.low <= place <= axis.high for place, _ in axis.ticks)
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)
    for place, text in axis.ticks:
        number = float(text.rstrip("kMG")) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1)
        assert number == pytest.approx(place, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("low, high", [(21_000, 30_000), (900, 1_000_000), (5, 5), (60_000, 149_000)])
def test_logarithmic_axes_too(low, high):
    axis = logarithmic("parameters", [low, high])
    assert len(axis.ticks) >= 3 and all(axis.low <= place <= axis.high for place, _ in axis.ticks)
    assert axis.share(axis.low) == 0 and axis.share(axis.high) == pytest.approx(1)
    assert axis.share((axis.low * axis.high) ** 0.5) == pytest.approx(0.5)


def test_importance_is_epsilon_squared_and_admits_what_it_cannot_tell():
    random = np.random.RandomState(0)
    kernel, width = random.choice([3, 5, 7], 40), random.choice([8, 16], 40)
    scores = 0.1 * (kernel == 5) + random.normal(0, 0.02, 40)
    found = importances_of({"kernel": list(kernel), "width": list(width)}, list(scores))
    first = found.found[0]
    statistic, _ = kruskal(*(scores[kernel == value] for value in (3, 5, 7)))
    share = (statistic - 3 + 1) / (40 - 3)  # Kelley's, written with Kruskal and Wallis' H
    assert first.name == "kernel" and first.best == "5" and first.is_clear and found.remark is None
    assert first.share == pytest.approx(share)
    assert not found.found[1].is_clear and found.found[1].share < 0.1
    noise = [
        importances_of({"kernel": list(kernel), "width": list(width)}, list(random.normal(size=40))) for _ in range(60)
    ]
    unclear = [one.remark for one in noise if not any(choice.is_clear for choice in one.found)]
    assert len(unclear) >= 54 and all(remark and "can be told from chance" in remark for remark in unclear)
    assert "needed to estimate importance" in (importances_of({"a": [1, 2, 3]}, [0.1, 0.2, 0.3]).remark or "")
    assert "same score" in (importances_of({"a": [1, 2] * 5}, [0.5] * 10).remark or "")


def test_few_images_are_named_as_the_reason_only_where_classes_can_tell():
    train = (100, 50, 25, 12, 6, 3)
    weak = Recalls("test", 1, tuple("abcdef"), train, (9,) * 6, (0.9, 0.9, 0.8, 0.7, 0.5, 0.2))
    assert rank_correlation(weak) == pytest.approx(spearmanr(train, weak.recalls).statistic)
    assert "tend to be the weak ones" in (few_images_words(weak) or "")
    assert "are not the weak ones" in (few_images_words(replace(weak, recalls=weak.recalls[::-1])) or "")
    mixed = replace(weak, recalls=(0.5, 0.9, 0.4, 0.8, 0.6, 0.5))
    assert "cannot be told" in (few_images_words(mixed) or "")
    assert few_images_words(replace(weak, recalls=(None, None, *weak.recalls[2:]))) is None
    assert p_of_correlation(0.46, 62) == pytest.approx(2 * t.sf(0.46 * (60 / (1 - 0.46**2)) ** 0.5, 60))


def test_the_interval_of_a_difference_is_welchs():
    first, other = [0.97, 0.98, 0.99, 0.975], [0.95, 0.96, 0.93]
    found, known = of_difference(first, other), ttest_ind(first, other, equal_var=False).confidence_interval(0.95)
    assert found is not None and (found.low, found.high) == pytest.approx((known.low, known.high))
    assert of_difference([0.9], other) is None


def test_the_page_lies_beside_the_run_and_goes_with_it(run, tmp_path):
    assert {"answer", "course", "choices", "architecture", "all-trials", "data", "recipe", "time", "failures",
            "versions"} <= set(Tables(report_page(run)).ids)  # fmt: skip
    assert Path(run.folder / "report.html").name == "report.html"
