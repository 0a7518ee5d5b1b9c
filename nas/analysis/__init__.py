"""What a trained network does on labelled images: figures, curves, Grad-CAM, embeddings, and pictures of them. Nothing
here trains or searches.

The public names are imported when they are first used: computing needs torch, drawing matplotlib, reading neither.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.analysis.record import Analysis, analysis_folder, kept_analysis, read_analysis, write_analysis

__all__ = ["Analysis", "analysis_folder", "kept_analysis", "read_analysis", "write_analysis"]

__getattr__ = lazy(
    __name__,
    {
        "nas.analysis.record": ["Analysis", "analysis_folder", "kept_analysis", "read_analysis", "write_analysis"],
    },
)
