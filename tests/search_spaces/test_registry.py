"""The one registry of every kind of plug-in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces.errors import UsageError
from search_spaces.registry import SPACES, Registry


def colours() -> Registry[int]:
    return Registry("colour", "Colours", [("red", 1), ("green", 2)])


def test_entries_are_found_by_name_in_the_order_of_adding() -> None:
    registry = colours()
    registry.add("blue", 3)
    assert list(registry.items()) == [("red", 1), ("green", 2), ("blue", 3)]
    assert registry.find("green") == registry["green"] == 2
    assert "red" in registry and "black" not in registry and len(registry) == 3


@pytest.mark.parametrize(
    ("name", "hint"), [("gren", " Did you mean 'green'?"), ("GREEN", " Did you mean 'green'?"), ("xyz", "")]
)
def test_an_unknown_name_is_told_the_nearest_and_all(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        colours().find(name)
    assert caught.value.messages == (f"There is no colour {name!r}.{hint} Colours: red, green.",)
    with pytest.raises(KeyError):
        colours()[name]


def test_a_name_is_given_once() -> None:
    registry = colours()
    with pytest.raises(ValueError, match="colour 'red' exists already"):
        registry.add("red", 9)
    assert registry["red"] == 1
    with pytest.raises(ValueError, match="exists already"):
        Registry("colour", "Colours", [("red", 1), ("red", 2)])


def test_a_replacement_ends_with_its_block_also_by_an_exception() -> None:
    registry = colours()
    with pytest.raises(MemoryError), registry.replaced("red", 9):
        assert registry.find("red") == 9
        raise MemoryError
    assert registry["red"] == 1
    with pytest.raises(KeyError), registry.replaced("black", 9):
        pass
    assert "black" not in registry


def test_families_are_imported_at_the_first_look_and_their_names_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "colour_families"
    package.mkdir()
    (package / "__init__.py").write_text("from search_spaces.registry import Registry\n")
    made: Registry[str] = Registry("colour", "Colours", families="colour_families")
    for name in ("a", "b"):
        (package / f"{name}.py").write_text(
            f"import sys\nsys.modules['registry_of_the_test'].add('{'zy'[name == 'b']}', '{name}')\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "registry_of_the_test", made)  # type: ignore[arg-type]
    assert "colour_families.a" not in sys.modules
    made.add("x", "own")
    assert list(made.items()) == [("x", "own"), ("y", "b"), ("z", "a")]
    assert len(made) == 3


def test_spaces_are_not_imported_before_they_are_asked_for() -> None:
    code = """
import sys, search_spaces
before = {name for name in sys.modules if name.startswith("search_spaces.families.")}
assert not before, before
assert search_spaces.space_names() == sorted(search_spaces.space_names()) != []
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert list(SPACES) == sorted(SPACES)
