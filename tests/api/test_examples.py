"""Every public name says what it is for, with types, keeps to them in one sentence, and its examples run."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

import nas
from nas.api.keywords import as_flags
from nas.config import SearchConfig
from nas.config.settings import settings_of
from nas.errors import UsageError
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


ODD = (None, 5, object(), "", [])
OF_SCIKIT_LEARN = {f"NASClassifier.{name}" for name in ("fit", "predict", "predict_proba", "decision_function")}
RECORDS = {"Classical"}


def calls(place: Path, searcher: nas.Searcher) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Everything public that takes arguments, and good ones; where that would train, beside one that is refused."""
    runs = place / "runs"
    run, study = nas.load_run("vgg-digits-1", runs=runs), nas.load_run("hand-nets-digits-1", runs=runs)
    space = searcher.space
    (sample,) = space.sample()
    nas.Searcher(space, trials=2, folder=runs / "asked").close()
    images, labels = numpy.zeros((20, 8, 8), numpy.uint8), numpy.arange(20) % 2
    export = {"out": place}  # taken
    return {
        "search": (nas.search, {"space": "vgg", "trials": 0, "runs": runs}),
        "baseline": (nas.baseline, {"study": "hand-nets", "seeds": 0, "runs": runs}),
        "train": (nas.train, {"arch": "vgg-digits-1", "seeds": 0, "runs": runs}),
        "find_learning_rate": (nas.find_learning_rate, {"arch": "vgg-digits-1", "loss": "?", "runs": runs}),
        "classical": (nas.classical, {"imbalance": 0}),
        "load_run": (nas.load_run, {"name": "vgg-digits-1", "runs": runs}),
        "load_model": (nas.load_model, {"folder": place / "model"}),
        "load_plugin": (nas.load_plugin, {"source": "docs/examples/mse_loss.py"}),
        "space": (nas.space, {"name": "vgg"}),
        "space.sample": (space.sample, {}),
        "space.cost": (space.cost, {"sample": sample}),
        "space.text": (space.text, {"sample": sample}),
        "space.build": (space.build, {"sample": sample}),
        "Search": (nas.Search, {"record": run.record}),
        "Search.trial": (run.trial, {"id": "1"}),
        "Search.resume": (run.resume, {"workers": 0}),
        "Search.export": (run.export, export),
        "Search.report": (run.report, {"out": str(place / "r.html")}),
        "Study": (nas.Study, {"record": study.record}),
        "Study.trial": (study.trial, {"id": "model2-setting2.1"}),
        "Study.resume": (study.resume, {"workers": 0}),
        "Study.report": (study.report, {"out": str(place / "r.html")}),
        "Study.member": (study.member, {"name": "model2-setting2"}),
        "Trial": (nas.Trial, {"run": run.record, "record": run.best._record}),
        "Trial.export": (run.best.export, export),
        "Member": (nas.Member, {"run": study.record, "name": "model2-setting2"}),
        "Searcher": (nas.Searcher, {"space": space, "folder": runs / "asked"}),  # taken
        "Searcher.load": (nas.Searcher.load, {"folder": runs / "asked", "trials": 0}),
        "Searcher.tell": (lambda **given: searcher.tell(**{"trial": searcher.ask(), "score": 0.5, **given}), {}),
        "NASClassifier": (lambda **given: nas.NASClassifier(**{"trials": 0, **given}).fit(images, labels), {}),
    }  # fmt: skip


def test_a_value_of_another_kind_is_refused_by_name_wherever_one_is_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    searcher = nas.Searcher(nas.space("vgg", input_shape=(1, 8, 8)), trials=20)
    known = calls(place, searcher)
    of = {"NASClassifier": nas.NASClassifier, "Searcher.tell": searcher.tell}  # scikit-learn checks nothing before fit
    named = [label for name in nas.__all__ for label, part in parts(name) if takes_arguments(part)]
    assert set(named) - known.keys() == OF_SCIKIT_LEARN | RECORDS
    for label, (call, good) in known.items():
        for name, parameter in inspect.signature(of.get(label, call)).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            for value in ODD:
                told = refused(call, {**good, name: value})
                if type(value) is object:
                    assert told and name in dict(told.errors), f"{label}({name}={value}): {told}"
    searcher.close()


def takes_arguments(part: Any) -> bool:
    if isinstance(part, property) or not callable(getattr(part, "__func__", part)):
        return False
    parameters = inspect.signature(getattr(part, "__func__", part)).parameters
    return bool(parameters.keys() - {"self", "cls"})


def refused(call: Callable[..., Any], given: dict[str, Any]) -> UsageError | None:
    """Error of a call that cannot be carried out; None if it was."""
    try:
        call(**given)
    except UsageError as error:
        return error
    return None


def test_a_setting_of_another_kind_is_refused_by_name(place: Path) -> None:
    settings = [name for name in as_flags({}, SearchConfig, []) if name not in ("space", "run", "runs")]
    assert settings_of(SearchConfig).keys() - {"space"} <= set(settings)
    told = refused(nas.search, {"space": "vgg", **dict.fromkeys(settings, object())})
    assert told and set(settings) <= dict(told.errors).keys()
