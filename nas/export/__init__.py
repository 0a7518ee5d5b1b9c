"""Files that leave the tool, each loaded again and checked. Nothing here trains.

The public names are imported when they are first used: exporting needs torch.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.export.from_run import export_trial
    from nas.export.request import ExportRequest
    from nas.export.write import export

__all__ = ["ExportRequest", "export", "export_trial"]

__getattr__ = lazy(
    __name__,
    {
        "nas.export.from_run": ["export_trial"],
        "nas.export.request": ["ExportRequest"],
        "nas.export.write": ["export"],
    },
)
