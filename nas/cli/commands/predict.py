"""``nasctl predict``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nas.cli.parsing import positive
from nas.errors import UsageError


def predict_command(model: str, paths: list[str], runs: str, *, csv: str | None, top: str | None, as_json: bool) -> int:
    """Name the class of pictures, a row a picture; the exit code, 1 if some could not be read."""
    from nas.export.predict import classifier_of
    from nas.export.predict_script import pictures_of, predictions, write_predictions

    best = positive("top", top) or 1
    if csv and as_json:
        raise UsageError("--csv and --json are two ways to write the same: give one of them.")
    try:
        pictures = pictures_of(paths)
    except OSError as error:
        raise UsageError(str(error)) from error
    classifier = classifier_of(model, Path(runs))
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
        return write_predictions(classifier, pictures, sys.stdout, best, as_csv=False)
    try:
        with Path(csv).open("w", newline="", encoding="utf-8") as output:
            return write_predictions(classifier, pictures, output, best, as_csv=True)
    except OSError as error:
        raise UsageError(f"{csv} cannot be written: {error.strerror}. Give --csv another file.") from error
