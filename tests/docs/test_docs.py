"""README and docs: every command runs and prints what the page shows; links, files, names and flags exist."""

from __future__ import annotations

import ast
import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from command_line import nasctl
from photos import write_photos
from typer.testing import CliRunner

from nas.cli.app import app

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
INDEX = ROOT / "docs" / "index.md"
DESIGN = ROOT / "docs" / "design.md"
MANUAL = [README, *(INDEX.parent / name for name in re.findall(r"\]\(([\w-]+\.md)\)", INDEX.read_text()))]
PAGES = [*dict.fromkeys(MANUAL), INDEX, ROOT / "CONTRIBUTING.md"]  # in the order in which they are read
BIN = Path(sys.executable).parent
MAKE_SEARCH = "nasctl search --space densenet --max-params 150k"
SHORTER = [
    "--trials",
    "2",
    "--epochs",
    "1",
    "--confirm",
    "2",
    "--max-params",
    "20k",
]  # what is added to the first search: speed alone
SHORTEST = ["--trials", "1", "--epochs", "1", "--confirm", "0", "--workers", "1", "--no-floor"]  # to the others
OURS = "nas|baselines|budgets|search_spaces|tests|benchmarks|docs"


def fences(page: Path) -> list[tuple[str, str]]:
    """(language, text) of every fenced block of a page."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```\w*\n.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def tour() -> list[tuple[str, list[list[str]]]]:
    """Each command of the console blocks once, as first met, with the outputs that pages show of it."""
    found: dict[str, list[list[str]]] = {MAKE_SEARCH: []}
    for page in PAGES:
        for language, text in fences(page):
            shown: list[str] = []
            for line in text.splitlines() if language == "console" else []:
                if line.startswith("$ "):
                    shown = []
                    found.setdefault(line[2:], []).append(shown)
                else:
                    shown.append(line)
    return list(found.items())


def named_commands() -> Iterator[tuple[str, list[str]]]:
    """(page, arguments) of every nasctl command that a page names outside console blocks."""
    for page in PAGES:
        lines = [
            line.removeprefix("$ ") for language, text in fences(page) if not language for line in text.split("\n")
        ]
        for text in [*lines, *re.findall(r"`([^`]+)`", prose(page).replace("\n", " "))]:
            if text.startswith("nasctl "):
                yield page.name, shlex.split(text, comments=True)[1:]


def words(line: str) -> list[str]:
    """A line without its numbers, names and rules: what must be there again."""
    return [word for word in re.findall(r"[A-Za-z]{3,}", line) if word not in ("densenet", "digits")]


def run(command: str, folder: Path) -> str:
    program, *arguments = (os.path.expanduser(part) for part in shlex.split(command))  # noqa: PTH111  # as a shell does
    if arguments[0] == "search":
        arguments += SHORTER if command == MAKE_SEARCH else SHORTEST
    if arguments[0] == "train":
        arguments += ["--epochs", "1", "--seeds", "1", "--workers", "1"]
    if program == ".venv/bin/python":
        place = arguments if arguments[0] == "-m" else [str(ROOT / arguments[0]), *arguments[1:]]
        script = [sys.executable, *place]
        done = subprocess.run(script, cwd=folder, capture_output=True, text=True, check=False)
    else:
        assert program == "nasctl"
        done = nasctl(*arguments, cwd=folder)
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


def looks_like(printed: str, shown: list[str]) -> bool:
    """True if output begins as the page shows it, and its tables have the columns that are shown."""
    lines = [words(line) for line in printed.splitlines()]
    heads = [words(line)[:5] for line, below in itertools.pairwise(shown) if below.startswith("──")]
    return lines[0] == words(shown[0]) and all(any(line[:5] == head for line in lines) for head in heads)


@pytest.mark.slow
def test_every_command_of_the_pages_runs_and_prints_what_they_show(tmp_path, monkeypatch):
    home, folder = tmp_path / "home", tmp_path / "work"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    write_photos(home / "data" / "cifar10")
    (folder / "docs").symlink_to(ROOT / "docs")
    for command, outputs in tour():
        if command.startswith("tensorboard"):
            serves_pages(folder)
            continue
        printed = run(command, folder)
        if command == "nasctl resume":
            assert "done already" in printed
        for shown in outputs:
            assert not shown or looks_like(printed, shown), command
    assert (folder / "runs" / "densenet-digits-1" / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert (folder / "model" / "model.onnx").is_file()


def test_what_is_shown_and_is_not_printed_is_noticed():
    table = ["Runs", "run  state  trials", "──────────────────", "a-1  done   12/12"]
    assert looks_like("\n".join(table), table)
    assert not looks_like("\n".join(["All runs", *table[1:]]), table)
    assert not looks_like("\n".join(["Runs", "run  trials", *table[2:]]), table)


@pytest.mark.parametrize(("page", "arguments"), list(named_commands()))
def test_commands_that_are_named_exist_with_their_flags(page, arguments):
    command, rest = typer.main.get_command(app), list(arguments)
    while rest and not rest[0].startswith("-") and (commands := getattr(command, "commands", None)):
        assert rest[0] in commands, f"{page}: there is no command {rest[0]!r} in nasctl {' '.join(arguments)}"
        command = commands[rest.pop(0)]
    if rest and "--help" not in rest:
        try:
            command.make_context("nasctl", rest)
        except Exception as error:  # click's own, which newer versions of typer carry under another name
            # The text may name a command without all that it needs.
            assert type(error).__name__ == "MissingParameter", f"{page}: nasctl {' '.join(arguments)}: {error}"


@pytest.mark.parametrize(
    ("page", "arguments"),
    [
        (page, a)
        for page, a in named_commands()
        if (a[0] == "search" and "--space" in a) or a[:2] == ["baseline", "run"]
    ],
)
def test_settings_that_are_named_are_refused_for_nothing_but_a_taken_name(page, arguments, tmp_path):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "file").touch()
    there = ["--runs", str(tmp_path / "runs"), "--run", "taken"]
    data = ["--data", "digits"] if "--data" in arguments else []  # the page's own is not at hand
    refused = CliRunner().invoke(app, [*arguments, *data, *there]).exception
    assert str(refused).startswith("Run 'taken' exists already"), page
    assert "\n" not in str(refused), page


def test_make_offers_what_the_readme_names():
    for target in ("search", "test"):
        assert f"make {target}" in README.read_text()
    dry = subprocess.run(["make", "-n", "search", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    assert MAKE_SEARCH in dry.stdout
    assert MAKE_SEARCH in README.read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_short_and_begins_with_what_it_is_for(page):
    lines = page.read_text().splitlines()
    assert len(lines) <= (90 if page == DESIGN else 150)
    assert lines[0].startswith("# ")
    if page.parent == INDEX.parent:
        assert re.match(r"\w", lines[2]), "a sentence comes before anything else"


def test_every_page_is_listed():
    pages = {page.name for page in INDEX.parent.glob("*.md")} - {INDEX.name}
    assert pages <= {page.name for page in PAGES}
    assert pages <= set(re.findall(r"\]\(docs/([\w-]+\.md)\)", README.read_text()))


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    texts = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_that_are_named_exist(page):
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", prose(page))):
        if not target.startswith("https://"):
            path = (page.parent / target) if target else page
            assert path.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in headings(path), f"{page.name}: {target}#{anchor}"
    for name in re.findall(rf"(?<![\w/.~])(?:{OURS})/[\w./-]*\w", page.read_text()):
        assert (ROOT / name).exists(), f"{page.name}: {name}"
    assert not re.search(r"@[A-Z]+@|TODO|TBD", page.read_text()), "something is missing"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_of_scripts_that_are_named_exist(page):
    for script, flags in re.findall(r"(benchmarks/\w+\.py)((?: [^`|]*)?)[`|]", page.read_text()):
        for flag in re.findall(r"--\w[\w-]*", flags.partition(" -- ")[0]):
            assert f'"{flag}"' in (ROOT / script).read_text(), f"{page.name}: {script} {flag}"


def is_defined(name: str) -> bool:
    """True if a dotted name is a module of ours, or a function, class, method or value in one; imports nothing."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if file.is_file():
            return _holds(ast.parse(file.read_text()).body, parts[length:])
    return False


