"""Runs of many trials: what is kept up to date equals what counting again would give, and no reader needs histories."""

from __future__ import annotations

import json
import sqlite3
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_search import Simulated, begin, config, events_of, recorded, resume, run_all, story

from budgets import Budget, Cost
from nas.cli.commands.runs import MOST_ROWS, trials_command
from nas.config.recipe import Metrics
from nas.engine.search import run_search
from nas.errors import ReplayError
from nas.executors import WorkerSlot
from nas.report.screen import Screen
from nas.report.tensorboard.listener import bring_up_to_date, keep_files, left_out
from nas.report.tensorboard.trial import COLUMNS, PARTIAL
from nas.runs import LogEntry, Run, SearchRun, TrialRecord, load_run
from nas.runs.events import Event, SearchFacts, Stage, TrialEnded, TrialSubmitted, encode
from nas.runs.fold import fold
from nas.runs.log import LOG_NAME, read_log
from nas.strategies.proposals import MUTANT, Proposer
from nas.strategies.replayed_proposals import CHECKED, RecallingProposer
from nas.trials.spec import Status, TrialResult
from search_spaces import Sample, Task, get_space

HISTORY = [{"epoch": epoch, "train_loss": 2.0 / epoch, "select_loss": 1.0} for epoch in (1, 2, 3)]
COUNT = 28  # proposals
SAMPLE = get_space("resnet").canonical
STATUSES = ("finished", "failed", "pruned")


def submitted(trial_id: str, stage: Stage, params: int) -> TrialSubmitted:
    of, cost = trial_id.split(".")[0], Cost(params, 2, 3, 4)
    return TrialSubmitted(trial_id, stage, of, architecture="0123456789", sample=SAMPLE, cost=cost, seed=1)


def ended(trial_id: str, status: Status = "finished", score: float = 0.5, seconds: float = 1.0) -> TrialEnded:
    metrics: dict[str, Metrics] = {"rank": {"balanced_accuracy": score}} if status == "finished" else {}
    error = None if status == "finished" else "why"
    profile = {"train": 0.9} if status == "finished" else {}
    return TrialEnded.of(TrialResult(trial_id, status, metrics, HISTORY, seconds, error, profile), "search")


def empty_run(folder: Path = Path("run")) -> SearchRun:
    facts = SearchFacts(
        input_shape=(1, 8, 8), classes=("a", "b"), counts={}, data_name="digits", data_key="key", budget=Budget(),
        note="", population=4,
    )  # fmt: skip
    return SearchRun(folder=folder, config=config(), facts=facts, versions={}, started=0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["search", "confirm"]), st.integers(1, 9), st.sampled_from(["submitted", *STATUSES]),
            st.sampled_from([0.1, 0.5, 0.9]), st.integers(1, 3), st.booleans(),
        ),
        max_size=150,
    )
)  # fmt: skip
def test_what_is_kept_up_to_date_is_what_counting_again_gives(steps):
    run = empty_run()
    for number, (stage, name, kind, score, params, look) in enumerate(steps, start=1):
        trial_id = str(name) if stage == "search" else f"{name}.1"
        if kind != "submitted" and trial_id not in run.trials:
            continue
        event = submitted(trial_id, stage, params) if kind == "submitted" else ended(trial_id, kind, score, score)
        run.apply(LogEntry(number, event, 0.0, 0.0))
        if look:  # whether the ranking is asked for at every step, or after many
            assert run.ranked() == ranked_again(run)
    assert run.ranked() == ranked_again(run)
    assert run.best(2) == ranked_again(run)[:2]
    assert run.num_ranked == len(ranked_again(run))
    trials = list(run.trials.values())
    for stage in (None, "search", "confirm"):
        chosen = [trial for trial in trials if stage in (None, trial.stage)]
        if stage:
            assert run.stage(stage) == chosen
        for status in (None, "running", *STATUSES):
            assert run.tally.count(status, stage=stage) == sum(status in (None, trial.status) for trial in chosen)
        seconds = [trial.seconds for trial in chosen if trial.status == "finished"]
        expected = pytest.approx(statistics.fmean(seconds)) if seconds else None
        assert run.tally.mean_seconds(stage=stage) == expected


