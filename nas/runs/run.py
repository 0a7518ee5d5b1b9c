"""What a run's log says: its trials, the best of them, how far it is. All derived, nothing stored twice.

A run in memory grows by about 2 KB a trial; histories stay in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas.config.recipe import Recipe
from nas.config.run import SearchConfig, StudyConfig
from nas.errors import RunError, nearest
from nas.runs.hints import typed
from nas.runs.log import FORMAT, READABLE, Event, RunStore, is_running, read_history
from nas.runs.profile import Profile
from nas.runs.ranking import Tally
from nas.runs.trial_record import Trial as Trial
from search_spaces import get_space


@dataclass
class Run:
    """The state of one run, folded from its events."""

    folder: Path
    config: SearchConfig | StudyConfig
    facts: dict[str, Any]  # recorded at the start: input shape, classes, settled budget
    versions: dict[str, str]  # of the programs that started it
    trials: dict[str, Trial] = field(default_factory=dict)
    course: list[tuple[str, Trial]] = field(default_factory=list)  # of the search: "submitted" and "result" in order
    supernet: dict[str, Any] | None = None  # of a one-shot strategy: its size, choices and epochs to come
    supernet_epochs: list[dict[str, Any]] = field(default_factory=list)  # by epoch, none twice
    candidates: dict[str, Any] | None = None  # ranked by the supernet, best first
    winner: dict[str, Any] | None = None
    ended: bool = False  # every training of a study finished
    notes: list[str] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)  # where the time went, with --profile
    stopped: str | None = None  # why the last session ended early, if it could say
    elapsed: float = 0.0
    started: float = 0.0
    last_event: int = 0  # its number
    _stages: dict[str, dict[str, Trial]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tally = Tally(self.main_stage, self.config.objective)

    @property
    def state(self) -> str:
        """In one word: "running", "done", or "stopped" and to be resumed."""
        if self.winner or self.ended:
            return "done"
        return "running" if is_running(self.folder) else "stopped"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def search(self) -> SearchConfig:
        """The settings of a search. RunError for a baseline run, which has no space, budget or winner."""
        if isinstance(self.config, StudyConfig):
            raise RunError(
                f"Run {self.name!r} is no search: it trained the baseline study {self.config.study}. See what it "
                f"found: {typed('baseline report', self.folder)}"
            )
        return self.config

    @property
    def study(self) -> StudyConfig:
        """The settings of a baseline run. RunError for a search."""
        if isinstance(self.config, SearchConfig):
            raise RunError(
                f"Run {self.name!r} is no baseline run but a search. See what it found: "
                f"{typed('status --run', self.folder)}"
            )
        return self.config

    @property
    def is_study(self) -> bool:
        """Whether it is a baseline run."""
        return isinstance(self.config, StudyConfig)

    @property
    def planned_trials(self) -> int:
        """Trials of the search if no limit ends it: after a supernet, no more than it ranked. Trainings of a study."""
        if isinstance(self.config, StudyConfig):
            return len(self.config.members) * self.config.seeds
        return min(self.config.trials, len(self.candidates["ranked"])) if self.candidates else self.config.trials

    @property
    def learned_choices(self) -> dict[str, list[int | str]]:
        """What the alphas of a supernet decide: label -> values, in the order of the space; empty without alphas."""
        if self.supernet is None or self.search.strategy == "random-oneshot":
            return {}
        choices = {label: values for label, values in self.supernet["choices"].items() if len(values) > 1}
        labels = [choice.label for choice in get_space(self.search.space).choices]  # the log sorts by name
        return {label: choices[label] for label in labels if label in choices}

    @property
    def main_stage(self) -> str:
        """The stage that every run has: the trials of a search, or the trainings of a study."""
        return "study" if self.is_study else "search"

    def stage(self, stage: str) -> list[Trial]:
        """The trials of a stage, in the order in which they were first submitted."""
        return list(self._stages.get(stage, {}).values())

    def ranked(self) -> list[Trial]:
        """The finished trials of the search or study, best first; equal scores: fewer parameters first."""
        return self.best(self.num_ranked)

    def best(self, count: int) -> list[Trial]:
        """The first ``count`` of ``ranked``, at no cost that grows with the run."""
        return [self.trials[trial_id] for *_, trial_id in self.tally.ranking[:count]]

    @property
    def num_ranked(self) -> int:
        """How many trials ``ranked`` has."""
        return len(self.tally.ranking)

    def num_ended(self, stage: str) -> int:
        """How many trials of a stage have a result."""
        return self.tally.count(stage=stage) - self.tally.count("running", stage=stage)

    def history(self, trial: Trial) -> list[dict[str, float]]:
        """The record of every epoch of a trial that ended, read from the log."""
        return read_history(self.folder, trial.result_number) if trial.result_number else []

    def recipe(self, trial_id: str) -> Recipe:
        """How a trial is trained."""
        return self.study.member(self.trials[trial_id].of).recipe if self.is_study else self.search.recipe

    def confirmations(self, trial_id: str) -> list[Trial]:
        """The finished repetitions of a search trial."""
        return [t for t in self.stage("confirm") if t.of == trial_id and t.status == "finished"]

    def trial(self, trial_id: str) -> Trial:
        """RunError names the nearest trial."""
        if trial_id not in self.trials:
            known = list(self.trials)
            raise RunError(
                f"Run {self.name!r} has no trial {trial_id!r}.{nearest(trial_id, known)} It has {len(known)}: "
                f"'{typed('trials --run', self.folder)}' lists them."
            )
        return self.trials[trial_id]

    def weights(self, trial_id: str) -> Path:
        """Where the weights of a trial are, if they were kept."""
        return self.folder / "weights" / f"{trial_id}.safetensors"

    def catch_up(self, store: RunStore) -> None:
        """Take into account what was recorded since."""
        for event in store.stream(after=self.last_event):
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        body = event.body
        self.elapsed, self.last_event = event.elapsed, event.number
        self.profile.take(event)
        if event.kind in ("supernet", "supernet_epoch", "candidates"):
            self._apply_supernet(event)
        elif event.kind == "submitted":
            self._submitted(body)
        elif event.kind == "result":
            self._ended(event)
        elif event.kind == "winner":
            self.winner = body
        elif event.kind == "ended":
            self.ended = True
        elif event.kind == "note":
            self.notes.append(body["text"])
        elif event.kind == "stopped":
            self.stopped = body["reason"]
        elif event.kind == "changed":
            self.config = read_config(body["config"])
        elif event.kind == "session":
            self.stopped = None

    def _submitted(self, body: dict[str, Any]) -> None:
        """A trial starts, or starts again after it failed."""
        known = self.trials.get(body["id"])
        if known is not None:
            self.tally.leave(known)
        trial = Trial.submitted(body, known.order if known else len(self.trials))
        self.trials[trial.id] = self._stages.setdefault(trial.stage, {})[trial.id] = trial
        self.tally.enter(trial)
        if trial.stage == "search":
            self.course.append(("submitted", trial))

    def _ended(self, event: Event) -> None:
        trial = self.trials[event.body["id"]]
        self.tally.leave(trial)
        trial.end(event)
        self.tally.enter(trial)
        if trial.stage == "search":
            self.course.append(("result", trial))

    def _apply_supernet(self, event: Event) -> None:
        body = event.body
        if event.kind == "supernet":
            self.supernet = body
        elif event.kind == "candidates":
            self.candidates = body
        else:  # an epoch trained again, after a kill, begins another course than the one recorded from there on
            self.supernet_epochs = [row for row in self.supernet_epochs if row["epoch"] < body["epoch"]] + [body]


def fold(folder: Path, events: Iterable[Event]) -> Run:
    """The run that ``events`` tell of. RunError if they are empty or of another version."""
    events = iter(events)
    first = next(events, None)
    if first is None or first.kind != "run":
        raise RunError(f"Run {folder.name!r} has an empty log: it never started. Remove {folder} and search again.")
    if first.body.get("format") not in READABLE:
        raise RunError(
            f"Run {folder.name!r} was written by nasctl {first.body.get('versions', {}).get('nasctl', '?')} with log "
            f"format {first.body.get('format')}; this version reads format {FORMAT}. Use the version that wrote it."
        )
    try:
        config = read_config(first.body["config"])
    except ValidationError as error:
        raise RunError(f"The settings in the log of run {folder.name!r} cannot be read: {error}") from error
    run = Run(folder, config, first.body["facts"], first.body["versions"], started=first.time, last_event=first.number)
    for event in events:
        run.apply(event)
    return run


def read_config(recorded: dict[str, Any]) -> SearchConfig | StudyConfig:
    """The settings as a log holds them; pydantic's ValidationError if they cannot be read."""
    return (StudyConfig if "study" in recorded else SearchConfig).model_validate(recorded)
