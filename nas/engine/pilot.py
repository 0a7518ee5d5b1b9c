"""How long a winner should train, measured: a network is trained twice as long until that gains nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from nas.autotune.cache import Cache
from nas.config.auto_recipe import LEAST_EPOCHS, MOST_EPOCHS
from nas.data.cache import cache_root
from nas.engine.placement import typical
from nas.engine.plan import Plan
from nas.errors import TrialError
from nas.executors import Executor, LocalExecutor, each_result
from nas.trials import TrialResult, TrialSpec

VERSION = 2  # of what is trained and how it is judged; another makes what was remembered unknown
MOST_PILOTED = 2 * MOST_EPOCHS  # what only the rule says ends sooner than what is seen to gain
PLACE = 0.1  # of the network among those that fit, by multiplications: a fast one, so that the pilot stays short
LEAST_TRAININGS = 12  # of the search; a shorter one is not worth a pilot

Say = Callable[[str], None]


@dataclass(frozen=True)
class Lesson:
    """What one training of the pilot learned, on the select split."""

    epochs: int
    batch_size: int
    score: float  # of the objective
    noise: float  # standard error of the score, from the images of the split


def piloted(plan: Plan, say: Say | None = None) -> Plan:
    """``plan`` with the epochs and the batch that a pilot found to pay; as it is where none is worth its time.

    Starts from the rule of ``nas.config.auto_recipe`` and never goes below it. Trains about a tenth of what the search
    will; what it found is kept beside the data's cache. A training that fails ends the pilot, not the search.
    """
    if not is_worth_it(plan):
        return plan
    began, cache, facts = time.monotonic(), Cache(Path(cache_root(plan.config.data.cache_dir), "pilot")), identity(plan)
    lessons = cache.find_as(TypeAdapter(list[Lesson]), facts)
    if not lessons:
        if say is not None:
            say("Finding how long to train: the same network shorter and longer (--epochs N leaves this out)")
        try:
            with LocalExecutor(plan.slots, trial_timeout=plan.config.trial_timeout) as executor:
                lessons = Pilot(plan, executor).lessons()
        except TrialError as error:
            return replace(plan, recipe_note=joined(plan.recipe_note, f"no pilot: {error}"))
        cache.add(facts, [asdict(lesson) for lesson in lessons])
    chosen = choice(lessons)
    recipe = plan.config.recipe.model_copy(update={"batch_size": chosen.batch_size})
    config = plan.config.model_copy(update={"recipe": recipe}).with_length(chosen.epochs)
    return replace(plan, config=config, recipe_note=joined(plan.recipe_note, told(lessons, time.monotonic() - began)))


def is_worth_it(plan: Plan) -> bool:
    """Whether the length was left open, may be more than the least, and the search is long enough to pay for this."""
    config = plan.config
    trainings = config.trials + config.num_confirmations
    return (
        plan.open_epochs
        and config.final_epochs > LEAST_EPOCHS
        and trainings >= LEAST_TRAININGS
        and config.time_limit is None
    )


def identity(plan: Plan) -> dict[str, object]:
    """Everything that a pilot's answer depends on, of what JSON can hold."""
    config = plan.config
    return {
        "version": VERSION,
        "data": plan.data_key,
        "space": plan.space.name,
        "budget": plan.budget.limits,
        "recipe": config.confirm_recipe.model_dump(mode="json"),
        "objective": config.objective,
    }


