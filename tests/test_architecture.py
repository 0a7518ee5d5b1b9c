"""The shape of the program: who may import whom, who knows which library, how long a file may grow."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["search_spaces", "budgets", "baselines", "nas"]  # from the lowest up; nothing imports upward
VENDORS = {  # the only modules that may import a library
    "nni": {"nas.strategies.nni_multi_trial", "nas.strategies.nni_one_shot"},
    "tensorboard": {"nas.report.tensorboard.trial", "nas.report.tensorboard.supernet"},
    "onnx": {"nas.export.formats", "nas.export.embedding"},
    "onnxruntime": {"nas.export.loader_script", "nas.export.predict_script", "nas.export.int8"},
    "thop": {"nas.export.check"},
    "imblearn": {"nas.data.oversampling.smote"},
    "typer": {"nas.cli.app", "nas.cli.baseline_app", "nas.cli.flags", "nas.cli.runs_app", "nas.cli.verification_app"},
    "matplotlib": {"nas.report.plots", "nas.analysis.figures"},
    "filelock": {"nas.files"},
}


PACKAGES = {  # inside nas, from the lowest up: a package imports only what stands above it in this list
    "errors": 0, "units": 0, "stopwatch": 0, "awake": 0, "files": 0, "lazy": 0, "text": 0, "arguments": 0, "closing": 0,
    "photos": 0,
    "plugins": 1, "config": 2, "data": 3, "training": 4, "trials": 5, "executors": 6, "autotune": 7, "runs": 8,
    "strategies": 9, "export": 10, "analysis": 11, "engine": 12, "report": 13, "api": 14, "testing": 14, "cli": 15,
}  # fmt: skip


@cache
def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for layer in LAYERS
        for path in sorted((ROOT / layer).rglob("*.py"))
    }


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of what a file imports, in functions too."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def test_imports_point_down_and_vendors_are_quarantined():
    for name, path in modules().items():
        layer = LAYERS.index(name.partition(".")[0])
        for other in imports(path):
            package = other.partition(".")[0]
            if package in LAYERS:
                assert LAYERS.index(package) <= layer, f"{name} imports {other}, which lies above it"
            if package in VENDORS:
                assert name in VENDORS[package], f"{name} imports {package}; only {VENDORS[package]} may"
        assert not imports(path) & {"nas.cli", "nas.cli.app"} or name.startswith("nas.cli"), name


def test_packages_of_nas_import_what_stands_below_them():
    of_nas = {name: path for name, path in modules().items() if name.startswith("nas.")}
    assert len(of_nas) > 100
    gathering = {"nas.plugins"}  # names from everywhere for authors of plug-ins, imported when they are first used
    for name, path in of_nas.items():
        package = name.split(".")[1]
        if name in gathering:
            continue
        for other in imports(path):
            parts = other.split(".")
            if parts[0] == "nas" and len(parts) > 1 and parts[1] in PACKAGES and parts[1] != package:
                assert PACKAGES[parts[1]] < PACKAGES[package], f"{name} imports {other}, which does not lie below it"


def test_every_package_of_nas_has_its_place_and_says_what_belongs_there():
    packages = {name.split(".")[1] for name in modules() if name.startswith("nas.")}
    assert packages <= PACKAGES.keys()
    for name in packages:
        place = ROOT / "nas" / name
        if place.is_dir():
            assert ast.get_docstring(ast.parse((place / "__init__.py").read_text())), name


def test_few_modules_lie_directly_in_nas():
    assert len(list((ROOT / "nas").glob("*.py"))) <= 12


def test_modules_do_not_import_each_other_in_a_circle():
    known = modules()
    graph = {
        name: {other for other in imports(path) if other in known and other != name and not name.startswith(other)}
        for name, path in known.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_a_file_can_be_read_in_one_sitting():
    """300 lines are a reason to look whether a file holds two things; what is read together may be longer."""
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_functions_fit_a_screen_and_take_few_positional_arguments():
    for name, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno <= 64, f"{name}.{node.name} is longer than a screen"
                if name not in (
                    "nas.cli.app",
                    "nas.cli.baseline_app",
                    "nas.cli.runs_app",
                ):  # their arguments are the flags
                    number = len(node.args.args)
                    assert number <= 7, f"{name}.{node.name} has {number} positional arguments"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("search_spaces", {"torch", "nni"}),
        ("budgets", {"torch", "nni"}),
        ("nas.data.oversampling", {"torch", "imblearn", "sklearn", "PIL"}),
        ("nas", {"torch", "numpy", "pydantic"}),
        ("nas.plugins", {"torch", "numpy", "pydantic"}),
        ("nas.config", {"torch"}),
        ("nas.training.loop", {"sqlite3", "nas.executors", "nas.runs", "nas.data", "nas.data.sources", "nas.trials"}),
        ("nas.runs", {"torch", "rich", "nni"}),
        ("nas.analysis.record", {"torch", "matplotlib", "sklearn", "PIL"}),
        ("nas.analysis.make", {"matplotlib", "sklearn", "onnx", "onnxruntime"}),
        ("nas.engine.search", {"torch", "nni", "tensorboard", "onnx", "nas.report", "nas.cli"}),
        ("nas.trials.run_trial", {"nni", "typer", "rich", "pytorch_lightning", "nas.cli"}),
        ("nas.api.settings", {"torch", "nni", "pandas"}),
        ("nas.cli", {"torch", "nni", "numpy", "pydantic"}),
    ],
)
def test_importing_a_module_loads_nothing_it_should_not(module, forbidden):
    code = f"import sys, {module}; print(' '.join({sorted(forbidden)!r} & sys.modules.keys()))".replace(
        "[", "{"
    ).replace("]", "}")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # it loads modules too
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=plain)
    assert done.stdout.split() == []
