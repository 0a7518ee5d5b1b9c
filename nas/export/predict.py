"""Answers of exported networks, by onnxruntime alone: of a folder, or of a run, which is exported for it first."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nas.errors import UsageError
from nas.export.predict_script import Classifier

__all__ = ["Classifier", "classifier_of", "load_model"]


def load_model(folder: Path | str) -> Classifier:
    """The network that ``nasctl export`` wrote to ``folder``; needs no torch. UsageError if it is not one."""
    folder = Path(folder)
    for name in ("model.json", "model.onnx"):
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder} is not an exported network: it has no {name}. Make one: nasctl export --best --out model/"
            )
    try:
        classifier = Classifier(folder)
        known = "preprocessing" in classifier.card["input"]
    except Exception as error:  # of JSON, or of onnxruntime's own, which has many kinds
        raise UsageError(f"{folder} is damaged, or not an exported network: {error}") from error
    if not known:
        raise UsageError(
            f"{folder} was written by an older nasctl and does not say how pictures are prepared: export it again."
        )
    return classifier


def classifier_of(name: str, runs: Path) -> Classifier:
    """The network of an exported folder, or of ``RUN`` (its winner, or its best trial so far) or ``RUN:TRIAL``.

    UsageError, RunError or ExportError if there is none such.
    """
    if Path(name).is_dir() and (Path(name) / "model.json").exists():
        return load_model(name)
    from nas.export.from_run import export_trial
    from nas.runs import load_run

    run, _, trial = name.partition(":")
    with tempfile.TemporaryDirectory(prefix="nasctl-predict-") as folder:
        export_trial(load_run(run, runs), trial or None, Path(folder, "model"))
        return load_model(Path(folder, "model"))
