"""Every command of the README runs, and what it prints has the shape that the README shows."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from photos import write_photos

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
MAKE_SEARCH = "nasctl search --space densenet --max-params 150k"
SHORTER = ["--trials", "2", "--epochs", "1", "--confirm", "1"]  # what is added to a search: speed alone


def blocks() -> list[tuple[str, list[str]]]:
    """(command, lines of output shown) in the order of the README."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def words(line: str) -> list[str]:
    """A line without its figures, names and rules: what must be there again."""
    return [word for word in re.findall(r"[A-Za-z]{3,}", line) if word not in ("densenet", "digits")]


def run(command: str, folder: Path, home: Path) -> str:
    environment = {**os.environ, "HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}"}
    arguments = [str(home) + part[1:] if part.startswith("~/") else part for part in shlex.split(command)]
    if arguments[:2] == ["nasctl", "search"]:
        arguments += SHORTER
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def serves_pages(folder: Path) -> None:
    """TensorBoard answers, and lists the runs' trials."""
    process = subprocess.Popen(
        [str(BIN / "tensorboard"), "--logdir", "runs", "--port", "0"], cwd=folder,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        address = next(m[1] for line in process.stderr if (m := re.search(r"(http://\S+)", line)))
        deadline, runs = time.monotonic() + 30, ""
        while "tensorboard" not in runs and time.monotonic() < deadline:
            with urllib.request.urlopen(f"{address.rstrip('/')}/data/runs") as answer:
                runs = answer.read().decode()
        assert "resnet-cifar10-1/tensorboard/1" in runs
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_every_command_of_the_tour_runs_and_prints_what_the_readme_shows(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "work"
    folder.mkdir()
    write_photos(home / "data" / "cifar10")
    run(MAKE_SEARCH, folder, home)
    for command, shown in blocks():
        if command.startswith("tensorboard"):
            serves_pages(folder)
            continue
        printed = run(command, folder, home)
        if command == "nasctl resume":
            assert "done already" in printed
        if shown:
            assert words(shown[0]) == words(printed.splitlines()[0]), command
            heads = [line for line, below in itertools.pairwise(shown) if below.startswith("──")]
            for head in heads:  # the tables have the columns that are shown
                assert any(words(line)[:5] == words(head)[:5] for line in printed.splitlines()), (command, head)


def test_make_offers_what_the_readme_names():
    for target in ("search", "test"):
        assert f"make {target}" in README
    dry = subprocess.run(["make", "-n", "search", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    assert MAKE_SEARCH in dry.stdout
    assert MAKE_SEARCH in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_files_that_are_named_exist():
    for name in re.findall(r"\]\(([\w./]+)\)", README) + re.findall(
        r"(?<!/)(?:benchmarks|tests|search_spaces)/[\w./]+\w", README
    ):
        assert (ROOT / name).exists(), name
    assert not re.search(r"@[A-Z]+@", README), "a sample of output is missing"
