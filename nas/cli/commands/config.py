"""``nasctl config``: the settings of a run as a file that makes it again."""

from __future__ import annotations

from pathlib import Path

from nas.errors import RunError
from nas.runs import SearchRun, as_study, load_run


def config_command(name: str | None, runs: str) -> None:
    """Print the settings of a run as TOML. RunError if flags cannot say what it was made with."""
    run = load_run(name, Path(runs))
    if run.is_foreign:
        raise RunError(f"Run {run.name!r} was made by a Python program (nas.Searcher): no flags repeat it.")
    if isinstance(run, SearchRun):
        from nas.cli.written_settings import settings_text

        print(settings_text(run), end="")
    elif as_study(run).trains_one:
        from nas.cli.written_training import training_text

        print(training_text(as_study(run)), end="")
    else:
        from nas.cli.written_study import study_text

        print(study_text(as_study(run)), end="")
