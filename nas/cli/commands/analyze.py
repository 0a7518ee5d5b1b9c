"""``nasctl analyze``."""

from __future__ import annotations

from pathlib import Path

from nas.api.settings import Flags
from nas.cli.commands.evaluate import other_images
from nas.cli.commands.output import console, print_json
from nas.errors import UsageError, attempt, nearest
from nas.report.live import decoding
from nas.runs.named import one_name


def analyze_command(flags: Flags) -> int:
    """Ask a network, draw what it does, say where that lies; the exit code, 1 if some images could not be read."""
    from nas.analysis.make import OWN, analyze_subject
    from nas.analysis.subject import subject_of
    from nas.config import raise_all
    from nas.report.documents import document
    from nas.report.tables.analysis import print_analysis

    model, out, split = one_name(flags["model"], flags["run"]), flags["out"], flags["split"]
    if model is None:
        raise UsageError(
            "Name a network: nasctl analyze MODEL, where MODEL is a run ('nasctl status' lists them), RUN:TRIAL, "
            "STUDY:MEMBER, or an exported folder."
        )
    errors: list[str] = []
    data = attempt(lambda: other_images(flags), errors)
    if split is not None and flags["data"] is not None:
        errors.append("--split names a split of the run's own data: leave out --data, or --split.")
    elif split not in (None, *OWN):
        errors.append(f"--split {split!r} is not a split to analyze.{nearest(split, OWN)} Give rank or test.")
    raise_all(errors)
    subject = subject_of(model, Path(flags["runs"]))
    layers = [name for typed in (flags["layers"] or "").split(",") if (name := typed.strip())]
    with decoding(console, flags["json"], "images") as progress:
        found, folder = analyze_subject(
            subject, None if out is None else Path(out), split=split or OWN[0], data=data, tsne=flags["tsne"],
            layers=layers, progress=progress,
        )  # fmt: skip
    if flags["json"]:
        print_json({"folder": str(folder), **document(found)})
    else:
        print_analysis(console, found, folder)
    return 1 if found.num_broken else 0
