"""scikit-learn's bundled digits: 1,797 scanned digits of 8x8 pixels, on every machine without a download."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from nas.data.sources.arrays import found_in_arrays
from nas.data.sources.base import TRAIN, Found, Progress


class Digits:
    """``load_digits``, its grey levels 0 to 16 stretched to 0 to 255."""

    name = "digits"
    remarks = ()

    def fingerprint(self) -> str:
        """The version of the package that carries the images."""
        return f"digits:{version('scikit-learn')}"

    def look(self, progress: Progress | None) -> Found:
        """Load the bundled file."""
        from sklearn.datasets import load_digits

        bundled = load_digits()
        images = np.rint(bundled.images * (255 / 16)).astype(np.uint8)
        labels = bundled.target.astype(np.int64)
        parts = np.full(len(labels), TRAIN, dtype=np.uint8)
        classes = [str(name) for name in bundled.target_names]
        return found_in_arrays(images, labels, parts=parts, classes=classes, origin="scikit-learn")
