"""``nasctl predict``."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nas.api.settings import positive
from nas.cli.streams import data_out
from nas.errors import UsageError
from nas.files import write_atomically

if TYPE_CHECKING:
    from nas.export.predict_script import Classifier

FORMS = ("full", "id-label")


def predict_command(
    model: str | None,
    paths: list[str],
    run: str | None,
    runs: str,
    *,
    csv: str | None,
    csv_format: str | None,
    top: str | None,
    prior: str | None,
    int8: bool,
    as_json: bool,
) -> int:
    """Name the class of pictures, a row a picture; the exit code, 1 if some could not be read."""
    from nas.export.predict import is_exported, load_model, model_of_run, request_of_run, typed_prior
    from nas.export.predict_script import Layout, pictures_of, write_predictions

    model, paths = model_and_paths(model, paths, run)
    best = _checked(csv, csv_format, top, as_json=as_json)
    wanted = typed_prior(prior)
    try:
        pictures = pictures_of(paths)
    except OSError as error:
        raise UsageError(str(error)) from error
    if is_exported(model):
        classifier = load_model(model, prior=wanted, int8=int8)
    else:
        classifier = model_of_run(request_of_run(model, Path(runs)), prior=wanted, int8=int8)
    if as_json:
        return _print_json(classifier, pictures)
    layout = Layout(classifier.classes, best, csv_format or "full")
    if csv is None:
        with data_out():
            return write_predictions(classifier, pictures, sys.stdout, layout, as_csv=False)
    output = io.StringIO(newline="")
    code = write_predictions(classifier, pictures, output, layout, as_csv=True)
    write_atomically(Path(csv), output.getvalue().encode("utf-8", "surrogateescape"))
    return code


def model_and_paths(model: str | None, paths: list[str], run: str | None) -> tuple[str, list[str]]:
    """Network and pictures named on the command line: with ``--run`` every word is a picture. UsageError if one of them
    is missing."""
    words = [word for word in (model, *paths) if word is not None]
    if run is not None and words[:1] != [run]:
        words = [run, *words]
    if len(words) < 2:
        raise UsageError(
            "Name a network and images: nasctl predict MODEL PATH..., where MODEL is an exported folder, "
            "or a run ('nasctl status' lists them)."
        )
    return words[0], words[1:]


def _checked(csv: str | None, csv_format: str | None, top: str | None, *, as_json: bool) -> int:
    """Number of classes that a row shows; UsageError for flags that contradict each other, or a file that is not
    ours."""
    best = positive("top", top) or 1
    if top and (as_json or csv_format == "id-label"):
        raise UsageError("--top says how many classes a row shows: --json gives all, and id-label one. Leave it out.")
    if csv and as_json:
        raise UsageError("--csv and --json are two ways to write the same: give one of them.")
    if csv_format not in (None, *FORMS):
        raise UsageError(f"--csv-format {csv_format} is unknown; the formats are {' and '.join(FORMS)}.")
    if csv_format and not csv:
        raise UsageError("--csv-format says how --csv writes: give --csv FILE too.")
    if csv:
        require_writable(Path(csv), "--csv")
    return best


def require_writable(path: Path, flag: str) -> None:
    """UsageError before any work if the file that ``flag`` names cannot be written."""
    place = path if path.exists() else path.absolute().parent
    if path.is_dir() or not os.access(place, os.W_OK):
        reason = "it is a folder" if path.is_dir() else f"{place} does not exist, or is not writable"
        raise UsageError(f"{path} cannot be written: {reason}. Give {flag} another file.")


def _print_json(classifier: Classifier, pictures: list[str]) -> int:
    """One document, written picture by picture: there may be many."""
    from nas.export.predict_script import predictions

    broken: list[str] = []
    clipped: list[str] = []
    print('{"pictures": [', end="")
    for number, (path, scores) in enumerate(predictions(classifier, pictures, broken, clipped)):
        row = {"path": path, "scores": dict(zip(classifier.classes, map(float, scores), strict=True))}
        print("," * (number > 0), json.dumps(row), sep="\n", end="")
    print(f'\n], "broken": {json.dumps(broken)}, "clipped": {json.dumps(sorted(clipped))}}}')
    return 1 if broken else 0
