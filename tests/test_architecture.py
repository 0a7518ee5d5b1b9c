"""The shape of the program: who may import whom, who knows which library, how long a file may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["search_spaces", "budgets", "baselines", "nas"]  # from the lowest up; nothing imports upward
VENDORS = {  # the only modules that may import a library
    "nni": {"nas.nni_bridge", "nas.nni_oneshot"},
    "tensorboard": {"nas.tensorboard", "nas.tensorboard_supernet"},
    "onnx": set(),
    "onnxruntime": {"nas.export_loader"},
    "thop": {"nas.export_check"},
    "imblearn": {"nas.oversampling.smote"},
    "typer": {"nas.cli", "nas.baseline_cli", "nas.flags"},
    "matplotlib": {"nas.plots"},
}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for layer in LAYERS
        for path in sorted((ROOT / layer).rglob("*.py"))
    }


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full names of what a file imports, in functions too unless told otherwise."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("name", modules())
def test_imports_point_down_and_vendors_are_quarantined(name):
    imported = imports(modules()[name])
    layer = LAYERS.index(name.partition(".")[0])
    for other in imported:
        package = other.partition(".")[0]
        if package in LAYERS:
            assert LAYERS.index(package) <= layer, f"{name} imports {other}, which lies above it"
        if package in VENDORS:
            assert name in VENDORS[package], f"{name} imports {package}; only {VENDORS[package]} may"
    assert "nas.cli" not in imported


def test_modules_do_not_import_each_other_in_a_circle():
    known = modules()
    graph = {
        name: {other for other in imports(path) if other in known and other != name and not name.startswith(other)}
        for name, path in known.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("name", modules())
def test_a_file_can_be_read_in_one_sitting(name):
    assert len(modules()[name].read_text().splitlines()) <= 300


@pytest.mark.parametrize("name", modules())
def test_functions_fit_a_screen_and_take_few_positional_arguments(name):
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 64, f"{name}.{node.name} is longer than a screen"
            if name not in ("nas.cli", "nas.baseline_cli"):  # their arguments are the flags
                assert len(node.args.args) <= 7, f"{name}.{node.name} has {len(node.args.args)} positional arguments"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("search_spaces", {"torch", "nni"}),
        ("budgets", {"torch", "nni"}),
        ("nas.oversampling", {"torch", "imblearn", "sklearn", "PIL"}),
        ("nas.search", {"torch", "nni", "tensorboard", "onnx"}),
        ("nas.worker", {"nni", "typer", "rich", "pytorch_lightning"}),
        ("nas.cli", {"torch", "nni", "numpy", "pydantic"}),
    ],
)
def test_importing_a_module_loads_nothing_it_should_not(module, forbidden):
    code = f"import sys, {module}; print(' '.join({sorted(forbidden)!r} & sys.modules.keys()))".replace(
        "[", "{"
    ).replace("]", "}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
