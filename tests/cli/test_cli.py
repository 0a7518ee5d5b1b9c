"""The command line as a user meets it: exit codes, one clear message for everything wrong, signals and pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import NASCTL, fails, nasctl, nasctl_process
from PIL import Image
from simulated_search import events_of

from nas.engine.plan import check_data
from nas.errors import RunError
from nas.runs import load_run
from nas.runs.events import SearchStarted, TrialEnded
from nas.runs.log import LOG_NAME

QUICK = ["--space", "vgg", "--max-params", "20k", "--epochs", "1", "--workers", "1", "--device", "cpu", "--no-floor"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small finished search, run by the program."""
    folder = tmp_path_factory.mktemp("finished")
    done = nasctl("search", *QUICK, "--trials", 5, "--confirm", 1, "--run", "small", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_help_imports_nothing_heavy(tmp_path):
    as_module = subprocess.run([sys.executable, "-m", "nas.cli", "--help"], capture_output=True, text=True, check=True)
    assert (
        nasctl_process("--help", cwd=tmp_path).stdout == as_module.stdout.replace("python -m nas.cli", "nasctl") != ""
    )
    code = "import sys; import nas.cli; print([m for m in ('torch', 'nni', 'numpy', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["search", "resume", "status", "trials", "show", "space", "data", "export"])
def test_every_command_explains_itself(tmp_path, command):
    done = nasctl(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 5


def test_every_error_of_one_command_is_reported_together(tmp_path):
    message = fails(
        "search", "--space", "densnet", "--max-params", "150 kk", "--trials", 0, "--data", "/nowhere", "--imbalance",
        "0.5", "--strategy", "magic", "--time-limit", "soon", "--objective", "acuracy", "--workers", "x", cwd=tmp_path,
    )  # fmt: skip
    for part in (
        "'densenet'",
        "150 kk",
        "--trials",
        "/nowhere",
        "--imbalance",
        "no strategy 'magic'",
        "soon",
        "no objective 'acuracy'. Did you mean 'accuracy'?",
        "--workers",
    ):
        assert part in message
    assert len(message.strip().splitlines()) == 9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search"], "--space is missing"),
        (["search", "--space", "resnet", "--max-params", "100"], "The smallest possible has"),
        (["search", "--space", "resnet", "--max-params", "10k", "--min-params", "20k"], "--min-params"),
        (["search", "--space", "resnet", "--device", "cuda:99"], "CUDA"),
        (["search", "--space", "resnet", "--device", "tpu"], "tpu"),
        (["search", "--space", "resnet", "--recipe", "custom"], "custom-ce"),
        (["search", "--space", "resnet", "--run", "a/b"], "is not a valid name"),
        (["search", "--space", "resnet", "--image-size", "96x4"], "96x64"),
        (["search", "--space", "resnet", "--grey", "--colour"], "--grey and --colour exclude each other"),
        (
            ["search", "--space", "resnet", "--max-params", "none", "--trials-per-gpu", "2", "--device", "cpu"],
            "per-gpu",
        ),
        (["search", "--space", "resnet", "--data", "ciphar10"], "cifar10"),
        (["space", "mobilnet"], "mobilenet"),
        (["status", "--run", "nothing"], "no run"),
        (["resume", "nothing"], "no run"),
        (["trials"], "no run"),
        (["trials", "--top", "few"], "--top"),
        (["export", "--out", "model"], "--best"),
        (["data", "/nowhere"], "/nowhere"),
        (["search", "--space", "vgg", "--seed", "99999999999"], "--seed"),
        (["search", "--space", "vgg", "--learning-rate", "inf"], "--learning-rate"),
        (["search", "--space", "vgg", "--imbalance", "inf"], "--imbalance"),
        (["search", "--space", "vgg", "--max-params", "9" * 400], "more than any network"),
        (["search", "--space", "vgg", "--time-limit", "9" * 400], "--time-limit"),
        (["search", "--space", "vgg", "--max-params", "none", "--min-params", "900M"], "The largest possible has"),
        (["trials", "--top", "²"], "--top"),
        (["search", "--space", "vgg", "--strategy", "dart"], "Did you mean 'darts'?"),
        (["search", "--space", "vgg", "--supernet-epochs", "3"], "--supernet-epochs belongs to a supernet"),
    ],
)
def test_bad_input_is_one_message_with_its_cure(tmp_path, arguments, words):
    assert words in fails(*arguments, cwd=tmp_path)


