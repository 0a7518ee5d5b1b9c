"""How long a study will take, measured: each of its networks is trained for a few steps."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from baselines import FixedNetwork
from nas.autotune.workers import PROBE, MeasuringFailed, together
from nas.config import Recipe, StudyConfig
from nas.config.auto_recipe import images_per_epoch, settled
from nas.config.run import MemberConfig, StudySearch, search_of
from nas.engine.duration import TIMEOUT, search_seconds, training_seconds
from nas.engine.placement import LEAST_PIXELS, MACS_OF_STEP
from nas.engine.study_plan import StudyPlan
from nas.executors import LocalExecutor, start_server
from nas.trials import TrialSpec

LEAST_STEP, MOST_STEP = 16, 256  # images of a measured step
SECONDS = 30.0  # after which no other network is begun

Speed = tuple[float, float]  # images a second: trained, scored
Way = tuple[str, str]  # a network and what its steps cost beside it, as a key


def timed_study(plan: StudyPlan) -> StudyPlan:
    """``plan`` with its time, on a CPU and where it is long enough to be worth measuring."""
    if plan.slots[0].device != "cpu" or _pixels(plan) < LEAST_PIXELS:
        return plan
    return replace(plan, facts=replace(plan.facts, seconds=study_seconds(plan)))


def study_seconds(plan: StudyPlan) -> float | None:
    """Seconds of all trainings and searches, with one in every slot; None if a network could not be measured.

    The network that a search has yet to find counts as the fixed one whose size it gets, and so does each of its
    trials.
    """
    speeds = dict[Way, Speed]()
    start_server(plan.slots)
    end = time.monotonic() + SECONDS
    with LocalExecutor(plan.slots, run=PROBE, trial_timeout=TIMEOUT) as executor, suppress(MeasuringFailed):
        for way, spec in _to_be_timed(plan).items():
            figures = together(executor, spec, "time", min(len(plan.slots), executor.num_slots), end)
            speeds[way] = (
                min(one["trained_per_second"] for one in figures),
                min(one["scored_per_second"] for one in figures),
            )
    config, num_slots = plan.config, len(plan.slots)
    if speeds.keys() != _to_be_timed(plan).keys():
        return None
    trainings = sum(_seconds(plan, member, speeds[_way(member, name)]) for member, name in _trained(config))
    searches = sum(_seconds_of_search(plan, search, speeds) for search in config.searches)
    return trainings * config.seeds / num_slots + searches


def _trained(config: StudyConfig) -> Iterator[tuple[MemberConfig, str | None]]:
    """Every member, and of one that a search has to find a network for, the fixed one whose size it gets."""
    yield from ((member, member.network) for member in config.members)
    yield from ((member, search.name) for search in config.searches for member in search.members)


def _way(member: MemberConfig, network: str | None) -> Way:
    return network or f"{member.space} {member.sample}", member.recipe.regularizer


def _to_be_timed(plan: StudyPlan) -> Mapping[Way, TrialSpec]:
    specs = dict[Way, TrialSpec]()
    for member, network in _trained(plan.config):
        fixed = FixedNetwork(network, member.settings) if network else None
        specs.setdefault(
            _way(member, network),
            TrialSpec(
                "timed", member.space or "", member.sample, plan.facts.input_shape, len(plan.facts.classes),
                plan.config.data, _in_short_steps(plan, member), seed=0, network=fixed,
            ),
        )  # fmt: skip
    return specs


def _in_short_steps(plan: StudyPlan, member: MemberConfig) -> Recipe:
    beside = plan.facts.members.get(member.name) or plan.facts.members.get(member.beside or "")
    macs = beside.cost.macs if beside else MACS_OF_STEP
    size = min(MOST_STEP, member.recipe.batch_size or MOST_STEP, max(LEAST_STEP, int(MACS_OF_STEP / (3 * macs))))
    return member.recipe.model_copy(update={"batch_size": size, "oversampling": "none"})


def _seconds(plan: StudyPlan, member: MemberConfig, speed: Speed) -> float:
    counts = plan.facts.counts
    return training_seconds(member.recipe, counts, *speed) + sum(counts["test"]) / speed[1]


def _seconds_of_search(plan: StudyPlan, search: StudySearch, speeds: Mapping[Way, Speed]) -> float:
    study = plan.config
    share = min(1.0, study.search_images / plan.facts.num_images)
    counts = {name: [max(1, round(share * count)) for count in of] for name, of in plan.facts.counts.items()}
    config = search_of(study, search)
    recipe = settled(config.recipe, counts["train"], config.objective)[0]
    config = config.model_copy(update={"recipe": recipe}).with_length(recipe.epochs)
    seconds = training_seconds(config.recipe, counts, *speeds[_way(search.members[0], search.name)])
    return search_seconds(config, seconds, len(plan.slots))


def _pixels(plan: StudyPlan) -> float:
    """That all trainings together see."""
    _, height, width = plan.facts.input_shape
    seen = sum(
        member.recipe.epochs * images_per_epoch(member.recipe, plan.facts.counts["train"])
        for member, _ in _trained(plan.config)
    )
    return seen * plan.config.seeds * height * width if plan.config.members else math.inf
