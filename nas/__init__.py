"""nasctl: search for small image classifiers under hard budgets.

Belongs here: everything that proposes, trains, records, ranks and hands over. Does not belong here: what can
be built (``search_spaces``), what it costs (``budgets``), which fixed networks to compare with
(``baselines``). NNI, TensorBoard and ONNX each live behind one module.
"""

import time
from typing import TYPE_CHECKING

STARTED = time.perf_counter()  # the program: nothing of it is imported before

from nas.lazy import lazy  # noqa: E402

if TYPE_CHECKING:
    from nas.api import baseline, resume, search
    from nas.api.searcher import Searcher
    from nas.api.spaces import space
    from nas.export import export_trial
    from nas.export.predict import load_model
    from nas.plugins.loading import load_plugin
    from nas.runs import load_run

__version__ = "0.1.0"
__all__ = ["Searcher", "baseline", "export_trial", "load_model", "load_plugin", "load_run", "resume", "search", "space"]

__getattr__ = lazy(
    __name__,
    {
        "nas.api": ["baseline", "resume", "search"],
        "nas.api.searcher": ["Searcher"],
        "nas.api.spaces": ["space"],
        "nas.export": ["export_trial"],
        "nas.export.predict": ["load_model"],
        "nas.plugins.loading": ["load_plugin"],
        "nas.runs": ["load_run"],
    },
)
