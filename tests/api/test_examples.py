"""Every public name says what it is for, with types, and its examples run."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

import nas
from nas.export.from_run import request_of
from nas.export.write import write_for_prediction
from nas.plugins import loading


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the examples name: a search, a study, an exported network."""
    folder = tmp_path_factory.mktemp("examples")
    short: dict[str, Any] = {"epochs": 1, "workers": 1, "device": "cpu", "runs": folder / "runs"}
    found = nas.search("vgg", max_params="20k", trials=2, confirm=0, no_floor=True, run="vgg-digits-1", **short)
    nas.baseline("hand-nets", members="model2-setting2", seeds=1, run="hand-nets-digits-1", **short)
    (folder / "model").mkdir()
    write_for_prediction(request_of(found.record, None, folder / "model"), folder / "model", int8=False)
    (folder / "docs").symlink_to(Path(__file__).parents[2] / "docs")
    yield folder
    loading.forget()  # what the examples loaded


def parts(name: str) -> Iterator[tuple[str, Any]]:
    """A public name, and the public methods and properties of a class."""
    whole = getattr(nas, name)
    yield name, whole
    for base in inspect.getmro(whole) if inspect.isclass(whole) else ():
        if base.__module__.startswith("nas."):
            yield from ((f"{name}.{part}", each) for part, each in vars(base).items() if not part.startswith("_"))


def function_of(part: Any) -> Any:
    part = part.fget if isinstance(part, property) else getattr(part, "__func__", part)
    return inspect.unwrap(part) if callable(part) else None


@pytest.mark.parametrize("name", nas.__all__)
def test_a_public_name_is_described_and_typed(name: str) -> None:
    for label, part in parts(name):
        function = function_of(part)
        if function is None:
            continue
        assert inspect.getdoc(part), f"{label} has no docstring"
        if not inspect.isclass(function):
            parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
            untyped = [p.name for p in parameters if p.annotation is p.empty]
            assert not untyped and "return" in function.__annotations__, f"{label}: {untyped or 'its result'} untyped"


@pytest.mark.parametrize("name", nas.__all__)
def test_its_examples_run(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    monkeypatch.chdir(place)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    finder = doctest.DocTestFinder(recurse=False)
    tests = [
        test
        for label, part in parts(name)
        for test in finder.find(function_of(part), label, globs={"nas": nas, "numpy": numpy})
    ]
    for test in tests:
        assert runner.run(test, clear_globs=False).failed == 0, capsys.readouterr().out
    assert sum(len(test.examples) for test in tests), f"{name} has no example"