class Pilot:
    """The trainings: the rule's length, half of it with two batches, and doubled while that gains."""

    def __init__(self, plan: Plan, executor: Executor) -> None:
        self.plan, self.executor, self.recipe = plan, executor, plan.config.confirm_recipe
        self.spec = replace(typical(plan, PLACE), objective=plan.config.objective)

    def lessons(self) -> list[Lesson]:
        """The rule's length first, then its half with the rule's batch and with the smaller one. TrialError if a
        training fails."""
        epochs, size = self.recipe.epochs, self.recipe.batch_size
        assert size is not None
        half = math.ceil(epochs / 2)
        found = self._trained([(epochs, size), (half, size), (half, max(2, size // 2))])
        if (better := better_batch(found)) != size:
            found += self._trained([(epochs, better)])
        while still_gains(found, better) and 2 * epochs <= MOST_PILOTED:
            epochs *= 2
            found += self._trained([(epochs, better)])
        return found

    def _trained(self, wanted: Sequence[tuple[int, int]]) -> list[Lesson]:
        """A training for each (epochs, batch); the results in this order. TrialError if one fails."""
        results: dict[str, TrialResult] = {}
        for result in each_result(self.executor, [self._spec(epochs, size) for epochs, size in wanted]):
            if result.status != "finished":
                raise TrialError(f"a training of {result.id} failed: {result.error}")
            results[result.id] = result
        return [self._lesson(epochs, size, results[f"{epochs}x{size}"]) for epochs, size in wanted]

    def _spec(self, epochs: int, size: int) -> TrialSpec:
        recipe = self.recipe.model_copy(update={"epochs": epochs, "batch_size": size})
        return replace(self.spec, id=f"{epochs}x{size}", recipe=recipe)

    def _lesson(self, epochs: int, size: int, result: TrialResult) -> Lesson:
        figures = result.metrics["select"]
        score, recall = figures[self.plan.config.objective], figures["recall_by_class"]
        assert isinstance(score, float) and isinstance(recall, list)
        noise = standard_error(np.array(recall, float), np.array(self.plan.counts["select"], float))
        return Lesson(epochs, size, score, noise)


def standard_error(recall_C: np.ndarray, counts_C: np.ndarray) -> float:
    """Of the mean recall over classes: each is a share of ``counts_C`` images, of classes that have some."""
    present = counts_C > 0
    shares, counts = recall_C[present], counts_C[present]
    shares = (shares * counts + 1) / (counts + 2)  # a class that is all right or all wrong is not certain
    return float(np.sqrt((shares * (1 - shares) / counts).sum()) / present.sum())


def of_batch(lessons: Sequence[Lesson], size: int) -> list[Lesson]:
    """Those with batches of ``size``, the shortest first."""
    return sorted((lesson for lesson in lessons if lesson.batch_size == size), key=lambda lesson: lesson.epochs)


def better_batch(lessons: Sequence[Lesson]) -> int:
    """The rule's batch, or half of it where that is clearly better after half the epochs: in as many steps.

    Trainings with it take up to twice as long, so it must be better by twice the standard error of a difference.
    """
    whole, _, smaller = lessons[:3]
    clear = 2 * math.hypot(whole.noise, smaller.noise)
    return smaller.batch_size if smaller.score - whole.score > clear else whole.batch_size


def still_gains(lessons: Sequence[Lesson], size: int) -> bool:
    """Whether the longest training was clearly better than the one half as long."""
    return gains(*of_batch(lessons, size)[-2:])


def gains(shorter: Lesson, longer: Lesson) -> bool:
    """Whether a longer training was better by more than the noise of its score."""
    return longer.score - shorter.score > longer.noise


def choice(lessons: Sequence[Lesson]) -> Lesson:
    """The length and batch to train with: the longest that gained, at least the rule's."""
    size = better_batch(lessons)
    known = of_batch(lessons, size)
    chosen = known[1]
    for longer in known[2:]:
        if gains(chosen, longer):
            chosen = longer
    return chosen


def told(lessons: Sequence[Lesson], seconds: float) -> str:
    """What was found, in a phrase."""
    known = of_batch(lessons, better_batch(lessons))
    scores = ", ".join(f"{lesson.score:.3f} after {lesson.epochs}" for lesson in known)
    spent = f" ({seconds:.0f} s)" if seconds >= 1 else ""
    return f"a pilot scored {scores} epochs in batches of {known[0].batch_size}{spent}"


def joined(*phrases: str) -> str:
    """Phrases that say something, in one sentence."""
    return "; ".join(filter(None, phrases))
