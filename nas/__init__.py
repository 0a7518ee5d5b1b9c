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
    from nas.api.calls import baseline, find_learning_rate, load_run, search, train
    from nas.api.classical import Classical, classical
    from nas.api.estimator import NASClassifier
    from nas.api.handles import Search, Study
    from nas.api.searcher import Searcher
    from nas.api.spaces import space
    from nas.api.trials import Member, Trial
    from nas.export.predict import load_model
    from nas.plugins.loading import load_plugin

__version__ = "0.1.0"
__all__ = [
    "Classical",
    "Member",
    "NASClassifier",
    "Search",
    "Searcher",
    "Study",
    "Trial",
    "baseline",
    "classical",
    "find_learning_rate",
    "load_model",
    "load_plugin",
    "load_run",
    "search",
    "space",
    "train",
]

__getattr__ = lazy(
    __name__,
    {
        "nas.analysis": ["analysis"],
        "nas.api.handles": ["Search", "Study"],
        "nas.api.estimator": ["NASClassifier"],
        "nas.api.searcher": ["Searcher"],
        "nas.api.spaces": ["space"],
        "nas.api.classical": ["Classical", "classical"],
        "nas.api.calls": ["baseline", "find_learning_rate", "load_run", "search", "train"],
        "nas.api.trials": ["Member", "Trial"],
        "nas.export.predict": ["load_model"],
        "nas.plugins.loading": ["load_plugin"],
    },
)
