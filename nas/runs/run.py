"""State of a run, from its log: trials, the best of them, progress. All derived, nothing stored twice.

A run in memory grows by about 2 KB a trial; histories stay in the log.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from budgets import Budget
from nas.config import Recipe, SearchConfig, StudyConfig
from nas.config.data import FOREIGN
from nas.config.recipe import Metrics
from nas.data.dataset import Dataset, Preprocessing, counts_by_split
from nas.errors import RunError, nearest
from nas.plugins.loading import Loaded, loaded
from nas.plugins.record import Plugin
from nas.plugins.recorded import loading_errors, resolve_plugins
from nas.runs.events import (
    Candidate,
    CandidatesRanked,
    ConfirmationLengthened,
    Event,
    Facts,
    FloorMeasured,
    Noted,
    ScoresExpected,
    SearchFacts,
    SessionProfiled,
    SessionStarted,
    SessionStopped,
    SettingsChanged,
    Stage,
    SupernetEpoch,
    SupernetStarted,
    TrialEnded,
    TrialSubmitted,
    WinnerChosen,
)
from nas.runs.hints import typed
from nas.runs.log import EventLog, LogEntry, is_running, read_result
from nas.runs.profile import Profile
from nas.runs.ranking import Tally
from nas.runs.trial_record import TrialRecord, seed_number
from nas.trials import TrialResult
from search_spaces import Sample, SearchSpace, Task, get_space
from search_spaces.registry import in_words
from search_spaces.restriction import restricted, restriction_words


@dataclass(kw_only=True)
class Run(ABC):
    """The state of one run, folded from its events: a ``SearchRun``, or a ``StudyRun`` of ``nas.runs.study_run``."""

    main_stage: ClassVar[Stage]  # that every run of its kind has

    folder: Path
    config: SearchConfig | StudyConfig
    facts: Facts
    versions: dict[str, str]  # of the programs that started it
    started: float  # Unix time
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)  # where the time went, with --profile
    stopped: str | None = None  # why the last session ended early, if it could say
    elapsed: float = 0.0  # seconds until its last event
    last_time: float = 0.0  # of its last event, Unix time
    in_session: bool = False  # its last session ended with nothing recorded of it, or still runs
    last_event: int = 0  # its number
    _stages: dict[str, dict[str, TrialRecord]] = field(default_factory=dict)
    _plugins_seen: tuple[Sequence[Plugin], Sequence[Loaded]] | None = None  # when ``plugin_errors`` were found
    _plugin_errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tally = Tally(self.main_stage, self.config.objective)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def task(self) -> Task:
        """Task of its networks: the shape of an image, the number of classes."""
        return Task(self.facts.input_shape, len(self.facts.classes), self.facts.has_head)

    @property
    def preprocessing(self) -> Preprocessing:
        """Conversion of every image to pixels."""
        return Preprocessing.of(self.facts.input_shape, self.config.data.fit, self.facts.levels)

    def was_made_with(self, data: Dataset) -> bool:
        """True if ``data`` has its images, in the splits that they had then."""
        return data.key == self.facts.data_key and counts_by_split(data) == self.facts.counts

    def use_plugins(self) -> None:
        """Load the plug-ins that it was made with. PluginError if the user does not trust them, or they changed."""
        resolve_plugins(self.config.plugins, run=self.name)

    @property
    def plugin_errors(self) -> list[str]:
        """Errors that keep ``use_plugins`` from loading them; without them a run can be read, but not built. Looked for
        once, and again when other plug-ins were loaded: a table asks for every row."""
        if self._plugins_seen != (self.config.plugins, loaded()):
            self._plugin_errors = loading_errors(self.config.plugins, run=self.name)
            self._plugins_seen = self.config.plugins, loaded()
        return self._plugin_errors

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """True if it reached its end, after which it cannot change."""

    @property
    def is_foreign(self) -> bool:
        """True if a program of the user's own trains its trials and knows their images: a ``nas.Searcher``."""
        return self.config.data.source == FOREIGN

    @property
    def judged_on(self) -> str:
        """The split whose metrics are shown of a trial: rank, or test where it was trained on all others."""
        return "rank" if self.config.data.hold_out else "test"

    def honest_metrics(self, trial: TrialRecord) -> dict[str, Metrics]:
        """The metrics of a trial by split, without those of images that it was trained on."""
        known = ("select", "rank", "test") if self.config.data.hold_out else ("test",)
        return {name: metrics for name, metrics in trial.metrics.items() if name in known}

    @property
    def state(self) -> str:
        """In one word: "running", "done", or "stopped" and to be resumed."""
        if self.is_done:
            return "done"
        return "running" if is_running(self.folder) else "stopped"

    @property
    def seconds_so_far(self) -> float:
        """Seconds of work on it; while it runs, also those since its last event: an epoch of a supernet, or the
        search that a study makes, takes long."""
        at_work = self.in_session and self.state == "running"
        return self.elapsed + (max(0.0, time.time() - self.last_time) if at_work else 0.0)

    def status(self, trial: TrialRecord) -> str:
        """Of one of its trials, in one word: also "interrupted", without a result and nobody works on the run."""
        interrupted = trial.status == "running" and self.state != "running"
        return "interrupted" if interrupted else trial.status

    @property
    @abstractmethod
    def planned_trials(self) -> int:
        """Trials of the main stage if no limit ends it."""

    @abstractmethod
    def recipe(self, trial_id: str) -> Recipe:
        """Recipe of a trial."""

    def stage(self, stage: Stage) -> list[TrialRecord]:
        """The trials of a stage, in the order in which they were first submitted."""
        return list(self._stages.get(stage, {}).values())

    def ranked(self) -> list[TrialRecord]:
        """The finished trials of the main stage, best first; equal scores: fewer parameters first."""
        return self.best(self.num_ranked)

    def best(self, count: int) -> list[TrialRecord]:
        """The first ``count`` of ``ranked``, at no cost that grows with the run."""
        return [self.trials[trial_id] for *_, trial_id in self.tally.ranking[:count]]

    @property
    def num_ranked(self) -> int:
        """Number of trials in ``ranked``."""
        return len(self.tally.ranking)

    def num_ended(self, stage: Stage) -> int:
        """Number of trials of a stage that have a result."""
        return self.tally.count(stage=stage) - self.tally.count("running", stage=stage)

    def trial(self, trial_id: str) -> TrialRecord:
        """RunError names the nearest trial."""
        if trial_id not in self.trials:
            known = list(self.trials)
            raise RunError(
                f"Run {self.name!r} has no trial {trial_id!r}.{nearest(trial_id, known)} It has {len(known)}: "
                f"'{typed('trials --run', self.folder)}' lists them."
            )
        return self.trials[trial_id]

    def result(self, trial: TrialRecord) -> TrialResult | None:
        """The whole result of a trial, its history included, read from the log; None if it has none yet."""
        return read_result(self.folder, trial.result_number) if trial.result_number else None

    def history(self, trial: TrialRecord) -> list[dict[str, float]]:
        """The record of every epoch of a trial that ended, read from the log."""
        result = self.result(trial)
        return [] if result is None else result.history

    def weights(self, trial_id: str) -> Path:
        """Path of a trial's weights, if they were kept."""
        return self.folder / "weights" / f"{trial_id}.safetensors"

    def catch_up(self, log: EventLog) -> None:
        """Take into account what was recorded since."""
        for entry in log.entries(after=self.last_event):
            self.apply(entry)

    def apply(self, entry: LogEntry) -> None:
        """Take one more event into account."""
        self.elapsed, self.last_event, self.last_time = entry.elapsed, entry.number, entry.time
        match entry.event:
            case TrialSubmitted() as event:
                self._take_submitted(event)
            case TrialEnded() as event:
                self._take_ended(event, entry.number)
            case Noted(text):
                self.notes.append(text)
            case SessionStarted():
                self.stopped, self.in_session = None, True
            case SessionStopped(reason):
                self.stopped, self.in_session = reason, False
            case SessionProfiled() as event:
                self.profile.add_session(event)
            case event:
                self._take(event)

    def _take(self, event: Event) -> None:
        """An event that only this kind of run has."""
        raise RunError(
            f"The log of run {self.name!r} holds an event that such a run does not have: {type(event).__name__}."
        )

    def _take_submitted(self, event: TrialSubmitted) -> TrialRecord:
        """A trial starts, or starts again after it failed."""
        known = self.trials.get(event.id)
        if known is not None:
            self.tally.leave(known)
        trial = TrialRecord.submitted(event, known.order if known else len(self.trials))
        self.trials[trial.id] = self._stages.setdefault(trial.stage, {})[trial.id] = trial
        self.tally.enter(trial)
        return trial

    def _take_ended(self, event: TrialEnded, number: int) -> TrialRecord:
        trial = self.trials[event.result.id]
        self.tally.leave(trial)
        trial.end(event, number, self.elapsed)
        self.tally.enter(trial)
        self.profile.add_trial(event.result)
        return trial


