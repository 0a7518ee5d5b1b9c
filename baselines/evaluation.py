"""``Evaluation``: a classifier's answers on one split, as metrics and objectives read them. Knows numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces.errors import NasctlError

Array = npt.NDArray[Any]
Given = npt.ArrayLike | Callable[[], npt.ArrayLike]
"""An array, or what gives it when it is first asked for."""


class NotGiven(NasctlError):
    """An array was asked for that there is not, ``array``: classical methods have no logits, say."""

    def __init__(self, array: str) -> None:
        super().__init__(f"it needs {array}, which are not available here")
        self.array = array


class Evaluation:
    """The images of one split, N of C classes, and what a classifier made of them.

    ``labels`` (N,) int64, true classes; ``logits`` (N, C) float32, not probabilities; ``embeddings`` (N, D) float32,
    what enters the last linear layer; ``predicted`` (N,) int64, the class of the highest logit. An array is made when
    it is first asked for, and cannot be written to: ``embeddings`` cost another pass over the images. ``NotGiven`` is
    raised for one that there is not.

    >>> import numpy as np
    >>> evaluation = Evaluation(np.array([0, 0, 1]), np.array([[2.0, 1], [0, 1], [0, 3]]))
    >>> evaluation.predicted.tolist(), evaluation.recall_C.tolist()
    ([0, 1, 1], [0.5, 1.0])
    """

    def __init__(
        self,
        labels: Given,
        logits: Given | None = None,
        embeddings: Given | None = None,
        *,
        predicted: Given | None = None,
        num_classes: int | None = None,
        counts: tuple[Array, Array, Array] | None = None,
    ) -> None:
        """``predicted`` and ``num_classes`` follow from ``logits`` where these are given. ``counts`` (C,) each, known
        already: images that were right, that are of a class, and that were taken for it."""
        self._labels, self._logits, self._embeddings, self._predicted = labels, logits, embeddings, predicted
        self._num_classes, self._counts = num_classes, counts

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """True classes (N,)."""
        return _array("labels", self._labels, np.int64)

    @cached_property
    def logits(self) -> npt.NDArray[np.float32]:
        """(N, C), as the network gives them."""
        return _array("logits", self._logits, np.float32)

    @cached_property
    def embeddings(self) -> npt.NDArray[np.float32]:
        """(N, D), what enters the last linear layer."""
        return _array("embeddings", self._embeddings, np.float32)

    @cached_property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Classes (N,) of the highest logits."""
        given = self._predicted
        return _array("predicted", (lambda: self.logits.argmax(axis=1)) if given is None else given, np.int64)

    @cached_property
    def num_classes(self) -> int:
        """C, also of classes without images here."""
        if self._num_classes is not None:
            return self._num_classes
        return len(self._counts[0]) if self._counts is not None else self.logits.shape[1]

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Numbers of images (C, C) of each true class (rows) that were taken for each class (columns)."""
        pairs_N = self.labels * self.num_classes + self.predicted
        return np.bincount(pairs_N, minlength=self.num_classes**2).reshape(self.num_classes, -1)

    @cached_property
    def right_C(self) -> npt.NDArray[np.float64]:
        """Images of each class that were taken for it."""
        return self._counted[0]

    @cached_property
    def true_C(self) -> npt.NDArray[np.float64]:
        """Images of each class."""
        return self._counted[1]

    @cached_property
    def predicted_C(self) -> npt.NDArray[np.float64]:
        """Images that were taken for each class."""
        return self._counted[2]

    @cached_property
    def recall_C(self) -> npt.NDArray[np.float64]:
        """Of each class, the share of its images that were taken for it; 0 of one without images."""
        return self.right_C / np.maximum(self.true_C, 1)

    @cached_property
    def precision_C(self) -> npt.NDArray[np.float64]:
        """Of the images taken for each class, the share that are of it; 0 where there are none."""
        return self.right_C / np.maximum(self.predicted_C, 1)

    @cached_property
    def f1_C(self) -> npt.NDArray[np.float64]:
        """The harmonic mean of recall and precision of each class."""
        return 2 * self.right_C / np.maximum(self.true_C + self.predicted_C, 1)

    @cached_property
    def _counted(self) -> tuple[Array, Array, Array]:
        if self._counts is not None:
            return self._counts
        right_N = self.labels[self.predicted == self.labels]
        right_C, true_C, predicted_C = (
            np.bincount(of_N, minlength=self.num_classes).astype(float)
            for of_N in (right_N, self.labels, self.predicted)
        )
        return right_C, true_C, predicted_C


def _array(name: str, given: Given | None, dtype: type[np.generic]) -> Array:
    """Read-only: a split's labels may lie in the memory that training reads."""
    if given is None:
        raise NotGiven(name)
    array = np.asarray(given() if callable(given) else given, dtype).view()
    array.flags.writeable = False
    return array
