"""Architectures as people give them: a trial of a search, or a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, StrictInt, StrictStr, ValidationError

from nas.errors import UsageError
from nas.runs import SearchRun, load_search
from nas.runs.named import split_name
from search_spaces import Sample, get_space


@dataclass(frozen=True)
class Architecture:
    """The architecture ``sample`` of ``space``, and the ``run`` that found it; None if it was in a file."""

    space: str
    sample: Sample
    run: SearchRun | None = None


class _Content(BaseModel):
    """What a file must hold; it may hold more, as what ``nasctl show --json`` prints and a ``model.json`` do."""

    space: StrictStr
    sample: dict[str, StrictInt | StrictStr]


def load_architecture(text: str, runs: Path) -> Architecture:
    """What ``--arch`` names: a JSON file, ``RUN:TRIAL``, or ``RUN``, its winner or the best so far.

    UsageError if there is none, with every fault of a file's sample.
    """
    path = Path(text).expanduser()
    if path.suffix == ".json" or (path.exists() and not path.is_dir()):
        return _read(text, path)
    name, trial_id = split_name(text)
    run = load_search(name, runs)
    run.use_plugins()
    best = [run.winner.trial] if run.winner else [trial.id for trial in run.best(1)]
    if not trial_id and not best:
        raise UsageError(f"--arch {text}: run {name!r} has no finished trial yet.")
    return Architecture(run.config.space, run.trial(trial_id or best[0]).sample, run)


def _read(text: str, path: Path) -> Architecture:
    try:
        found = _Content.model_validate(json.loads(path.read_bytes()))
        get_space(found.space).validate(found.sample)
    except OSError as error:
        raise UsageError(f"--arch {text} cannot be read: {error.strerror or error}.") from error
    except UsageError as error:
        raise UsageError(*(f"--arch {text}: {fault}" for fault in error.faults)) from error
    except (ValidationError, ValueError, RecursionError) as error:
        raise UsageError(
            f'--arch {text} holds no architecture. It takes JSON: {{"space": NAME, "sample": {{LABEL: VALUE, ...}}}}, '
            "as 'nasctl show RUN:TRIAL --json > FILE' writes it."
        ) from error
    return Architecture(found.space, dict(found.sample))
