"""Analysis of a trained network on labelled images: metrics, curves, Grad-CAM, embeddings, and pictures of them.
Nothing here trains or searches.

``analyze`` makes all of it of a run or an exported network; ``measured``, ``embedding_of``, ``grad_cam_maps`` are its
parts, for any torch module; the others are pictures, each a figure of matplotlib. The public names are imported when
they are first used: computing needs torch, drawing matplotlib, and reading what was found neither.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.analysis.heat_maps import grad_cam_maps
    from nas.analysis.make import analyze
    from nas.analysis.measure import Answers, measured
    from nas.analysis.projections import embedding_of
    from nas.analysis.record import Analysis, analysis_folder, kept_analysis, read_analysis, write_analysis
    from nas.analysis.views import (
        bars,
        confusion,
        embedding,
        filters,
        grad_cam,
        precision_recall,
        recall,
        reliability,
        roc,
    )

__all__ = [
    "Analysis",
    "Answers",
    "analysis_folder",
    "analyze",
    "bars",
    "confusion",
    "embedding",
    "embedding_of",
    "filters",
    "grad_cam",
    "grad_cam_maps",
    "kept_analysis",
    "measured",
    "precision_recall",
    "read_analysis",
    "recall",
    "reliability",
    "roc",
    "write_analysis",
]

__getattr__ = lazy(
    __name__,
    {
        "nas.analysis.heat_maps": ["grad_cam_maps"],
        "nas.analysis.make": ["analyze"],
        "nas.analysis.measure": ["Answers", "measured"],
        "nas.analysis.projections": ["embedding_of"],
        "nas.analysis.record": ["Analysis", "analysis_folder", "kept_analysis", "read_analysis", "write_analysis"],
        "nas.analysis.views": [
            "bars", "confusion", "embedding", "filters", "grad_cam", "precision_recall", "recall", "reliability", "roc",
        ],
    },
)  # fmt: skip
