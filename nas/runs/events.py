"""Events of a run's log: one frozen dataclass each, checked when it is written and when it is read.

A new fact about a run is a field here; what follows from events is derived in ``nas.runs.run``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from budgets import Budget, Cost
from nas.autotune import Placement
from nas.config import SearchConfig, StudyConfig
from nas.config.recipe import Metrics
from nas.errors import RunError
from nas.trials import TrialResult
from search_spaces import Sample

FORMAT = 3  # of the log; raise it when events change meaning
FIRST_RELEASED = 3  # formats before it were never released

Stage = Literal["search", "confirm", "study"]
"""Of a trial: proposed by the strategy; trained again with another seed; a training of a baseline run."""


class Event:
    """Something that happened in a run."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False
    )


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts about the data, found out before the first trial."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    input_shape: tuple[int, int, int]  # channels, height, width
    classes: tuple[str, ...]
    counts: dict[str, list[int]]  # by split, how many images of each class
    data_name: str
    data_key: str  # of the images and their splits
    data_remarks: tuple[str, ...] = ()  # what should be known of how they were read
    threads: int | None = None  # of each worker on a CPU: a resumed run keeps them; None on GPUs, and in older logs
    mirroring: str = ""  # why images are mirrored in training or not, if the data decided
    levels: tuple[float, float] | None = None  # black and white of images deeper than 8 bits, where there are any

    @property
    def has_head(self) -> bool:
        """True if the costs of its networks are those of the whole network, with its last layer."""
        return True

    @property
    def num_images(self) -> int:
        """That are trained on and chosen by: all but those of the test split."""
        return sum(sum(self.counts[split]) for split in ("train", "select", "rank"))


@dataclass(frozen=True, kw_only=True)
class SearchFacts(Facts):
    """And about a search: its budget as it was resolved, and what a resumed search may not change."""

    budget: Budget
    note: str  # what was resolved about the budget
    population: int  # of an evolution: a resumed search may get more trials, but no other population
    placement: Placement | None = None  # how trials run fastest here, if that was measured
    recipe_note: str = ""  # what the recipe was chosen by, or what does not suit the data
    learned: tuple[tuple[Sample, float | None], ...] = ()  # of another search: samples and scores, None: it failed
    trial_seconds: float | None = None  # that a trial was expected to take on average, if that was measured

    has_head = property(lambda self: not self.budget.without_head)


@dataclass(frozen=True)
class MemberFacts:
    """Cost of the network of a study's member, and its name in tables."""

    cost: Cost
    trainable: int  # parameters
    text: str
    architecture: str


@dataclass(frozen=True, kw_only=True)
class StudyFacts(Facts):
    """And about a baseline run: its networks, by member."""

    members: dict[str, MemberFacts]  # of those that are known before its searches
    seconds: float | None = None  # that it was expected to take, if that was measured


@dataclass(frozen=True)
class SearchStarted(Event):
    """The first event of a search: everything that decides it."""

    config: SearchConfig
    facts: SearchFacts
    versions: dict[str, str]  # of the programs that started it
    format: int = FORMAT


@dataclass(frozen=True)
class StudyStarted(Event):
    """The first event of a baseline run."""

    config: StudyConfig
    facts: StudyFacts
    versions: dict[str, str]
    format: int = FORMAT


@dataclass(frozen=True)
class SessionStarted(Event):
    """A process began to work on the run."""

    workers: int
    versions: dict[str, str]


@dataclass(frozen=True)
class SettingsChanged(Event):
    """``nasctl resume`` was given other limits."""

    config: SearchConfig | StudyConfig


@dataclass(frozen=True)
class TrialSubmitted(Event):
    """A trial starts, or starts again after it failed. Costs nothing to lose: resuming records it again."""

    id: str
    stage: Stage
    of: str  # the search trial that a confirmation repeats, its own id in the search, the member of a study
    architecture: str
    sample: Sample
    cost: Cost
    seed: int
    note: str | None = None  # what the strategy says of its proposal, see ``strategies.base.Proposal``
    predicted: tuple[float, float, float] | None = None  # its score and the interval that holds 90 %, by a predictor


