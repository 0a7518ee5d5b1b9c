"""Classical methods on pixels, from Python: what a network has to beat. They make no run: the data cache keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baselines.classical import NAME, ClassicalScores
from nas.api.frames import as_frame
from nas.api.in_memory import Data
from nas.api.keywords import Setting, as_flags
from nas.api.settings import classical_request
from nas.api.wording import in_python
from nas.arguments import checked_types
from nas.config import StudyRequest
from nas.config.objectives import DEFAULT
from nas.data import Dataset, open_data
from nas.engine.floor import ClassicalRequest, classical_floor
from nas.errors import UsageError, attempt
from nas.plugins.loading import load_plugins
from nas.report.live import decoding
from nas.report.screen import Screen

if TYPE_CHECKING:
    import pandas

    from nas.data.sources.base import Progress


@dataclass(frozen=True)
class Classical:
    """Scores of classical methods on the splits of a data set; see ``classical``.

    >>> nas.classical(data="digits", imbalance=20).best
    'rbf-svm'
    """

    data: str
    objective: str  # by which the best was chosen on rank
    scores: ClassicalScores

    @property
    def best(self) -> str:
        """The method that is best on rank."""
        return self.scores.chosen

    @property
    def test(self) -> dict[str, float]:
        """Metrics of the best on the test split, shares of 1 by name; no other method was scored there."""
        return dict(self.scores.test)

    def to_pandas(self) -> pandas.DataFrame:
        """A row a method: "method", its settings as "settings.NAME", "rank.FIGURE", of the best "test.FIGURE" too.
        UsageError without pandas."""
        return as_frame([
            {
                "method": method.name,
                **{f"settings.{name}": value for name, value in method.settings.items()},
                **{f"rank.{name}": metric for name, metric in method.rank.items()},
                **{f"test.{name}": metric for name, metric in self.test.items() if method.name == self.best},
            }
            for method in self.scores.methods
        ])  # fmt: skip

    def __repr__(self) -> str:
        return f"<Classical on {self.data}: {self.best}, {self.objective} {self.test[self.objective]:.3f} on test>"


@checked_types
def classical(
    *, data: Data = "digits", objective: str = DEFAULT, progress: bool = False, **settings: Setting
) -> Classical:
    """Score logistic regression, an SVM and nearest neighbours on pixels, as ``nasctl baseline run classical`` does.

    Takes seconds to a minute, and nothing the second time.

    Args:
        data: As for ``nas.search``.
        objective: Metric or registered objective that ranks the methods.
        progress: Show progress in a terminal or notebook.
        **settings: Settings of the data: image_size, imbalance, max_images...

    Returns:
        Metrics (shares of 1) of each method on rank, and of the best on test.

    Raises:
        UsageError: With every error, also for an objective that needs more than classes.

    >>> found = nas.classical(data="digits", imbalance=20)
    >>> found.to_pandas()["method"].tolist()
    ['logistic-regression', 'rbf-svm', 'nearest-neighbor']
    >>> 0.5 < found.test["balanced_accuracy"] < 1
    True
    """
    given: dict[str, Any] = {"study": NAME, "data": data, "objective": objective, **settings}
    with in_python(given):
        load_plugins(given.pop("plugin", None))
        errors: list[str] = []
        flags = as_flags(given, StudyRequest, errors)
        request = attempt(lambda: classical_request(flags), errors)
        if errors or request is None:
            raise UsageError(*errors)
        with decoding(Screen(), quiet=not progress) as told:
            dataset, scores = scored(request, told)
        return Classical(dataset.name, request.objective, scores)


def scored(request: ClassicalRequest, progress: Progress | None) -> tuple[Dataset, ClassicalScores]:
    """The data of a request, and what classical methods reach on them."""
    dataset = open_data(request.data, progress=progress)
    return dataset, classical_floor(dataset, request.data, request.objective)
