"""The command line as a new user meets it: plans without a run, runs named either way, words that are too many, what
takes room, and names that a shell completes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import NASCTL, fails, nasctl, refused, told
from supernet_log import Log

from budgets import Cost
from nas import __version__
from nas.cli import completion
from nas.data.cache_contents import GRACE, clean, contents
from nas.report import run_document, trial_document
from nas.report.tables.format import fitting
from nas.report.tables.search import runs_table
from nas.runs import SearchRun, load_run
from nas.runs.events import SessionStarted, TrialSubmitted
from nas.runs.log import EventLog

QUICK = ["--space", "vgg", "--max-params", "20k", "--epochs", 1, "--workers", 1, "--device", "cpu", "--no-floor"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the searches ``old`` and ``new``, each of two trials."""
    folder = tmp_path_factory.mktemp("way-in")
    for name in ("old", "new"):
        done = nasctl("search", *QUICK, "--trials", 2, "--confirm", 1, "--run", name, "--quiet", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_a_dry_run_prints_the_plan_of_the_run_and_makes_none(tmp_path):
    study = ["baseline", "run", "hand-nets", "--members", "model1-setting2", "--epochs", 1]
    for command, name in (["search", *QUICK], "vgg-digits-1"), (study, "hand-nets-digits-1"):
        document = json.loads(told(tmp_path, *command, "--dry-run", "--json"))
        assert document["run"] == name
        assert document["facts"]["counts"]["train"][0] == 100 and document["slots"]
        assert not list(tmp_path.iterdir())
    real = told(tmp_path, "search", *QUICK, "--trials", 1, "--confirm", 0)
    dry = told(tmp_path, "search", *QUICK, "--trials", 1, "--confirm", 0, "--runs", "elsewhere", "--dry-run")
    assert real.startswith(dry.rpartition("Dry run")[0])
    assert "exists already" in refused(tmp_path, "search", *QUICK, "--run", "vgg-digits-1", "--dry-run")


def test_a_search_without_a_budget_asks_for_one(tmp_path):
    assert "A search needs a budget: add --max-params 150k" in fails("search", "--space", "vgg", cwd=tmp_path)
    assert "A search needs a budget" in fails("search", "--space", "vgg", "--min-params", "1k", cwd=tmp_path)
    free = ["search", "--space", "vgg", "--epochs", 1, "--workers", 1, "--dry-run"]
    assert "Budget  no limit" in told(tmp_path, *free, "--max-params", "none")
    assert "at most 1.00M MACs" in told(tmp_path, *free, "--max-macs", "1M")


def test_a_run_is_named_by_position_or_by_its_flag(place):
    winner = load_run("old", place / "runs").winner.trial
    for command in ("status", "trials", "resume"):
        assert told(place, command, "old") == told(place, command, "--run", "old") != told(place, command, "new")
        assert "names a part of a run" in refused(place, command, f"old:{winner}")
    for command in ("status", "trials", "show", "resume"):
        what = "old:1" if command == "show" else "old"
        assert "leave out one of them" in refused(place, command, what, "--run", "new")
        assert told(place, command, what, "--run", "old")
    assert told(place, "show", "old") == told(place, "show", f"old:{winner}") == told(place, "show", "--run", "old")
    assert told(place, "compare", "old", "new") == told(place, "compare", "--run", "old", "new")
    assert "leave out one of them" in refused(place, "evaluate", "old", "--run", "new")
    assert "There is no run 'older'" in refused(place, "evaluate", "--run", "older")
    assert "There is no run 'older'" in refused(place, "report", "--run", "older")
    assert "Name a network" in refused(place, "predict", "old")
    assert "old:1 names a trial, and --trial 2" in refused(place, "export", "old:1", "--trial", 2, "--out", "m")
    assert "no trial '77'" in refused(place, "export", "old:77", "--out", "m")
    assert "no trial '77'" in refused(place, "export", "old", "--trial", 77, "--out", "m")


def test_words_that_cannot_be_used_are_answered_with_the_command_that_was_meant(place):
    for typed, answer in {
        "show old 1": "Did you mean: nasctl show old:1\n",
        "export 1 old --out m": "Did you mean: nasctl export old:1 --out m\n",
        "show old:": "old: names no part: write RUN:TRIAL",
        "status old more": "Did you mean: nasctl status old\n",
        "search vgg --max-params 20k": "Did you mean: nasctl search --space vgg --max-params 20k\n",
        "search --space vgg 20k": "Did you mean: nasctl search --space vgg --max-params 20k\n",
        "search --space vgg --max-param 20k": "Did you mean '--max-params'?",
        "serach --space vgg": "There is no command nasctl serach. Did you mean 'search'?",
        "baseline rum": "There is no command nasctl baseline rum. Did you mean 'run'?",
        "export --best": "--out DIR is missing: nasctl export --out DIR",
        "status --run": "--run needs a value",
    }.items():
        assert answer in refused(place, *typed.split())


def test_the_version_is_told(place):
    assert told(place, "--version") == f"nasctl {__version__}\n"


def test_the_list_of_runs_shows_the_winner_and_how_it_was_found(place):
    run = load_run("new", place / "runs")
    assert isinstance(run, SearchRun) and run.winner
    cells = next(line for line in told(place, "status").splitlines() if line.startswith("new")).split()
    scores = [trial.score("balanced_accuracy") for trial in run.confirmations(run.winner.trial)]
    assert cells[4:7] == ["guided", "evolution", "0"]
    assert cells[9] == f"{sum(scores) / 3:.3f}" and cells[10].startswith("±")
    assert cells[11] == f"{run.trials[run.winner.trial].cost.params:,}"
    narrow = [column.header for column in runs_table([run], 60).columns]
    assert narrow[:2] == ["run", "state"] and "score" in narrow and "seed" not in narrow


def test_columns_go_in_order_until_the_rest_fits():
    columns = {"a": ["12345"], "b": ["1234567890"], "c": ["1"]}
    assert list(fitting(columns, 22, ["b", "c"])) == ["a", "b", "c"]
    assert list(fitting(columns, 21, ["c", "b"])) == ["a", "b"]
    assert list(fitting(columns, 21, ["c", "b"], text=5)) == ["a"]


def test_trials_of_a_stopped_run_are_interrupted_and_its_clock_stands(tmp_path):
    log = Log(tmp_path / "r")
    log.append(SessionStarted(1, {}))
    log.append(TrialSubmitted("1", "search", "1", "id", {"width": 8}, Cost(1, 2, 3, 4), 7))
    run, trial = log.run, log.run.trials["1"]
    run.last_time -= 100  # an epoch of a supernet takes long
    assert run.state == "running" and run.seconds_so_far - run.elapsed == pytest.approx(100, abs=5)
    assert trial_document(run, trial)["status"] == "running"
    assert run_document(run)["trials"]["running"] == 1
    log.store.close()  # as a kill does
    assert run.seconds_so_far == run.elapsed
    assert trial_document(run, trial)["status"] == "interrupted"
    assert run_document(run)["trials"] | {"finished": 0} == {
        "finished": 0, "failed": 0, "pruned": 0, "running": 0, "interrupted": 1,
    }  # fmt: skip


def test_trials_as_comma_separated_values_have_every_metric(place):
    rows = list(csv.DictReader(io.StringIO(told(place, "trials", "old", "--csv"))))
    trials = json.loads(told(place, "trials", "old", "--json"))
    assert [row["id"] for row in rows] == [trial["id"] for trial in trials]
    for row, trial in zip(rows, trials, strict=True):
        assert float(row["rank.balanced_accuracy"]) == trial["metrics"]["rank"]["balanced_accuracy"]
        assert float(row["select.recall_by_class.9"]) == trial["metrics"]["select"]["recall_by_class"][9]
        assert (row["sample.head"], row["error"]) == (str(trial["sample"]["head"]), "")
    assert "give one of them" in refused(place, "trials", "old", "--csv", "--json")


def test_only_runs_are_removed_and_none_that_somebody_works_on(place, tmp_path):
    for name in ("a", "b"):
        subprocess.run(["cp", "-r", place / "runs" / "old", tmp_path / name], check=True)
    (tmp_path / "b" / "notes.txt").write_text("mine")
    (tmp_path / "mine" / "logs").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    at = ["--runs", tmp_path]
    assert "no run 'aa'. Did you mean 'a'?" in refused(tmp_path, "rm", "aa", "b", *at)
    for name in ("mine", "empty", "..", ".", ""):
        assert "is not a run" in refused(tmp_path, "rm", name, *at)
    with EventLog(tmp_path / "a"):
        assert "being worked on" in refused(tmp_path, "rm", "a", "b", *at)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "mine", "empty"}
    removed = json.loads(told(tmp_path, "rm", "a", "b", "--json", *at))
    assert [(one["run"], one["left"]) for one in removed] == [("a", []), ("b", ["notes.txt"])]
    assert all(one["num_bytes"] > 10_000 for one in removed)
    assert {path.name for path in tmp_path.iterdir()} == {"b", "mine", "empty"}
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["notes.txt"]


