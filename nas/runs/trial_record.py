"""One trial as the log knows it, and what is asked of all of them after every result: how many, how long, which are
best. That is brought up to date by each trial, never counted again: the hundred-thousandth result costs what the
first did."""

from __future__ import annotations

import marshal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from budgets import Cost
from nas.runs.log import Event
from search_spaces import Sample

NOTHING = marshal.dumps({})


@dataclass(slots=True)
class Trial:
    """One training as the log knows it. ``status`` is "running" until a result is recorded.

    Its history stays in the log: ``Run.history``.
    """

    id: str
    stage: str  # "search"; "confirm": trained again with another seed; "study": of a baseline run
    of: str  # the search trial that a confirmation repeats, its own id in the search, the member of a study
    architecture: str
    sample: Sample
    cost: Cost
    seed: int
    mutant: bool = False  # drawn as a mutant, see nas.strategies.replayed_proposals; False where the log does not say
    order: int = 0  # of its first submission among all trials of the run
    status: str = "running"
    packed: bytes = NOTHING  # ``metrics``: as bytes a quarter of the memory
    epochs: int = 0  # of its history
    result_number: int | None = None  # of the event that holds its result
    seconds: float = 0.0
    error: str | None = None

    @classmethod
    def submitted(cls, body: Mapping[str, Any], order: int) -> Self:
        """The trial that an event "submitted" tells of."""
        cost = Cost(**{name: body[name] for name in ("params", "macs", "size_bytes", "peak_memory")})
        return cls(
            body["id"],
            sys.intern(body["stage"]),
            body["of"],
            body["architecture"],
            _sharing_names(body["sample"]),
            cost,
            body["seed"],
            mutant=body.get("mutant", False),
            order=order,
        )

    def end(self, event: Event) -> None:
        """Take in the event "result"."""
        body = event.body
        self.status, self.error, self.seconds = sys.intern(body["status"]), body["error"], body["seconds"]
        self.packed = marshal.dumps(body["metrics"])
        self.epochs = body["epochs"] if "epochs" in body else len(body["history"])
        self.result_number = event.number

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Figures by split, a copy; empty unless it finished."""
        return marshal.loads(self.packed)  # type: ignore[no-any-return]

    def score(self, objective: str) -> float | None:
        """The figure that ranks it, None unless it finished."""
        return self.score_so_far(objective) if self.status == "finished" else None

    def score_so_far(self, objective: str) -> float | None:
        """The same, also of a trial that was pruned, which ranks nowhere."""
        value = self.metrics.get("rank", {}).get(objective)
        return None if value is None else float(value)


def _sharing_names(named: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose names are the same objects in all trials; JSON makes new ones each time."""
    return {sys.intern(name): value for name, value in named.items()}
