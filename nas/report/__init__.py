"""Views of runs and plans: tables, JSON, pictures, TensorBoard. Nothing here trains or writes to a log.

What is computed is a frozen dataclass; tables and plots read it by attribute, and ``nas.report.documents`` makes JSON
of it. The public names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.report.documents import run_document, trial_document
    from nas.report.live import Live
    from nas.report.tensorboard.listener import keep_files

__all__ = ["Live", "keep_files", "run_document", "trial_document"]

__getattr__ = lazy(
    __name__,
    {
        "nas.report.documents": ["run_document", "trial_document"],
        "nas.report.live": ["Live"],
        "nas.report.tensorboard.listener": ["keep_files"],
    },
)
