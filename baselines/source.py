"""The text of a fixed network as plain torch, for people to read and change: its classes, as their file has them."""

from __future__ import annotations

import ast
import inspect
import json
import sys

from baselines.registry import Construction, Shape

MOST_IN_A_LINE = 112  # of 120, behind eight blanks


def network_source(construction: Construction, input_shape: Shape) -> tuple[list[str], str]:
    """The imports and the definitions of ``Network``, whose instances are what ``construction`` makes.

    Of the file it is taken from there are the parts that the network needs. They may import torch and torchvision.
    """
    text = inspect.getsource(construction.module)
    body = ast.parse(text).body
    for definition in body:
        if isinstance(definition, ast.ClassDef | ast.FunctionDef):
            definition.decorator_list = []  # they register it, and are left out
    named = {name: node for node in body for name in _names(node)}
    needed, waiting = set[ast.stmt](), [construction.made_by]
    while waiting:
        node = named.get(waiting.pop())
        if node is not None and node not in needed:
            needed.add(node)
            waiting += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    used = {part.id for node in needed for part in ast.walk(node) if isinstance(part, ast.Name)}
    imports = [line for node in body if isinstance(node, ast.Import | ast.ImportFrom) and (line := _import(node, used))]
    parts = [_segment(text, node) for node in body if node in needed and not isinstance(node, ast.Assign)]
    constants = [_segment(text, node) for node in body if node in needed and isinstance(node, ast.Assign)]
    network = _network(construction, input_shape)
    return imports, "\n\n\n".join([*(["\n".join(constants)] if constants else []), *parts, network]) + "\n"


def is_standard(line: str) -> bool:
    """True if an import is of Python's own library."""
    return line.split()[1].split(".")[0] in sys.stdlib_module_names


def _network(construction: Construction, input_shape: Shape) -> str:
    arguments = [
        f"{name}={json.dumps(value) if isinstance(value, str) else repr(value)}"  # in double quotes
        for name, value in construction.arguments.items()
    ]
    call = f"super().__init__({', '.join(arguments)})"
    if len(call) > MOST_IN_A_LINE:
        call = "\n".join(["super().__init__(", *(f"            {argument}," for argument in arguments), "        )"])
    classes = construction.arguments["num_classes"]
    shape = ", ".join(map(str, input_shape))
    return (
        f"class Network({construction.made_by}):\n"
        f'    """Images (N, {shape}) to logits (N, {classes})."""\n\n'
        f"    def __init__(self) -> None:\n        {call}"
    )


def _names(node: ast.stmt) -> list[str]:
    """Names that a statement at the top of a file defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _import(node: ast.Import | ast.ImportFrom, used: set[str]) -> str:
    """The import of what is used, empty if nothing is."""
    aliases = [alias for alias in node.names if (alias.asname or alias.name).split(".")[0] in used]
    if not aliases or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
        return ""
    names = ", ".join(f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in aliases)
    return f"from {node.module} import {names}" if isinstance(node, ast.ImportFrom) else f"import {names}"


def _segment(text: str, node: ast.stmt) -> str:
    """A statement as it is written, a comment behind it included."""
    assert node.end_lineno is not None
    return "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])
