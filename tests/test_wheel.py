"""The wheel: what it holds, and that it works for somebody who has nothing else of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas import __version__

ROOT = Path(__file__).parent.parent
PACKAGES = {"nas", "baselines", "budgets", "search_spaces"}

SEARCH = """
import nas

run = nas.search("vgg", max_params="20k", trials=1, confirm=0, epochs=1, workers=1, device="cpu", no_floor=True)
run.export("model")
print(nas.__file__, run.state, sep="\\n")
"""


@pytest.fixture(scope="session")  # the slow test runs at the end, when those of its module are long over
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what is kept in the repository, without a download."""
    place = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, place / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", place, place / "source"], check=True, capture_output=True, cwd=place)
    (found,) = place.glob("*.whl")
    return found


def test_the_wheel_holds_the_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    about = f"nasctl-{__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == PACKAGES | {about}
    assert all(
        name.endswith((".py", "py.typed", "html/style.css", "html/script.js"))
        for name in names
        if not name.startswith(about)
    )
    expected = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert expected == {name for name in names if name.endswith(".py")}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(wheel, tmp_path):
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files do not count
    install = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", "--no-index"]
    # Elsewhere it is installed already, in place; only this environment's own packages are looked at.
    subprocess.run(
        [*install, "--no-compile", "--ignore-installed", wheel], check=True, capture_output=True, cwd=tmp_path
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHON"))}

    def run(*command: object, program: str = "nasctl") -> str:
        started = [tmp_path / "venv" / "bin" / program, *map(str, command)]
        done = subprocess.run(started, capture_output=True, text=True, cwd=tmp_path, env=plain, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == f"nasctl {__version__}\n"
    (tmp_path / "search.py").write_text(SEARCH)  # one process for both, since each imports torch
    where, state = run("search.py", program="python").splitlines()
    assert Path(where).is_relative_to(tmp_path / "venv") and state == "done"
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / "picture.png")
    assert run("predict", "model", "picture.png").startswith("picture.png")