def ranked_again(run: SearchRun) -> list[TrialRecord]:
    """The definition: by score, then fewer parameters, then the order of submission."""
    finished = [trial for trial in run.trials.values() if trial.stage == "search" and trial.status == "finished"]
    return sorted(finished, key=lambda trial: (-trial.metrics["rank"]["balanced_accuracy"], trial.cost.params))


def write_run(folder: Path, count: int = 3) -> None:
    """A search of ``count`` trials, one after the other."""
    with begin(folder) as store:
        store._database.execute("BEGIN")  # one for all: a commit for each takes seconds
        for number in range(1, count + 1):
            store.append(submitted(str(number), "search", number))
            store.append(ended(str(number), score=number / count))
        store._database.execute("COMMIT")


def test_reading_without_histories_leaves_out_nothing_else(tmp_path):
    write_run(tmp_path / "run")
    whole, compact = list(read_log(tmp_path / "run", histories=True)), list(read_log(tmp_path / "run"))
    assert len(whole) == len(compact) == 7
    for one, other in zip(whole, compact, strict=True):
        if isinstance(one.event, TrialEnded):
            assert one.event.result.history == HISTORY and one.event.epochs == len(HISTORY)
            event = replace(one.event, result=replace(one.event.result, history=[]))
            assert replace(one, event=event) == other
        else:
            assert one == other
    run, again = fold(tmp_path / "run", whole), fold(tmp_path / "run", compact)
    assert run.trials == again.trials
    assert [trial.epochs for trial in again.ranked()] == [3, 3, 3]
    assert again.history(again.trials["2"]) == HISTORY


def test_tensorboard_files_that_a_kill_left_out_are_found_by_one_listing(tmp_path):
    folder = tmp_path / "run"
    write_run(folder, 5)
    run = load_run("run", tmp_path)
    assert [trial.id for trial in left_out(run)] == ["1", "2", "3", "4", "5"]
    bring_up_to_date(run)
    assert [trial.id for trial in left_out(run)] == ["5"]  # the newest is looked at in any case
    files = sorted((folder / "tensorboard").glob("*/*"))
    files[1].unlink()
    (folder / "tensorboard" / f"{PARTIAL}2").write_bytes(b"half")  # killed before it was moved
    assert [trial.id for trial in left_out(run)] == ["2", "5"]
    bring_up_to_date(run)
    left = sorted((folder / "tensorboard").glob("*"))  # nothing partial
    assert left == [*(file.parent for file in files), folder / "tensorboard" / COLUMNS]
    assert [len(list(file.parent.iterdir())) for file in files] == [1] * 5


def test_a_replay_takes_mutants_from_the_log_and_resumes_the_same(tmp_path, monkeypatch):
    changes = {"trials": 30, "confirm": 0}
    run_all(tmp_path / "whole", Simulated(), **changes)
    with pytest.raises(KeyboardInterrupt):
        run_all(tmp_path / "stopped", Simulated(stop_after=25), **changes)
    sampled = counted(monkeypatch)
    resume(tmp_path / "stopped", Simulated())
    assert story(tmp_path / "stopped") == story(tmp_path / "whole")
    notes = [event.note for event in events_of(tmp_path / "whole") if isinstance(event, TrialSubmitted)]
    assert notes == [None] * 10 + [MUTANT] * 20
    assert len(sampled) == 4  # the last of 30; one more was submitted when it was stopped


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """A list that fills with the parents whose mutants are sampled."""
    sampled: list[Sample] = []
    mutant = Proposer.mutant

    def watched(proposer: Proposer, parent: Sample, rng: np.random.Generator) -> Sample | None:
        sampled.append(parent)
        return mutant(proposer, parent, rng)

    monkeypatch.setattr(Proposer, "mutant", watched)
    return sampled