@dataclass(frozen=True)
class EpochEnded(Event):
    """An epoch of a trial. Told to listeners, and recorded only with the trial's result, as a row of its history."""

    id: str
    row: dict[str, float]  # "epoch" from 1, "train_loss", and what else a history has


@dataclass(frozen=True)
class TrialEnded(Event):
    """A trial has a result. Read without histories, ``result.history`` is empty; ``epochs`` is its length."""

    result: TrialResult
    stage: Stage
    epochs: int

    @classmethod
    def of(cls, result: TrialResult, stage: Stage) -> TrialEnded:
        """The event of a trial of ``stage``."""
        return cls(result, stage, len(result.history))


@dataclass(frozen=True)
class SupernetStarted(Event):
    """The supernet of a one-shot strategy, before its first epoch."""

    params: int
    peak_bytes: int
    epochs: int
    warm_up_epochs: int
    choices: dict[str, list[int | str]]
    skip_choices: list[str]


@dataclass(frozen=True, kw_only=True)
class SupernetEpoch(Event):
    """One epoch of the supernet."""

    epoch: int  # from 1
    train_loss: float
    select_loss: float | None  # None in the warm-up, and without alphas
    penalty: float | None  # how far outside the budget architectures sampled from the alphas are; None without alphas
    entropy: float  # mean over the choices: 1 is undecided, 0 decided
    expected_params: float
    likeliest_params: int
    within_budget: float  # share of the architectures sampled from the alphas
    skip_share: float | None  # mean probability of values without weights; None where none skips
    probabilities: dict[str, list[float]]  # by choice
    temperature: float | None  # of the Gumbel softmax
    learning_rate: float  # of the weights, the largest of the epoch
    score: float  # the objective of the supernet itself on select
    seconds: float


@dataclass(frozen=True)
class SupernetProgress(Event):
    """Progress of an epoch of the supernet. Told to listeners, and never recorded."""

    epoch: int  # from 1; 0: the supernet is being built, and there are no steps yet
    steps: int  # that are done
    of_steps: int
    seconds: float  # since it began


@dataclass(frozen=True)
class Candidate:
    """An architecture that fits. ``score``: the objective on ``rank`` with inherited weights."""

    sample: Sample
    params: int
    log_likelihood: float | None  # under the alphas, in nats; None where there are none
    score: float
    far_under: bool  # it is above guessing by less than half of what the supernet itself is


@dataclass(frozen=True)
class CandidatesRanked(Event):
    """Answer of the supernet: at least one candidate, the best first."""

    supernet_score: float
    drawn: int
    fitting: int
    seconds: float
    ranked: list[Candidate]


@dataclass(frozen=True)
class ScoresExpected(Event):
    """Expectations of a guided search for its trials after all of them, by all of them: who is confirmed goes by them,
    for the best of many noisy scores is a lucky one."""

    scores: dict[str, float]  # by trial, of those that finished; on the scale of the objective


@dataclass(frozen=True)
class ConfirmationLengthened(Event):
    """The best gained from a longer training: from now on confirmations train for ``epochs``."""

    epochs: int
    scored: list[tuple[int, float]]  # epochs, and the mean ``lengthens_by`` on select of the best after so many


@dataclass(frozen=True, kw_only=True)
class FloorMeasured(Event):
    """Scores of the best of some classical methods, before any confirmation: a winner should be above them."""

    method: str  # "RBF SVM on pixels"
    settings: dict[str, float]
    rank: dict[str, float]  # metrics on the split that chose it
    test: dict[str, float]  # its metrics there, read once
    images: int  # that it was trained on
    of_images: int  # that there are to train on
    components: int | None  # principal components; None: pixels as they are


@dataclass(frozen=True)
class WinnerChosen(Event):
    """The end of a search: the one time that the test split is read. ``test``: metrics by id of a training."""

    trial: str  # of the search
    weights: str  # the training whose weights are exported
    test: dict[str, Metrics]

    def score(self, trial_id: str, objective: str) -> float:
        """The objective of one of its trainings on the test split."""
        metric = self.test[trial_id][objective]
        assert isinstance(metric, int | float), objective
        return float(metric)