def test_folders_that_are_no_data_set_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in fails("search", "--space", "resnet", "--data", "empty", cwd=tmp_path)
    one = tmp_path / "one" / "cats"
    one.mkdir(parents=True)
    for number in range(9):
        Image.fromarray(np.full((8, 8), number * 20, np.uint8)).save(one / f"{number}.png")
    assert "class" in fails("search", "--space", "resnet", "--max-params", "90k", "--data", "one", cwd=tmp_path)


def test_broken_images_are_listed_and_skipped_on_request(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(rng.integers(0, 255, (12, 10, 3), np.uint8)).save(tmp_path / f"pets/{name}/{number}.png")
    (tmp_path / "pets/cats/torn.jpg").write_bytes(b"no image")
    arguments = ("search", *QUICK, "--data", "pets", "--trials", 2, "--confirm", 0, "--image-size", 8)
    message = fails(*arguments, cwd=tmp_path)
    assert "cats/torn.jpg" in message
    assert "--skip-broken" in message
    listed = nasctl("data", "pets", "--image-size", 8, cwd=tmp_path)
    assert listed.returncode == 2
    assert "cats/torn.jpg" in listed.stdout
    assert nasctl(*arguments, "--skip-broken", cwd=tmp_path).returncode == 0


def test_trials_print_one_list_of_objects(finished):
    trials = json.loads(nasctl("trials", "--run", "small", "--json", cwd=finished).stdout)
    assert len(trials) == 5 + 3
    for trial in trials:
        assert {"id", "status", "sample", "params", "macs", "metrics", "seconds", "error"} <= trial.keys()
        assert trial["status"] == "finished"
        assert 10_000 <= trial["params"] <= 20_000
        assert 0 <= trial["metrics"]["rank"]["balanced_accuracy"] <= 1
        assert len(trial["metrics"]["rank"]["recall_by_class"]) == 10
    top = json.loads(nasctl("trials", "--top", 2, "--json", cwd=finished).stdout)
    assert [t["score"] for t in top] == sorted((t["score"] for t in trials[:5]), reverse=True)[:2]


def test_status_trials_and_show_are_tables(finished):
    assert "done" in nasctl("status", cwd=finished).stdout
    one = nasctl("status", "--run", "small", cwd=finished).stdout
    assert "Where the time went" not in one  # without --profile
    assert "Winner: trial" in one
    assert "Test balanced accuracy" in one
    assert "parameters" in nasctl("trials", cwd=finished).stdout
    shown = nasctl("show", "3", cwd=finished).stdout
    assert "stage1.conv1" in shown
    total = next(line for line in shown.splitlines() if line.startswith("total"))
    trials = json.loads(nasctl("trials", "--json", cwd=finished).stdout)
    assert f"{trials[2]['params']:,}" in total
    document = json.loads(nasctl("status", "--run", "small", "--json", cwd=finished).stdout)
    assert document["trials"]["finished"] == 8
    wrong = nasctl("show", "33", cwd=finished)
    assert wrong.returncode == 2
    assert "no trial '33'" in wrong.stderr


def test_data_that_this_version_splits_otherwise_are_refused(finished):
    run = load_run("small", finished / "runs")
    check_data(run)
    counts = {name: list(counts) for name, counts in run.facts.counts.items()}
    counts["rank"][0] += 1
    run.facts = replace(run.facts, counts=counts)
    with pytest.raises(RunError, match="splits them differently"):
        check_data(run)


def test_a_run_folder_holds_what_it_should(finished):
    folder = finished / "runs" / "small"
    assert {path.name for path in folder.iterdir()} == {
        LOG_NAME, ".lock", "logs", "tensorboard", "weights", "analysis", "report.html",
    }  # fmt: skip
    first = events_of(folder)[0]
    assert isinstance(first, SearchStarted)
    assert {"nni", "torch", "numpy", "nasctl"} <= first.versions.keys()
    assert first.config.seed == 0
    assert len(list((folder / "logs").iterdir())) == 8
    assert sum(path.is_dir() for path in (folder / "tensorboard").iterdir()) == 8
    assert len(list((folder / "weights").iterdir())) == 3 + 3
    assert sorted(path.name for path in finished.iterdir()) == ["runs"]  # no surprise files


def test_a_finished_run_can_be_shown_again_but_not_changed(finished):
    again = nasctl("resume", "small", cwd=finished)
    assert again.returncode == 0
    assert "done already" in again.stdout
    longer = nasctl("resume", "small", "--trials", 9, cwd=finished)
    assert longer.returncode == 2
    assert "test split" in longer.stderr
    both = nasctl("search", *QUICK, "--run", "small", "--data", "/nowhere", cwd=finished)
    assert "exists already" in both.stderr
    assert "/nowhere" in both.stderr
    taken = nasctl("search", *QUICK, "--run", "small", cwd=finished)
    assert taken.returncode == 2
    assert "nasctl resume small" in taken.stderr


def test_a_damaged_run_is_refused_in_one_message(finished, tmp_path):
    (tmp_path / "runs" / "bad").mkdir(parents=True)
    (tmp_path / "runs" / "bad" / LOG_NAME).write_bytes(b"garbage" * 1000)
    done = nasctl("status", "--run", "bad", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    every = nasctl("status", cwd=tmp_path)
    assert "Unreadable" in every.stderr
    assert "bad" in every.stderr


def test_space_tells_what_fits_before_anything_is_spent(tmp_path):
    arguments = ("space", "resnet", "--max-params", "80k", "--no-timing", "--json")
    report = json.loads(nasctl(*arguments, cwd=tmp_path).stdout)
    assert report["samples"] > 10**8
    assert 0 < report["share"]["value"] < 1
    assert report["share"]["standard_error"] < 0.01
    assert 40_000 <= report["params"]["min"] <= report["params"]["median"] <= report["params"]["max"] <= 80_000
    assert len(report["examples"]) == 5
    text = nasctl("space", "resnet", "--max-params", "80k", cwd=tmp_path).stdout
    assert "█" in text
    assert "A trial of" in text
    assert not (tmp_path / "runs").exists()


def test_a_call_in_this_process_is_as_one_of_its_own(finished, tmp_path):
    """Other tests rely on this: ``nasctl`` and ``nasctl_process`` give the same, and the first leaves nothing."""
    before = Path.cwd(), dict(os.environ), signal.getsignal(signal.SIGTERM), sys.stdout
    for arguments in (("status", "--run", "small"), ("show", 99), ("show",)):
        here, there = (call(*arguments, cwd=finished) for call in (nasctl, nasctl_process))
        assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)
    assert (Path.cwd(), dict(os.environ), signal.getsignal(signal.SIGTERM), sys.stdout) == before
    with pytest.raises(subprocess.TimeoutExpired):
        nasctl("search", *QUICK, "--trials", 100_000, "--epochs", 1000, cwd=tmp_path, timeout=1)
    assert (Path.cwd(), signal.getsignal(signal.SIGTERM), sys.stdout) == (before[0], *before[2:])


def test_a_search_without_a_finished_trial_fails_with_the_reasons(tmp_path):
    done = nasctl("search", *QUICK, "--trials", 2, "--trial-timeout", "0.01", "--run", "r", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("To give more time: nasctl resume r --trial-timeout 60s\n")
    for log in (tmp_path / "runs" / "r" / "logs").iterdir():
        assert "failed: stopped after" in log.read_text()
    assert "To resume: nasctl resume r --trial-timeout 60s\n" in nasctl("status", "--run", "r", cwd=tmp_path).stdout
    assert nasctl("resume", "r", "--trial-timeout", "60s", cwd=tmp_path).returncode == 0


def test_data_that_changed_or_went_away_stop_a_resume_before_it_begins(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"images": rng.integers(0, 255, (200, 8, 8), np.uint8), "labels": np.arange(200) % 2}
    np.savez(tmp_path / "set.npz", **arrays)
    arguments = ("search", *QUICK, "--data", "set.npz", "--trials", 2, "--trial-timeout", "0.01", "--run", "r")
    assert nasctl(*arguments, cwd=tmp_path).returncode == 1
    before = len(events_of(tmp_path / "runs" / "r"))
    np.savez(tmp_path / "set.npz", images=arrays["images"][::-1], labels=arrays["labels"])
    changed = nasctl("resume", "r", cwd=tmp_path)
    assert changed.returncode == 2
    assert "changed since run 'r' began" in changed.stderr
    (tmp_path / "set.npz").unlink()
    gone = nasctl("resume", "r", "--trials", 0, cwd=tmp_path)
    assert gone.returncode == 2
    assert "set.npz" in gone.stderr
    assert "--trials" in gone.stderr
    assert len(events_of(tmp_path / "runs" / "r")) == before


def test_two_searches_at_once_get_two_names_and_print_nothing_or_a_document_and_nothing_else(tmp_path):
    arguments = [NASCTL, "search", *QUICK, "--trials", "2", "--confirm", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*arguments, flag], cwd=tmp_path, **pipes) for flag in ("--quiet", "--json")]
    quiet, (printed, _) = (process.communicate(timeout=240) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert quiet == ("", "")
    document = json.loads(printed)
    assert document["trials"]["finished"] == 2
    names = {"vgg-digits-1", "vgg-digits-2"}
    assert document["run"] in names
    assert {path.name for path in (tmp_path / "runs").iterdir()} == names


def test_a_reader_that_goes_away_ends_the_output_and_not_the_search(tmp_path):
    shell = f"{NASCTL} search {' '.join(QUICK)} --trials 2 --confirm 0 --run piped | head -n 2"
    subprocess.run(["bash", "-o", "pipefail", "-c", shell], cwd=tmp_path, timeout=240, check=True)
    trials = json.loads(nasctl("trials", "--json", cwd=tmp_path).stdout)
    assert [trial["status"] for trial in trials] == ["finished"] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_says_how_to_resume(tmp_path, number):
    process = subprocess.Popen(
        [NASCTL, "search", *QUICK, "--trials", "400", "--run", "long", "--profile"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    log = tmp_path / "runs" / "long"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and _count(log) >= 2):
        time.sleep(0.1)
    os.killpg(process.pid, number)  # as the terminal does: to the workers too
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "nasctl resume long" in errors
    assert "Traceback" not in errors
    finished = _count(log)
    assert "Stopped: interrupted" in nasctl("status", "--run", "long", cwd=tmp_path).stdout
    done = nasctl("resume", "long", "--trials", finished + 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert _count(log) >= finished + 2
    profile = json.loads(nasctl("status", "--run", "long", "--json", cwd=tmp_path).stdout)["profile"]
    assert profile["search"]["sessions"] == 2 and profile["trials"]["trials"] == _count(log)
    assert "the search itself in 2 sessions" in done.stdout and "Workers busy" in done.stdout.splitlines()[-1]


def _count(folder: Path) -> int:
    """Results in the log."""
    try:
        return sum(isinstance(event, TrialEnded) for event in events_of(folder))
    except Exception:
        return 0