def test_where_mutants_run_out_fresh_samples_are_recalled_too(monkeypatch):
    """Two values of five choices: all that differ from one parent in up to three choices are soon proposed."""
    space, task = get_space("vgg"), Task((1, 8, 8), 10)
    few = tuple(replace(choice, values=choice.values[: 2 if n < 5 else 1]) for n, choice in enumerate(space.choices))
    space = replace(space, choices=few, _definitions={})

    def propose(recorded: list[TrialRecord]) -> list[tuple[Sample, bool]]:
        proposer = RecallingProposer(space, task, Budget(max_params=10**9, min_params=1), recorded=recorded)
        parent = space.decode(np.zeros(len(space.choices), np.int16))
        found = [(proposer.mutant(parent, np.random.default_rng(n)), proposer.was_mutant) for n in range(COUNT)]
        return [(sample, mutant) for sample, mutant in found if sample]

    whole = propose([])
    assert {mutant for _, mutant in whole} == {True, False}
    trials = [
        TrialRecord(
            str(n),
            "search",
            str(n),
            space.architecture_id(sample, task),
            sample,
            Cost(1, 1, 1, 1),
            0,
            note=MUTANT if mutant else None,
        )
        for n, (sample, mutant) in enumerate(whole)
    ]
    for known in (COUNT // 2, COUNT - 2):
        sampled = counted(monkeypatch)
        assert propose(trials[:known]) == whole
        checked = sum(mutant and number % CHECKED > 0 for number, (_, mutant) in enumerate(whole[:known]))
        assert len(sampled) == COUNT - checked
        monkeypatch.undo()


def test_a_recorded_mutant_that_is_none_is_sampled_and_noticed(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_all(folder, Simulated(stop_after=28))
    entries = [e for e in read_log(folder) if isinstance(e.event, TrialSubmitted)]
    number, event = next((e.number, e.event) for e in entries if e.event.note == MUTANT)
    other = next(e.event.sample for e in entries if differences(e.event.sample, event.sample) > 8)
    database = sqlite3.connect(folder / LOG_NAME)
    _, body, _ = encode(replace(event, sample=other))
    database.execute("UPDATE events SET body = ? WHERE number = ?", (body, number))
    database.commit()
    database.close()
    with pytest.raises(ReplayError, match=f"at trial {event.id} "):
        resume(folder, Simulated())


def differences(one: Sample, other: Sample) -> int:
    return sum(one[label] != other[label] for label in one)


def test_files_kept_are_those_of_a_plain_count_at_every_result(tmp_path):
    """Weights: those of the best ``keep`` and of trials that run; one TensorBoard folder for each that ended."""
    folder = tmp_path / "run"

    def check(event: Event, run: Run) -> None:
        if isinstance(event, TrialEnded) and event.stage == "search":
            left = {path.stem for path in (folder / "weights").iterdir()}
            assert left == {trial.id for trial in ranked_again(run)[:3]}
            assert len(list((folder / "tensorboard").glob("[!e]*"))) == run.tally.count("finished")

    with begin(folder, trials=12, confirm=1) as store:
        run = run_search(recorded(store), store, [WorkerSlot("cpu", 1)], [keep_files, check], lambda slots: Simulated())
    assert {path.stem for path in (folder / "weights").iterdir()} == {t.id for t in run.best(3)} | set(run.winner.test)


def test_many_trials_are_a_table_that_ends_and_json_that_does_not(tmp_path, capsys, monkeypatch):
    write_run(tmp_path / "run", MOST_ROWS + 5)
    monkeypatch.setattr("nas.cli.commands.runs.console", Screen(width=132))
    trials_command("run", str(tmp_path), None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split()[0] for line in lines if "finished" in line]
    assert rows == [str(number) for number in range(6, MOST_ROWS + 6)]
    assert lines[-1].startswith("Earlier trials, not shown: 5.")
    trials_command("run", str(tmp_path), str(MOST_ROWS + 5), as_json=False)
    assert "not shown" not in capsys.readouterr().out
    trials_command("run", str(tmp_path), None, as_json=True)
    text = capsys.readouterr().out
    assert [trial["id"] for trial in json.loads(text)] == [str(n) for n in range(1, MOST_ROWS + 6)]
    assert len(text.splitlines()) == MOST_ROWS + 5 + 2  # a line a trial, for grep


def test_no_trials_are_an_empty_list(tmp_path, capsys):
    write_run(tmp_path / "run", 0)
    trials_command("run", str(tmp_path), None, as_json=True)
    assert json.loads(capsys.readouterr().out) == []
