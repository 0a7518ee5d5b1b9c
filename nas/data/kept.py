"""Results that are kept beside the decoded images that they are about."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.files import write_own


def kept(
    folder: Path,
    name: str,
    version: int,
    make: Callable[[], npt.NDArray[Any]],
    fits: Callable[[npt.NDArray[Any]], bool],
) -> npt.NDArray[Any]:
    """Array kept under this name, or made and put there if it may be written.

    ``version`` counts changes of the method: what another one left is not read, nor what does not ``fit``.
    """
    path = folder / f"{name}-{version}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError, MemoryError):
        found = np.asarray(np.load(path, allow_pickle=False)) if path.is_file() else None
        if found is not None and fits(found):
            return found
    made = make()
    buffer = io.BytesIO()
    np.save(buffer, made)
    with contextlib.suppress(OSError):
        write_own(path, buffer.getvalue())
    return made