@dataclass(frozen=True)
class StudySearchBegins(Event):
    """A study makes a search, or resumes it. Told to listeners, and never recorded."""

    search: str  # its name


@dataclass(frozen=True, kw_only=True)
class ArchitectureFound(Event):
    """A search of a study is done: what it found is trained as members of the study."""

    search: str  # its name in the study
    trial: str  # of the search
    sample: Sample
    cost: Cost
    text: str
    architecture: str


@dataclass(frozen=True)
class StudyEnded(Event):
    """Every training of a baseline run finished."""


@dataclass(frozen=True)
class Noted(Event):
    """Something that the user should know."""

    text: str


@dataclass(frozen=True)
class SessionStopped(Event):
    """A session ended early, and could say why."""

    reason: str


@dataclass(frozen=True)
class SessionProfiled(Event):
    """Time of a session by part, with --profile."""

    seconds: dict[str, float] = field(default_factory=dict)
    workers: int = 1
    busy: float = 0.0  # seconds of the trials that ended in it


KINDS: dict[str, type[Event]] = {  # as the log names them
    "search": SearchStarted,
    "study": StudyStarted,
    "session": SessionStarted,
    "changed": SettingsChanged,
    "submitted": TrialSubmitted,
    "result": TrialEnded,
    "supernet": SupernetStarted,
    "supernet_epoch": SupernetEpoch,
    "candidates": CandidatesRanked,
    "expected": ScoresExpected,
    "lengthened": ConfirmationLengthened,
    "floor": FloorMeasured,
    "winner": WinnerChosen,
    "found": ArchitectureFound,
    "ended": StudyEnded,
    "note": Noted,
    "stopped": SessionStopped,
    "profile": SessionProfiled,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def encode(event: Event) -> tuple[str, str, str | None]:
    """Name, JSON body, and apart from it the JSON history of a trial, which is most of its result.

    ValueError for a number that JSON does not have, such as NaN.
    """
    body = _adapter(type(event)).dump_python(event, mode="json")
    history = None
    if isinstance(event, TrialEnded):
        history = json.dumps(body["result"].pop("history"), allow_nan=False)
    return _NAMES[type(event)], json.dumps(body, sort_keys=True, allow_nan=False), history


def decode(number: int, name: str, body: str, history: str | None) -> Event:
    """The event that ``encode`` made these of. RunError names the event's number and its errors."""
    _check_format(name, body)
    kind = KINDS.get(name)
    if kind is None:
        raise RunError(f"event {number} is of a kind that this version does not know: {name!r:.80}")
    try:
        if history is not None:
            whole = json.loads(body)
            whole["result"]["history"] = json.loads(history)
            body = json.dumps(whole)
        return _adapter(kind).validate_json(body, strict=True)
    except ValidationError as error:
        errors = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()[:5])
        raise RunError(f"event {number} ({name}) is not as this version records it: {errors}") from error
    except (ValueError, TypeError, LookupError, RecursionError) as error:  # of a history, or of what it belongs to
        raise RunError(f"event {number} ({name}) has a damaged history: {str(error)[:200]}") from error


def _check_format(name: str, body: str) -> None:
    """RunError if a log begins as another version begins it."""
    if name not in ("search", "study", "run"):  # the last: formats 1 and 2
        return
    try:
        first = json.loads(body)
        found, wrote = int(first["format"]), str(first["versions"]["nasctl"])[:40]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return  # not a first event at all, which is an error of its own
    if found != FORMAT:
        early = " before its first release" if found < FIRST_RELEASED else ""
        raise RunError(
            f"it was written by nasctl {wrote}{early} with log format {found}, and this version reads format {FORMAT}: "
            "use the version that wrote it"
        )


_ADAPTERS: dict[type[Event], TypeAdapter[Event]] = {}


def _adapter(kind: type[Event]) -> TypeAdapter[Event]:
    """Validator of events of a kind; made when the first is met, since most commands meet few."""
    return _ADAPTERS.get(kind) or _ADAPTERS.setdefault(kind, TypeAdapter(kind))
