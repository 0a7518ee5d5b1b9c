"""Estimate of a study's duration: each of its networks is trained for a few steps."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from baselines import FixedNetwork
from baselines.registry import NETWORKS
from budgets import cost_of
from nas.autotune.workers import PROBE, MeasuringFailed, together
from nas.config import Recipe, StudyConfig
from nas.config.auto_recipe import images_per_epoch, resolve_recipe
from nas.config.run import MemberConfig, StudySearch, search_of
from nas.engine.duration import TIMEOUT, search_seconds, training_seconds
from nas.engine.placement import LEAST_PIXELS, short_batch
from nas.engine.rivals import fixed_cost
from nas.engine.study_plan import StudyPlan
from nas.executors import LocalExecutor, start_server
from nas.trials import TrialSpec
from search_spaces import Task, get_space

LEAST_STEP, MOST_STEP = 16, 256  # images of a measured step
SECONDS = 10.0  # after which no other network is begun

Speed = tuple[float, float]  # images a second: trained, scored


@dataclass(frozen=True)
class Way:
    """A network, with what its steps cost beside it; ``macs`` of an image, and images of a step that are few."""

    network: str
    regularizer: str
    macs: int
    few: int = LEAST_STEP


def timed_study(plan: StudyPlan) -> StudyPlan:
    """``plan`` with its time, on a CPU and where it makes searches or is otherwise worth measuring."""
    if plan.slots[0].device != "cpu" or (not plan.config.searches and _pixels(plan) < LEAST_PIXELS):
        return plan
    return replace(plan, facts=replace(plan.facts, seconds=study_seconds(plan)))


def study_seconds(plan: StudyPlan) -> float | None:
    """Seconds of all trainings and searches, with one in every slot; None if no network could be measured.

    The network that a search has yet to find counts as the fixed one whose size it gets, and so does each of its
    trials. Those with most to do are measured first, and where there is no time left others count by their
    multiplications.
    """
    config, speeds, specs = plan.config, dict[Way, Speed](), _to_be_timed(plan)
    start_server(plan.slots)
    with LocalExecutor(plan.slots, run=PROBE, trial_timeout=TIMEOUT) as executor, suppress(MeasuringFailed):
        together(executor, next(iter(specs.values())), "wake", len(plan.slots))
        end = time.monotonic() + SECONDS
        for way, spec in specs.items():
            values = together(executor, spec, "time", len(plan.slots), end)
            trained, scored = (min(one[name] for one in values) for name in ("trained_per_second", "scored_per_second"))
            speeds[way] = trained, scored
    if not speeds:
        return None
    macs_a_second = zip(*((each * way.macs for each in speed) for way, speed in speeds.items()), strict=True)
    by_macs = [statistics.median(values) for values in macs_a_second]
    for way in specs.keys() - speeds.keys():
        speeds[way] = by_macs[0] / way.macs, by_macs[1] / way.macs
    trainings = sum(_seconds(plan, member, speeds[_way(plan, member, name)]) for member, name in _trained(config))
    searches = sum(_seconds_of_search(plan, search, speeds) for search in config.searches)
    return trainings * config.seeds / len(plan.slots) + searches


def _trained(config: StudyConfig) -> Iterator[tuple[MemberConfig, str | None]]:
    """Every member, and of one that a search has to find a network for, the fixed one whose size it gets."""
    yield from ((member, member.network) for member in config.members)
    yield from ((_stand_in(member, search), _fixed(search)) for search in config.searches for member in search.members)


def _fixed(search: StudySearch) -> str | None:
    """Fixed network within whose size a search looks; None where the size is given."""
    return search.name if search.name in NETWORKS else None


def _stand_in(member: MemberConfig, search: StudySearch) -> MemberConfig:
    """A member whose network is to be found, with the family's canonical one in its place if no fixed one stands for
    it."""
    if _fixed(search):
        return member
    return member.model_copy(update={"space": search.space, "sample": dict(get_space(search.space).canonical)})


def _way(plan: StudyPlan, member: MemberConfig, network: str | None) -> Way:
    task = Task(plan.facts.input_shape, len(plan.facts.classes))
    if known := plan.facts.members.get(member.name):
        macs = known.cost.macs
    elif network is not None:
        macs = fixed_cost(network, task).macs
    else:
        macs = cost_of(get_space(str(member.space)), member.sample, task).macs
    few = min(LEAST_STEP, member.recipe.batch_size or LEAST_STEP)  # below it steps cost more than their images
    return Way(network or f"{member.space} {member.sample}", member.recipe.regularizer, macs, few)


def _to_be_timed(plan: StudyPlan) -> Mapping[Way, TrialSpec]:
    """A training of each network in short steps, those with most to do first."""
    specs, work = dict[Way, TrialSpec](), Counter[Way]()
    for member, network in _trained(plan.config):
        way = _way(plan, member, network)
        work[way] += way.macs * member.recipe.epochs * images_per_epoch(member.recipe, plan.facts.counts["train"])
        specs[way] = TrialSpec(
            "timed", member.space or "", member.sample, plan.facts.input_shape, len(plan.facts.classes),
            plan.config.data, _in_short_steps(member.recipe, way.macs), seed=0,
            network=FixedNetwork(network, member.settings) if network else None,
        )  # fmt: skip
    return {way: specs[way] for way, _ in work.most_common()}


def _in_short_steps(recipe: Recipe, macs: int) -> Recipe:
    most = min(MOST_STEP, recipe.batch_size or MOST_STEP)
    return recipe.model_copy(update={"batch_size": short_batch(most, macs, LEAST_STEP), "oversampling": "none"})


def _seconds(plan: StudyPlan, member: MemberConfig, speed: Speed) -> float:
    counts, (trained, scored) = plan.facts.counts, speed
    if teachers := _teachers_macs(plan, member):  # they answer to every image that is trained on
        trained = 1 / (1 / trained + teachers / (scored * plan.facts.members[member.name].cost.macs))
    more = sum(counts["test"]) * (2 if plan.config.score_before else 1)
    more += sum(counts["train"]) if plan.config.score_train else 0
    return training_seconds(member.recipe, counts, trained, scored) + more / scored


def _teachers_macs(plan: StudyPlan, member: MemberConfig) -> int:
    """Multiply-accumulates of all that answers beside a member in training."""
    if member.teaching is None:
        return 0
    own = plan.facts.members[member.teaching.member].cost.macs if member.teaching.member else 0
    return own + sum(teacher.macs for teacher in member.teaching.teachers)


def _seconds_of_search(plan: StudyPlan, search: StudySearch, speeds: Mapping[Way, Speed]) -> float:
    study = plan.config
    share = min(1.0, study.search_images / plan.facts.num_images)
    counts = {name: [max(1, round(share * count)) for count in of] for name, of in plan.facts.counts.items()}
    config = search_of(study, search)
    recipe = resolve_recipe(config.recipe, counts["train"], config.objective)[0]
    config = config.model_copy(update={"recipe": recipe}).with_length(recipe.epochs)
    way = _way(plan, _stand_in(search.members[0], search), _fixed(search))
    seconds = training_seconds(config.recipe, counts, *speeds[way])
    return search_seconds(config, seconds, len(plan.slots))


def _pixels(plan: StudyPlan) -> int:
    """That all trainings together see."""
    _, height, width = plan.facts.input_shape
    seen = sum(
        member.recipe.epochs * images_per_epoch(member.recipe, plan.facts.counts["train"])
        for member, _ in _trained(plan.config)
    )
    return seen * plan.config.seeds * height * width
