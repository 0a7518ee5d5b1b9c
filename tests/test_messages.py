"""Every message of the program in one file, ``messages.txt``, for a reader who wants to see them together.

Run ``python tests/test_messages.py`` to write the file anew after a message has changed, and read what changed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LISTED = Path(__file__).with_name("messages.txt")
PACKAGES = ("nas", "baselines", "budgets", "search_spaces")
HEAD = """Every sentence that users read: errors, notices, help and reports, by module in the order of the source.
{...} is what is put in. Written by "python tests/test_messages.py"; a test compares.
"""
WORDS = 4  # a text of fewer is a name, a column or a part of a sentence
LINES = 12  # a text of more is a program or a page


def test_the_file_holds_every_message() -> None:
    written = LISTED.read_text(encoding="utf-8")
    assert written == listed(), "a message changed: run python tests/test_messages.py and read the difference"


def test_messages_are_found_wherever_they_stand(tmp_path: Path) -> None:
    source = '''
"""A docstring is no message at all."""
HELP = "Number of trials of a search"
def check(name, most):
    """Nor is that of a function."""
    if most < 0:
        raise UsageError(f"There is no space {name!r}. " "Choose one of " + ", ".join(NAMES) + " or write your own.")
    log.debug("too short")
    return re.compile(r"^(nas|ctl) [a-z]+ [a-z]+ [a-z]+$")
'''
    assert [*messages(ast.parse(source))] == [
        "Number of trials of a search",
        "There is no space {name!r}. Choose one of {', '.join(NAMES)} or write your own.",
    ]


def listed() -> str:
    """The file's text: messages by module."""
    parts = [HEAD]
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        found = [*dict.fromkeys(messages(ast.parse(path.read_text(encoding="utf-8"))))]
        if found:
            parts.append("\n".join([f"## {path.relative_to(ROOT).as_posix()}", *found, ""]))
    return "\n".join(parts)


def messages(tree: ast.AST) -> Iterator[str]:
    """The texts of a module that are sentences, docstrings and patterns excepted, with {...} for what is put in."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            continue
        text = _text(node) if isinstance(node, ast.expr) else None
        if text is None:
            todo += reversed([*ast.iter_child_nodes(node)])
        elif text.count("\n") <= LINES and len(re.findall(r"(?<![\w{}-])[A-Za-z]{2,}(?![\w}(])", text)) >= WORDS:
            yield text.strip().replace("\n", "\\n")


def _text(node: ast.expr) -> str | None:
    """A text with what is put into it by name; None if the expression is none, or has no words of its own."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "" for part in parts)
        case ast.FormattedValue(value=value, conversion=conversion, format_spec=spec):
            inner = ast.unparse(value)
            return f"{{{inner}{f'!{chr(conversion)}' if conversion >= 0 else ''}{f':{_text(spec)}' if spec else ''}}}"
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            parts = [_text(left), _text(right)]
            if parts == [None, None]:
                return None
            sides = zip(parts, (left, right), strict=True)
            return "".join(f"{{{ast.unparse(side)}}}" if part is None else part for part, side in sides)
    return None


if __name__ == "__main__":
    LISTED.write_text(listed(), encoding="utf-8")
