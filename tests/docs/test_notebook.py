"""The notebook of docs/ runs, cell by cell, and prints what it shows where that is the same on every machine.

To write its outputs anew, after a change that is meant: ``python tests/docs/test_notebook.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "python.ipynb"
# A program without a file, as a notebook is one: it is read from standard input.
PROGRAM = """
import ast, contextlib, io, json, sys
shown = []
for source in json.loads(sys.argv[1]):
    printed, body = io.StringIO(), ast.parse(source)
    last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(body, "cell", "exec"), globals())
        value = None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), globals())
    shown.append(printed.getvalue() + ("" if value is None else repr(value)))
print(json.dumps(shown))
"""


def cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs_in(folder: Path) -> list[str]:
    """Output of each cell and the value of its last expression."""
    sources = json.dumps(["".join(cell["source"]) for cell in cells()])
    done = subprocess.run(
        [sys.executable, "-", sources], input=PROGRAM, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [str(output) for output in json.loads(done.stdout)]


def stored(cell: dict[str, Any]) -> str:
    return "".join("".join(output.get("text") or output["data"]["text/plain"]) for output in cell["outputs"])


def test_the_notebook_shows_what_it_prints(tmp_path: Path) -> None:
    outputs = outputs_in(tmp_path)
    assert len(outputs) > 5
    for cell, output in zip(cells(), outputs, strict=True):
        assert stored(cell), "".join(cell["source"])
        if "varies" not in cell["metadata"].get("tags", ()):
            assert output == stored(cell)


def test_the_notebook_runs_in_a_kernel(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="no Jupyter is installed")
    nbclient = pytest.importorskip("nbclient", reason="no Jupyter is installed")
    pytest.importorskip("ipykernel", reason="no Jupyter is installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    told = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, ran in zip(cells(), told, strict=True):
        if "varies" not in cell["metadata"].get("tags", ()):
            assert stored(ran) == stored(cell)


def write_outputs() -> None:
    """The notebook with the outputs that its cells have here."""
    import tempfile

    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    with tempfile.TemporaryDirectory() as folder:
        outputs = outputs_in(Path(folder))
    for number, (cell, output) in enumerate(zip(code, outputs, strict=True), start=1):
        result = {"output_type": "execute_result", "execution_count": number, "metadata": {}}
        shown: dict[str, Any] = {**result, "data": {"text/plain": output.splitlines(keepends=True)}}
        if "print(" in "".join(cell["source"]):
            shown = {"output_type": "stream", "name": "stdout", "text": output.splitlines(keepends=True)}
        cell["execution_count"], cell["outputs"] = number, [shown]
    NOTEBOOK.write_text(json.dumps(notebook, indent=1) + "\n")


if __name__ == "__main__":
    write_outputs()