def test_the_cache_is_shown_and_cleaned_of_what_nobody_uses(tmp_path, monkeypatch):
    monkeypatch.setenv("NASCTL_CACHE", str(tmp_path))
    told(tmp_path, "data", "digits")
    (entry,) = [entry for entry in contents(tmp_path) if entry.last_used]
    assert (entry.name, entry.what, entry.in_use) == ("digits", "1,797 images 1x8x8", True)
    assert "digits" in told(tmp_path, "cache") and not clean(tmp_path)
    os.utime(entry.path, (0, entry.last_used - GRACE))
    opened = "import sys, numpy; a = numpy.load(sys.argv[1], mmap_mode='r'); print(flush=True); sys.stdin.read()"
    reader = subprocess.Popen(
        [sys.executable, "-c", opened, f"{entry.path}/images.npy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdout and reader.stdout.readline()
    assert not clean(tmp_path)
    reader.communicate()
    assert f"{entry.num_bytes:,} bytes freed" in told(tmp_path, "cache", "--clean")
    assert not Path(entry.path).exists()
    assert "1,797" in told(tmp_path, "data", "digits")


def test_a_name_that_no_file_can_have_is_told_so(place):
    for command in ("show", "trials", "data", "evaluate"):
        assert "longer than the name of a file" in refused(place, command, "x" * 300)


def test_a_shell_is_offered_names(place, tmp_path):
    context = SimpleNamespace(params={"runs": str(place / "runs")})
    assert sorted(completion.runs(context, "")) == ["new", "old"] and completion.runs(context, "o") == ["old"]
    (tmp_path / "study" / "weights").mkdir(parents=True)
    for name in ("1", "m-one.1", "m-one.2"):
        (tmp_path / "study" / "weights" / f"{name}.safetensors").touch()
    kept = SimpleNamespace(params={"runs": str(tmp_path), "run": "study"})
    assert completion.parts(kept, "") == ["m-one", "1", "m-one.1", "m-one.2"]
    context.params["study"] = "hand-nets"
    assert completion.members(context, "model4-setting2,model4-setting6") == [
        f"model4-setting2,model4-setting6{end}" for end in ("", "-found", "-random")
    ]
    assert completion.metrics("select.accuracy,macro_p") == ["select.accuracy,macro_precision"]
    lines = {
        "search --space mob": "mobilenet", "baseline run res": "resnet18-settings", "search --objective wor":
        "worst_recall", "search --loss cb-f": "cb-focal", "baseline run --network mod": "model1",
        "search --schedule one": "one-cycle",
    }  # fmt: skip
    for line, offered in lines.items():
        words = f"nasctl {line}"
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_NASCTL_COMPLETE": "complete_bash"}
        done = subprocess.run([NASCTL], env={**os.environ, **asked}, capture_output=True, text=True, check=False)
        assert offered in done.stdout.split()
