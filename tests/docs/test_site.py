"""The site's navigation and reference are complete; the workflow and the citation say what pyproject.toml says.

That the site builds, and that its links lead somewhere, is what ``make docs`` checks.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import nas

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
REFERENCE = "".join((DOCS / name).read_text() for name in ("reference.md", "reference-plugins.md"))


def pages(nav: Any) -> Iterator[str]:
    """Every page below an entry of the navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for below in nav.values() if isinstance(nav, dict) else nav:
            yield from pages(below)


def made(commands: str) -> set[str]:
    """The targets that commands of a shell ask make for."""
    return set(re.findall(r"^ *make ([\w-]+)$", commands, re.MULTILINE))


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert len(listed) == len(set(listed))
    ours = {page.name for page in DOCS.glob("*.md")}
    assert ours <= set(listed)
    for other in set(listed) - ours - {"examples.md"}:  # the site's hook makes that page
        assert (ROOT / other).is_file(), other


def test_every_public_name_is_in_the_reference() -> None:
    named = set(re.findall(r"^::: ([\w.]+)$", REFERENCE, re.MULTILINE))
    assert {f"nas.{name}" for name in nas.__all__} <= named
    assert {"nas.analysis", "nas.errors", "nas.plugins", "nas.testing"} <= named  # with all that is public in them


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["license"]) == (PROJECT["name"], PROJECT["license"])
    assert citation["version"] == PROJECT["version"] == nas.__version__


def test_the_workflow_runs_every_python_that_is_supported_and_targets_that_exist() -> None:
    first, end = (int(bound) for bound in re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["include"]
    newest = [job["python"] for job in matrix if job["versions"] == "newest"]
    assert newest == [f"3.{minor}" for minor in range(first, end)]
    assert {job["python"] for job in matrix if job["versions"] == "lowest"} == {newest[0]}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    called = made("\n".join(step.get("run", "") for job in WORKFLOW["jobs"].values() for step in job["steps"]))
    assert called == made((ROOT / ".ci" / "run").read_text()) == {"test", "lint", "docs"}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert called <= targets


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    printed = subprocess.run([sys.executable, ROOT / ".ci" / "lowest.py"], capture_output=True, text=True, check=True)
    lines = printed.stdout.split()
    assert {"torch==2.11.*", "numpy==2.0.*"} <= set(lines)
    bounded = {re.split(r"\W=", each.replace("-", "_"))[0] for each in PROJECT["dependencies"] if ">=" in each}
    assert {line.partition("==")[0].replace("-", "_") for line in lines} == bounded - {"thop"}


@pytest.mark.parametrize("form", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")), ids=lambda form: form.stem)
def test_issue_forms_have_what_github_asks_for(form: Path) -> None:
    parts = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert set(parts) <= {"blank_issues_enabled", "contact_links"}
        return
    assert parts["name"] and parts["description"]
    fields = [each for each in parts["body"] if each["type"] != "markdown"]
    assert len({each["id"] for each in fields}) == len(fields) > 1
    assert all(each["attributes"]["label"] for each in fields)
    assert all(set(each) <= {"type", "id", "attributes", "validations"} for each in parts["body"])
