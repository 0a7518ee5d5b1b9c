"""Whatever goes wrong with files, streams and numbers: one message, an exit code, nothing half written."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from command_line import NASCTL, fails, nasctl, refused, told

from nas.analysis.figures import Figure, as_written
from nas.cli.misuse import foreseen
from nas.data.cache import cache_root
from nas.errors import DataError
from nas.executors.local import LONGEST_SLEEP
from nas.files import at_home, write_atomically
from nas.plugins.trust import trust_file
from nas.report import plots

LONG = "x" * 300
DIGITS = "9" * 5000
SEARCH = ("search", "--space", "vgg", "--max-params", "20k", "--epochs", 1, "--trials", 1, "--dry-run")


@pytest.mark.parametrize("command", [
    (*SEARCH, "--run", LONG), (*SEARCH, "--runs", LONG), (*SEARCH, "--data", LONG), ("status", LONG),
    ("status", "--runs", LONG), ("data", "digits", "--plot", f"{LONG}.png"), ("data", "digits", "--write", LONG),
    ("space", "vgg", "--arch", LONG), ("predict", LONG, "x.png"), ("status", "--plugin", LONG),
    ("baseline", "run", "losses", "--weights", LONG),
    (*SEARCH, "--data", "~nouser/x"), ("search", "--config", "~nouser/x"), ("space", "vgg", "--arch", "~nouser/x"),
    ("status", "--plugin", "~nouser/x.py"), ("baseline", "run", "losses", "--weights", "~nouser/x"),
    ("data", "digits", "--write", "/dev/null/x"), ("data", "digits", "--plot", "/proc/x.png"),
], ids=lambda command: " ".join(map(str, command))[:60])  # fmt: skip
def test_a_path_that_cannot_be_is_refused(tmp_path, command):
    assert len(fails(*command, cwd=tmp_path).splitlines()) == 1
    assert not any(path.name.startswith(".tmp") for path in tmp_path.iterdir())


@pytest.mark.parametrize("flag, value, says", [
    ("--workers", "1000000000", "at most 1024"), ("--trials", DIGITS, "..."), ("--epochs", "1" + "0" * 30, "at most"),
    ("--learning-rate", "1e308", "at most"), ("--penalty", "1e308", "--penalty"),
    ("--alpha-learning-rate", "1e308", "--alpha-learning-rate"), ("--max-params", "50kB", "write 50k"),
    ("--max-macs", "10MB", "write 10M"), ("--time-limit", DIGITS, "is not a duration"),
])  # fmt: skip
def test_a_number_out_of_all_bounds_is_refused_by_its_flag(tmp_path, flag, value, says):
    message = fails(*SEARCH, "--strategy", "darts", flag, value, cwd=tmp_path)
    assert flag in message and says in message and len(message) < 300


def test_bytes_may_be_written_with_b(tmp_path):
    assert "50,000 bytes of weights" in told(tmp_path, *SEARCH, "--max-bytes", "50kB")


def test_files_that_hold_too_much_are_refused(tmp_path):
    (tmp_path / "deep.toml").write_text("x = " + "[" * 2_000)
    (tmp_path / "big.toml").write_text(f"trials = {DIGITS}")
    (tmp_path / "null.toml").write_text('runs = "a\\u0000b"\nspace = "vgg"\nmax-params = "20k"')
    assert "nested too deeply" in refused(tmp_path, "search", "--config", "deep.toml")
    assert "thousands of digits" in refused(tmp_path, "search", "--config", "big.toml")
    assert "null character" in refused(tmp_path, "search", "--config", "null.toml")


def test_the_plan_warns_of_a_batch_larger_than_the_set_and_of_a_high_rate(tmp_path):
    plan = told(tmp_path, *SEARCH, "--batch-size", 100_000, "--learning-rate", 100)
    assert "Caution --batch-size 100,000 is more than the 341 images" in plan
    assert "Caution --learning-rate 100 is far above what adam can train with" in plan
    assert "Caution" not in told(tmp_path, *SEARCH)


def test_suggestions_need_something_in_common(tmp_path):
    assert "Did you mean" not in fails(*SEARCH, "--recipe", "bla", cwd=tmp_path)
    assert "'accuracy'" in fails(*SEARCH, "--objective", "accurcy", cwd=tmp_path)


def test_a_search_outlasts_an_output_that_is_full_or_closed(tmp_path):
    def run(name: str, streams: str) -> subprocess.CompletedProcess[str]:
        words = f"--space vgg --max-params 20k --epochs 1 --trials 1 --confirm 0 --no-floor --device cpu --run {name}"
        return subprocess.run(
            f"{NASCTL} search {words} {streams}", shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=240,
            check=False,
        )  # fmt: skip

    full, closed = run("full", "> /dev/full"), run("closed", ">&- 2>&- <&-")
    assert (full.returncode, closed.returncode) == (1, 0)
    assert full.stderr.count("\n") == 1 and "standard output (No space left on device)" in full.stderr
    for name in ("full", "closed"):
        assert "done" in told(tmp_path, "status", name)


def test_without_a_home_the_cure_is_named(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "NASCTL_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])  # as in a container with a number for a user
    assert at_home("~/x") == Path("~/x") and not trust_file().is_file()
    with pytest.raises(DataError, match="NASCTL_CACHE"):
        cache_root(None)


@pytest.mark.parametrize("error, code, says", [
    (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/proc/.tmp-x.png-0123456789ab"), 2, "/proc/x.png: No"),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out"), 1, "No space left"),
    (OSError("odd"), 1, "The operating system refused: odd"), (MemoryError(), 1, "Out of memory"),
    (RecursionError("deep"), 2, "nested too deeply"), (OverflowError("int too large"), 2, "too large"),
])  # fmt: skip
def test_errors_of_the_system_are_one_message(error, code, says):
    known = foreseen(error)
    assert known is not None and known[1] == code and says in known[0] and "\n" not in known[0]


def test_only_what_is_foreseen_is_a_message():
    assert foreseen(KeyError("an error of the program")) is None


def test_a_device_is_written_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", "text")
    assert os.read(reader, 10) == b"text"
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    os.close(reader)


def test_a_wait_is_shorter_than_the_system_allows():
    assert LONGEST_SLEEP * 1000 < 2**31  # milliseconds of poll(2)


def test_spaces_are_json(tmp_path):
    assert nasctl("space", "--json", cwd=tmp_path).stdout.startswith("[")


def test_a_file_system_without_locks_is_named_and_left_as_it_was(tmp_path, monkeypatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    told(tmp_path, "data", "digits")  # so that they are in the cache, whose disk is another
    monkeypatch.setattr("fcntl.flock", flock)
    message = refused(tmp_path, *SEARCH[:-1], "--run", "new", "--no-floor", "--device", "cpu")
    assert "has no locks" in message and "choose --runs on another" in message
    assert not (tmp_path / "runs" / "new").exists()


def test_the_plot_of_a_comparison_draws_sizes_where_they_are(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    points = [plots.Point(f"$n_{n}$", "run", 5_649, 0.8, None) for n in range(3)]
    plots.sizes_plot(tmp_path / "x.png", "title", "accuracy", [*points, plots.Point("d", "run", 6_100, 0.7, None)])
    (axes,) = drawn[0].axes
    assert [float(line.get_xdata()[0]) for line in axes.lines] == [5_649, 5_649, 5_649, 6_100]
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 3
    legend = as_written(drawn[0]).legends[0]
    assert legend.get_texts()[0].get_text() == "1  run: $n_0$" and not legend.get_texts()[0].get_parse_math()
