"""Display of a one-shot search while it runs and after: from its log alone, nothing is trained."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from supernet_log import EPOCHS, Log

from nas.report.documents import run_document
from nas.report.live import Live, Plain, eta, standing, supernet_eta
from nas.report.screen import Screen
from nas.report.tables.search import print_plan, print_run
from nas.report.tables.supernet import print_supernet
from nas.runs import as_search
from nas.runs.events import Noted, SupernetProgress
from nas.runs.fold import fold
from nas.units import memory


def told(console: Screen) -> list[str]:
    return console.export_text(styles=False).splitlines()


def recording(**changes: object) -> Screen:
    return Screen(record=True, file=Path("/dev/null").open("w"), width=132, **changes)  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path):
    log = Log(tmp_path / "one")
    yield log
    log.close()


def test_the_log_is_folded_and_a_later_record_of_an_epoch_counts(log):
    log.supernet()
    for number in (1, 2, 3):
        log.epoch(number)
    assert [row.epoch for row in log.run.supernet_epochs] == [1, 2, 3]
    log.append(replace(log.epoch_event(2), train_loss=9.0))
    assert [row.train_loss for row in log.run.supernet_epochs] == [2.3, 9.0]
    log.candidates()
    again = as_search(fold(log.run.folder, log.store.entries()))
    assert again.supernet_epochs == log.run.supernet_epochs
    assert again.supernet == log.run.supernet
    assert again.candidates == log.run.candidates
    assert list(again.learned_choices) == [choice.label for choice in log.space.choices]


def test_a_run_without_a_supernet_has_none(tmp_path):
    log = Log(tmp_path / "one", strategy="evolution", supernet={})
    document = run_document(log.run)
    assert document["supernet"] is None
    assert document["candidates"] is None
    assert log.run.learned_choices == {}
    console = recording()
    print_supernet(console, log.run)
    assert told(console) == []
    log.close()


def test_plain_lines_tell_every_epoch(log):
    console = recording()
    log.journal.listeners = (Plain(console, 2).on_event,)
    log.supernet()
    for number in range(1, EPOCHS + 1):
        log.epoch(number)
    log.candidates()
    log.trials([0.5, 0.9])
    lines = told(console)
    assert len(lines) == 1 + EPOCHS + 1 + 2
    assert lines[0] == (
        "supernet  1,234,567 weights for 9 choices, about 640 MB at the peak; 12 epochs, the first 3 of weights "
        "alone (warm-up)"
    )
    assert "warm-up  entropy 1.00" in lines[1]
    assert lines[1].startswith("epoch  1/12  train loss 2.300")
    assert "select loss 0.500" in lines[4]
    assert (
        "parameters 68,000 (over) expected  58,000 likeliest  40 % fit  without weights 20 %  2.5 s  [0:20 left]"
        in lines[4]
    )
    assert "8 ranked" in lines[-3]
    assert "0.900 for the supernet itself" in lines[-3]
    assert "best 0.900" in lines[-1]
    assert "0:10 left" in lines[-1]  # 2 of 4 trials and 3 confirmations, 4 s each, 2 in parallel


def test_plain_lines_tell_soon_that_a_supernet_is_built_and_how_far_its_epochs_are(log):
    console = recording()
    log.journal.listeners = (Plain(console, 2).on_event,)
    for event in (SupernetProgress(0, 0, 0, 0.0), None, SupernetProgress(1, 1, 60, 3.0)):
        log.journal.tell(event) if event else log.supernet()
    built, size = told(console)
    assert built == "supernet  is being built" and "1,234,567 weights" in size
    console = recording()
    log.journal.listeners = (Plain(console, 2).on_event,)
    for step in range(1, 61):
        log.journal.tell(SupernetProgress(1, step, 60, step * 1.0))
    log.epoch(1)
    for step in range(1, 61):
        log.journal.tell(SupernetProgress(2, step, 60, step * 1.0))
    lines = [line for line in told(console) if "step" in line]
    assert lines == [
        "epoch 1/12: step 5 of 60, 0:55 left in this epoch, at least 11:55 in all",
        "epoch 1/12: step 25 of 60, 0:35 left in this epoch, at least 11:35 in all",
        "epoch 1/12: step 45 of 60, 0:15 left in this epoch, at least 11:15 in all",
        "epoch 2/12: step 20 of 60, 0:40 left in this epoch",
        "epoch 2/12: step 40 of 60, 0:20 left in this epoch",
        "epoch 2/12: step 60 of 60, 0:00 left in this epoch",
    ]


def test_without_alphas_nothing_is_said_of_them(tmp_path):
    console = recording()
    log = Log(tmp_path / "one", Plain(console, 1).on_event, strategy="random-oneshot", space="vgg")
    log.supernet()
    log.epoch(1)
    log.candidates()
    log.trials([0.5])
    print_supernet(console, log.run)
    text = "\n".join(told(console))
    for word in ("warm-up", "entropy", "likeliest", "Likeliest", "select loss", "without weights"):
        assert word not in text
    log.close()


def test_live_bars_stay_within_110_columns(log):
    console = recording(force_terminal=True)
    console.width = 110
    live = Live(console, 2)
    log.journal.listeners = (live.on_event,)

    def bars() -> str:
        with console.capture() as captured:
            console.print(live._progress.get_renderable())
        text = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
        assert all(len(line) <= 110 for line in text.splitlines())
        return text

    log.journal.tell(SupernetProgress(0, 0, 0, 0.0))
    assert "supernet  is being built" in bars()
    log.supernet()
    assert "0/12" in bars()
    log.journal.tell(SupernetProgress(1, 100, 1000, 4000.0))
    assert "step 100 of 1000, 10:00:00 left in this epoch, at least 132:13:20 in all" in bars()
    for number in range(1, 6):
        log.epoch(number)
    shown = bars()
    for words in ("5/12", "train loss 0.460", "entropy 0.92", "score 0.820", "0:18 left", "65,000 (over) expected"):
        assert words in shown
    assert "…" not in shown
    assert "search" not in shown
    log.candidates()
    assert "supernet" not in bars()
    log.trials([0.5])
    assert "1/4" in bars()


def test_time_left_and_standing_follow_the_supernet(log):
    log.supernet()
    log.epoch(1)
    assert supernet_eta(log.run) == "0:28 left"
    assert standing(log.run) == "supernet 1 of 12 epochs"
    log.append(replace(log.epoch_event(4), seconds=10.0))
    assert supernet_eta(log.run) == "1:20 left"  # an epoch with alphas is not one of the warm-up
    log.candidates(count=2)
    assert standing(log.run) == "0 done, 0 failed, 0 running"
    assert eta(log.run, 1) == "time left unknown"
    log.trials([0.5])
    assert eta(log.run, 1) == "0:16 left"  # one of the two candidates and three confirmations


def test_the_plan_and_a_recorded_run_say_that_a_supernet_comes_first(log):
    console = recording()
    print_plan(console, log.run, [])
    log.append(Noted("Something to know."))
    print_run(console, log.run)
    lines = told(console)
    assert lines[0].startswith("one  darts over cell: a supernet, then 4 trials")
    first = next(line for line in lines if line.startswith("First"))
    for words in ("6 epochs", "penalty for the budget: 1", "8 candidates", "best 4 become trials"):
        assert words in first
    assert "Note    Something to know." in lines


def test_the_table_shows_candidates_that_became_trials_and_what_was_learned(log):
    log.supernet()
    log.epoch(1)
    log.epoch(EPOCHS)
    log.candidates()
    log.trials([0.5, 0.9, 0.7, 0.8, 0.6, 0.65])
    console = recording()
    print_supernet(console, log.run)
    text = "\n".join(told(console))
    assert "stages=2 (0.93)" in text
    assert "share without weights 20 %" in text
    rows = [line.split() for line in text.splitlines() if re.match(r"\d ", line)]
    assert [row[:3] for row in rows[:2]] == [["1", "0.900", "0.500"], ["2", "0.800", "0.900"]]
    assert rows[5][:4] == ["6", "!", "0.400", "0.650"]
    assert "! far below the supernet" in text


def test_documents_hold_the_last_probabilities_and_every_candidate(log):
    log.supernet()
    for number in (1, 2):
        log.epoch(number)
    log.candidates()
    document = json.loads(json.dumps(run_document(log.run)))
    assert document["supernet"]["params"] == 1_234_567
    assert document["supernet"]["trained_epochs"] == 2
    assert document["supernet"]["last_epoch"]["probabilities"]["cells"] == pytest.approx([0.2] * 5)
    assert len(document["candidates"]["ranked"]) == 8


def test_memory_in_words():
    assert [memory(n) for n in (1e5, 64e7, 13e8)] == ["1 MB", "640 MB", "1.3 GB"]
