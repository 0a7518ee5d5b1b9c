"""nasctl: search for small image classifiers under hard budgets.

Belongs here: everything that proposes, trains, records, ranks and hands over. Does not belong here: what can
be built (``search_spaces``), what it costs (``budgets``), which fixed networks to compare with
(``baselines``). NNI, TensorBoard and ONNX each live behind one module.
"""

import time

STARTED = time.perf_counter()  # the program: nothing of it is imported before

__version__ = "0.1.0"
