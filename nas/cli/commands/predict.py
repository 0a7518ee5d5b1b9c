"""``nasctl predict``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nas.cli.parsing import positive
from nas.errors import UsageError

FORMS = ("full", "id-label")


def predict_command(
    model: str,
    paths: list[str],
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
    from nas.export.predict import is_exported, load_model, model_of_run, request_of_run
    from nas.export.predict_script import Layout, pictures_of, predictions, prior_of, write_predictions

    best = positive("top", top) or 1
    if csv and as_json:
        raise UsageError("--csv and --json are two ways to write the same: give one of them.")
    if csv_format not in (None, *FORMS):
        raise UsageError(f"--csv-format {csv_format} is unknown; there are {' and '.join(FORMS)}.")
    if csv_format and not csv:
        raise UsageError("--csv-format says how --csv writes: give --csv FILE too.")
    try:
        wanted = prior_of(prior)
        pictures = pictures_of(paths)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    if is_exported(model):
        classifier = load_model(model, prior=wanted, int8=int8)
    else:
        classifier = model_of_run(request_of_run(model, Path(runs), int8=int8), prior=wanted, int8=int8)
    layout = Layout(classifier.classes, best, csv_format or "full")
    if as_json:
        broken: list[str] = []
        clipped: list[str] = []
        rows = [
            {"path": path, "scores": dict(zip(classifier.classes, map(float, scores), strict=True))}
            for path, scores in predictions(classifier, pictures, broken, clipped)
        ]
        print(json.dumps({"pictures": rows, "broken": broken, "clipped": sorted(clipped)}, indent=2))
        return 1 if broken else 0
    if csv is None:
        return write_predictions(classifier, pictures, sys.stdout, layout, as_csv=False)
    try:
        with Path(csv).open("w", newline="", encoding="utf-8") as output:
            return write_predictions(classifier, pictures, output, layout, as_csv=True)
    except OSError as error:
        raise UsageError(f"{csv} cannot be written: {error.strerror}. Give --csv another file.") from error
