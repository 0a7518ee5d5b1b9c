"""Files and modules that register things: executed once, whole or not at all; runs that name them find them again."""

from __future__ import annotations

import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from plugin_files import EXAMPLES, space_file

import nas.plugins
from nas.config import Recipe
from nas.config.recipe_rules import check_name, unknown_names
from nas.errors import PluginError
from nas.plugins import installed, loading, trust
from nas.plugins.loading import added_names, load_plugin
from nas.plugins.record import Plugin
from nas.plugins.recorded import obey, resolve_plugins
from nas.testing import check_plugin
from search_spaces import get_space, space_names


def test_the_blocks_of_the_page_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    page = EXAMPLES.parent / "plugins.md"
    loss, python = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert loss == (EXAMPLES / "mse_loss.py").read_text()
    monkeypatch.chdir(page.parents[1])
    exec(python, {})
    for decorator in re.findall(r"^\| `(register_\w+)", page.read_text(), re.MULTILINE):
        assert hasattr(nas.plugins, decorator)


def test_a_file_is_executed_once_and_found_under_its_new_place(tmp_path: Path) -> None:
    path = space_file(tmp_path)
    first = load_plugin(path)
    assert first.plugin.source == str(path) and [one.name for one in first.added] == ["one"]
    assert "one" in space_names() and get_space("one").line({"width": 4}) == "width 4"
    assert load_plugin(str(path)) == first
    moved = path.rename(tmp_path / "moved.py")
    assert load_plugin(moved).added == first.added
    assert loading.with_loaded() == (Plugin(source=str(moved), sha256=first.plugin.sha256),)


def test_threads_that_load_one_file_execute_it_once(tmp_path: Path) -> None:
    file = space_file(tmp_path / "slow.py", "slow")
    file.write_text(f"import time\n{file.read_text()}\ntime.sleep(0.2)\n")
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(load_plugin, [file, file])
    assert first is second and "slow" in space_names()


def test_a_file_that_changed_takes_the_place_of_what_it_was(tmp_path: Path) -> None:
    load_plugin(space_file(tmp_path))
    load_plugin(space_file(tmp_path, widths="(4, 8, 16)"))
    assert get_space("one").num_samples == 3
    space_file(tmp_path).write_text("1 / 0")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        load_plugin(tmp_path / "my_space.py")
    assert get_space("one").num_samples == 3


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x = (\n", 1, "SyntaxError: '(' was never closed"),
        ("def f():\n    return missing\nf()\n", 2, "NameError: name 'missing' is not defined"),
        ("import sys\nsys.exit('no')\n", 2, "SystemExit: no"),
        ("import beside\n", 1, "ModuleNotFoundError: No module named 'beside'"),
        (
            "from nas.plugins import register_loss as loss\nloss('ce')(len)\n",
            2,
            "ValueError: the loss 'ce' exists already",
        ),
        ("from nas.plugins import x\n", 1, "ImportError: cannot import name 'x' from 'nas.plugins'"),
    ],
)
def test_what_cannot_be_executed_is_one_message_and_registers_nothing(
    text: str, line: int, said: str, tmp_path: Path
) -> None:
    path = space_file(tmp_path, "half")
    (tmp_path / "beside.py").touch()
    before = path.read_text()
    path.write_text(before + text)
    with pytest.raises(PluginError) as caught:
        load_plugin(path)
    (error,) = caught.value.messages
    assert error.startswith(f"The plug-in {path} cannot be loaded: {said}") and "\n" not in error
    assert f"({path}:{before.count(chr(10)) + line})." in error
    assert ("A plug-in is one file, or an installed module" in error) == ("beside" in text)
    assert "half" not in space_names() and not loading.loaded() and not trust.trust_file().exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere.py", "nowhere.py: there is no such file. Give a Python file"),
        ("no_such_module", "no_such_module: there is no such module. Give an installed one"),
        ("my_space", "there is no such module. Did you mean the file my_space.py?"),
        ("is not a valid name", "that is neither the name of a module nor a file"),
    ],
)
def test_what_is_not_there_is_told(source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PluginError) as caught:
        load_plugin(source)
    assert said in str(caught.value)


def test_two_plugins_of_one_name_are_both_named(tmp_path: Path) -> None:
    first, second = space_file(tmp_path, file="a.py"), space_file(tmp_path, file="b.py", widths="(4, 6)")
    load_plugin(first)
    with pytest.raises(PluginError) as caught:
        load_plugin(second)
    assert str(caught.value).startswith(f"The plug-in {second} cannot be loaded")
    assert f"the search space 'one' exists already, from {first}" in str(caught.value)
    with pytest.raises(PluginError, match="the search space 'vgg' exists already: give this one another name"):
        load_plugin(space_file(tmp_path, "vgg", "c.py"))


def test_names_of_plugins_are_accepted_where_settings_are_checked() -> None:
    assert check_name("loss", "mse") and unknown_names(Recipe(loss="mse"))
    load_plugin(EXAMPLES / "mse_loss.py")
    assert added_names("loss") == ["mse"]
    assert not check_name("loss", "mse") and not unknown_names(Recipe(loss="mse"))
    assert (
        "custom-ce, focal" in check_name("loss", "msee")[0] and "Did you mean 'mse'?" in check_name("loss", "msee")[0]
    )


def test_a_module_comes_by_name_and_crosses_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space_file(tmp_path, file="package_of_a_test/spaces.py")
    (tmp_path / "package_of_a_test" / "__init__.py").write_text("from package_of_a_test import spaces")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_plugin("package_of_a_test").plugin == Plugin(source="package_of_a_test")
    crossing = loading.carried()
    loading.forget()
    assert "one" not in space_names() and "package_of_a_test.spaces" not in sys.modules
    loading.take_over(crossing)
    assert "one" in space_names()
    assert not trust.trust_file().exists()


