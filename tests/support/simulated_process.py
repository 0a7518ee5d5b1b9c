"""A simulated search as a process of its own: begun in ``runs/r`` of the working folder, or resumed.

No trial trains, so that it takes little more than its imports; its log and its files are real.
"""

import sys
from pathlib import Path

from simulated_search import Simulated, resume, run_all

from nas.errors import NasctlError
from nas.runs.log import has_begun

RUN = Path("runs", "r")

if __name__ == "__main__":
    try:
        if has_begun(RUN):
            resume(RUN, Simulated())
        else:
            run_all(RUN, space="vgg", strategy="random", trials=4, confirm=1)
    except NasctlError as error:
        sys.exit(str(error))
