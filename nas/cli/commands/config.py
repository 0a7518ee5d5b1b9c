"""``nasctl config``: the settings of a search as a file that makes it again."""

from __future__ import annotations

from pathlib import Path

from nas.cli.written_settings import settings_text
from nas.errors import RunError
from nas.runs import SearchRun, load_run


def config_command(name: str | None, runs: str) -> None:
    """Print the settings of a run as TOML. RunError if flags cannot say what it was made with."""
    run = load_run(name, Path(runs))
    if not isinstance(run, SearchRun):
        raise RunError(
            f"Run {run.name!r} is a baseline run, whose log holds its networks and recipes and not the flags it was "
            f"started with. Give these again: nasctl baseline run {run.config.study} --seed {run.config.seed} ..., or "
            "keep them in a file of your own: --config."
        )
    print(settings_text(run), end="")