def test_other_processes_execute_what_was_loaded_here_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    path = space_file(tmp_path)
    load_plugin(path)
    crossing = loading.carried()
    loading.forget()
    path.write_text("raise SystemExit")
    loading.take_over(crossing)
    assert get_space("one").num_samples == 2


def test_the_list_of_trusted_files_is_the_users_alone(tmp_path: Path) -> None:
    one, other = (load_plugin(space_file(tmp_path, name, f"{name}.py")).plugin for name in ("one", "two"))
    path = trust.trust_file()
    assert path.is_relative_to(tmp_path / "state")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [line.split() for line in path.read_text().splitlines()] == [[p.sha256, p.source] for p in (one, other)]
    loading.forget()
    assert trust.is_trusted(str(one.sha256)) and not trust.is_trusted("0" * 64)


def test_a_run_executes_only_what_the_user_vouched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = load_plugin(space_file(tmp_path)).plugin
    loading.forget()
    assert resolve_plugins([plugin], run="r") == (plugin,) and "one" in space_names()
    loading.forget()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    with pytest.raises(PluginError, match=r"which you never gave by --plugin, so it is not executed.*--trust-plugin"):
        resolve_plugins([plugin], run="r")
    assert "one" not in space_names()
    obey(trusting=True)
    assert resolve_plugins([plugin], run="r") == (plugin,)
    loading.forget()
    obey()
    assert resolve_plugins([plugin], run="r") == (plugin,), "it was vouched for"


def test_what_raises_is_not_vouched_for(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    plugin = Plugin(source=str(path), sha256=loading.sha256_of(path.read_bytes()))
    obey(trusting=True)
    for _ in range(2):
        with pytest.raises(PluginError, match="cannot be loaded: ZeroDivisionError"):
            resolve_plugins([plugin], run="r")
        assert not trust.is_trusted(str(plugin.sha256)) and not trust.trust_file().exists()


def test_changed_and_missing_files_are_named_with_the_way_to_resume(tmp_path: Path) -> None:
    path = space_file(tmp_path)
    plugin = load_plugin(path).plugin
    loading.forget()
    other = space_file(tmp_path, widths="(4, 8, 16)")
    with pytest.raises(PluginError, match=f"{path} has changed since run 'r' recorded it.*--plugin {path}"):
        resolve_plugins([plugin], run="r")
    assert resolve_plugins([plugin], run="r") if load_plugin(other) else None  # given again, it stands for what it was
    assert resolve_plugins([plugin], run="r")[0].sha256 != plugin.sha256
    loading.forget()
    path.unlink()
    with pytest.raises(PluginError, match=f"Run 'r' uses the plug-in {path}, which is not there.*--plugin PATH"):
        resolve_plugins([plugin], run="r")
    renamed = load_plugin(space_file(tmp_path, file="renamed.py", widths="(4, 8, 12)")).plugin
    with pytest.raises(PluginError, match="is not there"):
        resolve_plugins([plugin], run="r")  # nobody said that it is the one
    obey([renamed])
    assert resolve_plugins([plugin], run="r") == (renamed,)
    extra = load_plugin(space_file(tmp_path, "two", "two.py")).plugin
    obey([extra])
    assert resolve_plugins([renamed], run="r") == (renamed, extra)


def test_installed_plugins_are_found_and_a_broken_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space_file(tmp_path, "from-a-package", "good_of_a_test.py")
    (tmp_path / "bad_of_a_test.py").write_text("import nothing_such")
    for name in ("good", "bad"):
        info = tmp_path / f"{name}_of_a_test-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-of-a-test\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[nasctl.plugins]\n{name} = {name}_of_a_test\n")
    monkeypatch.syspath_prepend(tmp_path)
    installed.forget()
    with pytest.warns(UserWarning, match="'bad' of the package bad-of-a-test 1.2 is left out.*nothing_such"):
        installed.load_installed()
    assert "from-a-package" in space_names()
    assert loading.with_loaded() == (), "a run need not name it"
    assert [one.plugin.source for one in loading.carried()] == ["good_of_a_test"], "workers load it"
    assert load_plugin("good_of_a_test").plugin in loading.with_loaded()


def test_the_contract_tests_run_over_what_a_file_registers(tmp_path: Path) -> None:
    lines: list[str] = []
    check_plugin(EXAMPLES / "mse_loss.py", lines.append)
    check_plugin(EXAMPLES / "objective.py", lines.append)
    assert lines == ["loss 'mse': keeps its promises", "objective 'top_k': keeps its promises"]

    (tmp_path / "broken.py").write_text(
        "from nas.plugins import register_loss\n"
        "@register_loss('half')\n"
        "def half(recipe, counts):\n"
        "    return lambda logits, labels: logits.mean()\n"  # one number, not one for each image
    )
    with pytest.raises(AssertionError, match="loss 'half'"):
        check_plugin(tmp_path / "broken.py", lines.append)
    assert lines[-1].startswith("loss 'half': BROKEN: ")


def test_a_file_that_registers_nothing_is_no_plugin(tmp_path: Path) -> None:
    path = tmp_path / "helpers.py"
    path.write_text("def loss(x):\n    return x\n")
    with pytest.raises(PluginError, match=r"helpers\.py registers nothing"):
        load_plugin(path)
    assert not loading.loaded() and not trust.trust_file().exists()