def _holds(body: list[ast.stmt], names: list[str]) -> bool:
    """True if statements define the first name, and what it names the next, and so on."""
    if not names:
        return True
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if getattr(node, "name", None) == names[0]:
            return _holds(getattr(node, "body", []), names[1:])
        if len(names) == 1 and any(isinstance(target, ast.Name) and target.id == names[0] for target in targets):
            return True
    return False


def test_a_name_that_nothing_defines_is_noticed():
    assert is_defined("nas.executors.local.LocalExecutor.submit")
    assert is_defined("nas.config.recipe.RECIPES")
    assert not is_defined("nas.executors.local.LocalExecutor.no_such_method")
    assert not is_defined("nas.no_such_module.run")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_the_program_exist(page):
    for name in re.findall(r"`((?:nas|baselines|budgets|search_spaces)\.[\w.]+)`", page.read_text()):
        assert is_defined(name), f"{page.name}: {name}"


def test_the_way_of_one_trial_is_at_most_ten_calls_that_exist():
    way = DESIGN.read_text().partition("## The way of one trial")[2].partition("\n## ")[0]
    calls = re.findall(r"^\d+\. `([\w.]+)`", way, re.MULTILINE)
    assert 5 <= len(calls) <= 10
    assert calls[0].startswith("nas.cli.")
    assert calls[-1].startswith("nas.training.")
    assert all(is_defined(name) for name in calls)


def test_the_maps_of_the_packages_are_in_the_order_that_holds():
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text())
    (order,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PACKAGES"
    ]
    contributing = next(text for _, text in fences(ROOT / "CONTRIBUTING.md") if text.startswith("cli"))
    for text in (" > ".join(line.split()[0] for line in contributing.splitlines()), fences(DESIGN)[0][1]):
        places = [order[name] for name in re.findall(r"\w+", text.replace("nas ", "").split("baselines")[0])]
        assert len(places) >= 12
        assert places == sorted(places, reverse=True)
    there = {path.parent.name for path in (ROOT / "nas").glob("*/__init__.py")} - {"testing"}
    assert there <= {line.split()[0] for line in contributing.splitlines()}