@dataclass(kw_only=True)
class SearchRun(Run):
    """A search: trials of one space under one budget, and a winner at the end."""

    main_stage = "search"

    config: SearchConfig
    facts: SearchFacts
    course: list[tuple[str, TrialRecord]] = field(default_factory=list)  # "submitted" and "result", in order
    again: set[str] = field(default_factory=set)  # trials of the search that started again after they failed
    supernet: SupernetStarted | None = None  # of a one-shot strategy
    supernet_epochs: list[SupernetEpoch] = field(default_factory=list)  # by epoch, none twice
    candidates: CandidatesRanked | None = None  # by the supernet
    expected: dict[str, float] = field(default_factory=dict)  # scores by trial, of a guided search
    lengthened: list[ConfirmationLengthened] = field(default_factory=list)  # in their order
    floor: FloorMeasured | None = None  # what classical methods reach
    winner: WinnerChosen | None = None

    @cached_property
    def space(self) -> SearchSpace:
        """Space that it searches, whole or the part of one. PluginError if it is a plug-in's that cannot be used."""
        self.use_plugins()
        return restricted(get_space(self.config.space), self.config.restrict)

    def line(self, sample: Sample) -> str:
        """An architecture in a few words: by its labels alone, where the plug-in of its space cannot be used."""
        return in_words(sample) if self.plugin_errors else self.space.line_of(sample, self.task)

    def text(self, sample: Sample) -> str:
        """The same with the name of the space."""
        return f"{self.config.space} {in_words(sample)}" if self.plugin_errors else self.space.text(sample, self.task)

    @property
    def within(self) -> str:
        """Restriction of the space, as ``--fix`` and ``--choices`` take it; "" for a whole one."""
        if self.config.restrict and self.plugin_errors:
            return "; ".join(f"{label}={','.join(map(str, left))}" for label, left in self.config.restrict.items())
        return restriction_words(self.space) if self.config.restrict else ""

    @property
    def budget(self) -> Budget:
        """The limits on every architecture, as they were resolved."""
        return self.facts.budget

    @property
    def is_done(self) -> bool:
        return self.winner is not None

    @property
    def planned_trials(self) -> int:
        """After a supernet no more than it ranked."""
        return min(self.config.trials, len(self.ranked_candidates)) if self.candidates else self.config.trials

    @property
    def ranked_candidates(self) -> list[Candidate]:
        """Of the supernet, best first; empty before it has ranked any."""
        return self.candidates.ranked if self.candidates else []

    @property
    def learned_choices(self) -> dict[str, list[int | str]]:
        """Choices that a supernet's alphas decide: label -> values, in the space's order; empty without alphas."""
        if self.supernet is None or self.config.strategy == "random-oneshot":
            return {}
        choices = self.supernet.choices
        labels = choices if self.plugin_errors else self.space.labels
        return {label: choices[label] for label in labels if len(choices.get(label, ())) > 1}

    def recipe(self, trial_id: str) -> Recipe:
        """Confirmations have the length of their time: seed 1 the first, seed 2 the next, if it was lengthened."""
        if self.trials[trial_id].stage != "confirm":
            return self.config.recipe
        lengths = [self.config.confirm_recipe.epochs, *(event.epochs for event in self.lengthened)]
        epochs = lengths[min(seed_number(trial_id), len(lengths)) - 1]
        return self.config.recipe.model_copy(update={"epochs": epochs})

    @property
    def first_deciding(self) -> int:
        """Number of the first seed that decides, of the last length; before it there is one of each shorter one."""
        return len(self.lengthened) + 1

    @property
    def final_epochs(self) -> int:
        """Epochs of the trainings that the winner comes from."""
        return self.confirm_epochs if self.config.confirm else self.config.recipe.epochs

    @property
    def confirm_epochs(self) -> int:
        """Epochs of the confirmations, as they now are."""
        return self.lengthened[-1].epochs if self.lengthened else self.config.confirm_recipe.epochs

    def confirmations(self, trial_id: str) -> list[TrialRecord]:
        """The finished repetitions of a search trial that decide."""
        return [
            trial
            for trial in self.stage("confirm")
            if trial.of == trial_id and trial.status == "finished" and seed_number(trial.id) >= self.first_deciding
        ]

    @property
    def test_scores(self) -> list[float]:
        """The objective of the winner's seeds on the test split; empty before there is a winner."""
        winner, objective = self.winner, self.config.objective
        return [winner.score(trial_id, objective) for trial_id in winner.test] if winner else []

    @property
    def is_below_floor(self) -> bool:
        """True if the winner's mean on the test split is less than what classical methods reach there."""
        scores = self.test_scores
        return self.floor is not None and bool(scores) and fmean(scores) < self.floor.test[self.config.objective]

    def _take(self, event: Event) -> None:
        match event:
            case ConfirmationLengthened():
                self.lengthened.append(event)
            case ScoresExpected(scores):
                self.expected = scores
            case FloorMeasured():
                self.floor = event
            case WinnerChosen(trial, weights, test):
                self.winner = event if [self.trials[name] for name in (trial, weights, *test)] else None
            case SupernetStarted():
                self.supernet = event
            case SupernetEpoch():  # trained again after a kill, it begins another course than the one recorded
                self.supernet_epochs = [row for row in self.supernet_epochs if row.epoch < event.epoch] + [event]
            case CandidatesRanked():
                self.candidates = event
            case SettingsChanged(SearchConfig() as config):
                self.config = config
            case _:
                super()._take(event)

    def _take_submitted(self, event: TrialSubmitted) -> TrialRecord:
        if event.stage == "search" and event.id in self.trials:  # the course, which strategies see, has its failure
            self.again.add(event.id)
        trial = super()._take_submitted(event)
        if trial.stage == "search" and trial.id not in self.again:
            self.course.append(("submitted", trial))
        return trial

    def _take_ended(self, event: TrialEnded, number: int) -> TrialRecord:
        trial = super()._take_ended(event, number)
        if trial.stage == "search" and trial.id not in self.again:
            self.course.append(("result", trial))
        return trial
