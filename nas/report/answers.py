"""Pictures of what the networks of a study answer to the test images: ROC curves, embeddings, in two dimensions."""

from __future__ import annotations

from pathlib import Path

from baselines.studies import STUDIES
from nas.errors import NasctlError
from nas.runs import StudyRun, TrialRecord

PICTURES = ("roc", "embedding-pca", "embedding-tsne")
LEAST_NEIGHBOURS = 100  # images for t-SNE, which is about neighbourhoods of about 30


def draws_answers(run: StudyRun) -> bool:
    """True of a study that asks for these pictures."""
    return run.config.study in STUDIES and STUDIES[run.config.study].draws_answers


def draw_answers(paths: dict[str, Path], run: StudyRun, trial: TrialRecord) -> str | None:
    """Draw ``PICTURES`` of one training, by their names, asking its network about every test image once.

    None if they are there; else a sentence why not.
    """
    weights = run.weights(trial.id)
    if not weights.is_file():
        return f"No ROC curves of {trial.of}: the weights of {trial.id} were not kept."
    from nas.analysis import figures, views
    from nas.analysis.make import asked
    from nas.analysis.subject import of_run

    try:
        enough = sum(run.facts.counts["test"]) >= LEAST_NEIGHBOURS
        found, _, _ = asked(of_run(run, trial.id), "test", tsne=enough)
    except NasctlError as error:
        return f"No ROC curves of {trial.of}: {' '.join(str(error).split())}"
    figures.save(views.roc(found), paths["roc"])
    if found.embedding is not None:
        figures.save(views.embedding(found), paths["embedding-pca"])
        if found.embedding.tsne is not None:
            figures.save(views.embedding(found, "tsne"), paths["embedding-tsne"])
    return None
