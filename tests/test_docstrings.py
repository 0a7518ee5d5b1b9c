"""Docstrings: a first line that is an imperative or a noun phrase, and Args, Returns and Raises of public functions."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ["search_spaces", "budgets", "baselines", "nas"]
PUBLIC = ["nas", "nas.testing", "nas.plugins", "budgets", "search_spaces", "baselines"]
GIVES = re.compile(r"(Return|Parse)\b")  # a first line that says what comes back
QUESTION = re.compile(r"(What|How|Which|Where|From|When|Why|Whether)\b")


def test_no_module_begins_as_a_question() -> None:
    for folder in (*PACKAGES, "tests", "benchmarks", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            told = ast.get_docstring(ast.parse(path.read_text())) or ""
            assert not QUESTION.match(told), f"{path}: say what the module holds, in a noun phrase, not: {told[:60]}"


def test_no_function_or_class_begins_as_a_question() -> None:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    told = ast.get_docstring(node) or ""
                    assert not QUESTION.match(told), f"{path}: {node.name}: an imperative, a noun phrase or 'True if'"


def test_public_functions_name_every_argument() -> None:
    """In Google's style. One obvious argument needs no word."""
    checked = 0
    for module in map(importlib.import_module, PUBLIC):
        for name in module.__all__:
            function = getattr(module, name)
            if not inspect.isfunction(function):
                continue
            told = inspect.getdoc(function) or ""
            sections = dict(re.findall(r"^(Args|Returns|Raises):\n((?:    .*\n?|\n(?=    ))+)", told, re.MULTILINE))
            named = re.findall(r"^    (?:\*\*)?(\w+): ", sections.get("Args", ""), re.MULTILINE)
            signature, where = inspect.signature(function), f"{module.__name__}.{name}"
            wanted = list(signature.parameters)
            assert named == wanted or (len(wanted) <= 1 and not named), f"{where}: {named}, not {wanted}"
            gives = signature.return_annotation not in ("None", None)
            assert not gives or "Returns" in sections or GIVES.match(told), f"{where} says nothing of its result"
            checked += 1
    assert checked > 40
