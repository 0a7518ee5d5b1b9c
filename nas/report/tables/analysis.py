"""An analysis in words: what was looked at, how good it is, what to look into, and where the pictures are."""

from __future__ import annotations

from pathlib import Path

from nas.analysis.record import Analysis
from nas.report.metric_text import decimal
from nas.report.screen import Screen
from nas.report.tables.format import in_lines, make_table
from nas.units import counted

ROWS = 5  # classes with the lowest recall
SPLITS = {
    "rank": "the split rank, by which trials are ranked (--split test looks at test)",
    "test": "the test split",
    "given": "other images than the run's own",
}
PICTURES = {  # what the names of the files do not say
    "misclassified": "misclassified images, the most confident first, with Grad-CAM",
    "examples": "correctly classified images, with Grad-CAM",
    "augmented": "training images, original and augmented",
    "filters": "filters (bright: a large weight)",
    "confusion": "confusion matrix",
    "recall": "recall by class against its training images",
    "bars": "all images of a class beside those correctly classified",
    "roc": "ROC curves",
    "precision_recall": "precision-recall curves",
    "calibration": "confidence against accuracy",
    "embedding_pca": "embeddings (the input of the last layer), by PCA",
    "embedding_tsne": "the same by t-SNE",
}


def print_analysis(console: Screen, found: Analysis, folder: Path) -> None:
    """All of it, the answer first."""
    what = f"{found.run}:{found.trial}" if found.run else str(found.model)
    lines = [
        f"Network {what}: {found.network}",
        f"Images  {counted(found.num_images, 'image')} of {counted(found.num_classes, 'class', 'classes')} of "
        f"{found.data}: {SPLITS[found.split]}",
        f"Scores  accuracy {decimal(found.accuracy)}, balanced accuracy {decimal(found.balanced_accuracy)}, macro F1 "
        f"{decimal(found.macro_f1)}",
        f"Also    expected calibration error {decimal(found.calibration.ece)}; mean over classes: AUC "
        f"{decimal(found.roc.macro.area)}, average precision {decimal(found.pr.macro.area)}",
    ]
    if found.worst_pairs:
        pairs = [f"{found.classes[true]} as {found.classes[given]} ({n:,})" for true, given, n in found.worst_pairs[:3]]
        lines.append(f"Errors  most often: {', '.join(pairs)}")
    console.print(in_lines(console, lines), highlight=False, soft_wrap=True)
    console.print(_worst(found))
    files = make_table(f"Pictures in {folder}", ("file",), (), "shows")
    for name, file in found.pictures.items():
        files.add_row(file, PICTURES.get(name, ""))
    console.print(files)
    if found.layer is None:
        console.print(
            "No layer of the network has a feature map larger than 1x1: there is no Grad-CAM.", style="yellow"
        )
    for remark in found.remarks:
        console.print(remark, style="yellow", highlight=False)
    console.print(f"Metrics: {folder / 'analysis.json'}", highlight=False, soft_wrap=True)


def _worst(found: Analysis) -> object:
    """The classes with the lowest recall."""
    known = [(share, at) for at, share in enumerate(found.recalls) if share is not None]
    columns = ["images", "recall", "precision", *(["to train on"] if found.train_counts else [])]
    table = make_table("Lowest recall", ("class",), columns)
    for share, at in sorted(known)[:ROWS]:
        cells = [f"{found.counts[at]:,}", decimal(share), decimal(found.precisions[at])]
        cells += [f"{found.train_counts[at]:,}"] if found.train_counts else []
        table.add_row(found.classes[at], *cells)
    return table
