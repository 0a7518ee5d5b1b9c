"""A baseline run as its log tells it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nas.config import Recipe, StudyConfig
from nas.config.recipe_rules import answers_evenly
from nas.config.run import StudySearch
from nas.config.teaching import TeacherConfig, Teaching
from nas.config.training_request import STUDY as TRAINING
from nas.runs.events import ArchitectureFound, Event, MemberFacts, SettingsChanged, StudyEnded, StudyFacts
from nas.runs.run import Run


@dataclass(kw_only=True)
class StudyRun(Run):
    """A baseline run: every member of a study trained with every seed, nothing chosen between them."""

    main_stage = "study"

    config: StudyConfig
    facts: StudyFacts
    found: dict[str, ArchitectureFound] = field(default_factory=dict)  # by the name of the search
    ended: bool = False  # every training finished

    @property
    def is_done(self) -> bool:
        return self.ended

    @property
    def trains_one(self) -> bool:
        """True if it is the long training of one network, by ``nasctl train``."""
        return self.config.study == TRAINING

    @property
    def description(self) -> str:
        """Description in a line."""
        return (
            self.config.sentence if self.trains_one else f"baseline study {self.config.study}: {self.config.sentence}"
        )

    @property
    def planned_trials(self) -> int:
        awaited = sum(len(search.members) for search in self.searches_left)
        return (len(self.config.members) + awaited) * self.config.seeds

    @property
    def searches_left(self) -> list[StudySearch]:
        """Its searches whose result is not recorded yet."""
        return [search for search in self.config.searches if search.name not in self.found]

    def recipe(self, trial_id: str) -> Recipe:
        return self.config.member(self.trials[trial_id].of).recipe

    def teacher_of(self, trial_id: str) -> str | None:
        """The training of this run, with the same seed, that the one called ``trial_id`` learns from, if any."""
        member, _, seed = trial_id.rpartition(".")
        teaching = self.config.member(member).teaching
        return f"{teaching.member}.{seed}" if teaching and teaching.member else None

    def teaching(self, trial_id: str) -> Teaching | None:
        """Teaching of a training, the file of weights included."""
        teaching, teacher = self.config.member(self.trials[trial_id].of).teaching, self.teacher_of(trial_id)
        if teaching is None or teacher is None:
            return teaching
        assert teaching.member
        member = self.config.member(teaching.member)
        found = TeacherConfig(
            name=teacher,
            network=member.network,
            settings=member.settings,
            space=member.space,
            sample=member.sample,
            weights=str(self.weights(teacher)),
            even=answers_evenly(member.recipe),
            macs=self.facts.members[member.name].cost.macs,
        )
        return teaching.model_copy(update={"teachers": (found,)})

    def _take(self, event: Event) -> None:
        match event:
            case ArchitectureFound():
                self._take_found(event)
            case StudyEnded():
                self.ended = True
            case SettingsChanged(StudyConfig() as config):
                self.config = config
            case _:
                super()._take(event)

    def _take_found(self, event: ArchitectureFound) -> None:
        """Add the networks that a search found as members, each behind those that it is compared with."""
        search = next(search for search in self.config.searches if search.name == event.search)
        self.found[event.search] = event
        members, facts = list(self.config.members), dict(self.facts.members)
        for awaited in search.members:
            member = awaited.model_copy(update={"sample": event.sample})
            beside = [place for place, other in enumerate(members) if member.beside in (other.name, other.beside)]
            members.insert(beside[0] + 1 if beside else len(members), member)
            facts[member.name] = MemberFacts(event.cost, event.cost.params, event.text, event.architecture)
        self.config = self.config.model_copy(update={"members": tuple(members)})
        self.facts = replace(self.facts, members=facts)
