"""Race of the best trials: which are trained again, with how many seeds each.

Seeds go to those that may still win, as in sequential halving (Karnin, Koren and Somekh, Almost Optimal Exploration in
Multi-Armed Bandits, ICML 2013): all begin with one, and the better half continues (benchmarks/race.py compares others).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from nas.config import SearchConfig
from nas.runs.standings import CLEAR, leader, standings

Round = list[tuple[str, int]]  # trials and which of their seeds, from 0
ScoresOf = Callable[[str, int], Sequence[float]]
"""Of the first so many seeds of a trial the scores of those that finished."""


def widths(networks: int, seeds: int, candidates: int) -> tuple[int, ...]:
    """Number of the ``candidates`` that get their first, second, ... seed: as many trainings as ``networks`` with
    ``seeds`` each. Half of those that begin continue; where candidates are too few for that, more of them do."""
    networks = min(networks, candidates)
    if networks < 2 or seeds < 2:
        return (networks,) * seeds
    first = (4 * networks * seeds // (seeds + 1) + 1) // 2  # to the nearest
    each, more = divmod(networks * seeds - first, seeds - 1)
    found = [first] + [each + (place < more) for place in range(seeds - 1)]
    over = 0
    for place, width in enumerate(found):
        found[place] = min(candidates, width + over)
        over += width - found[place]
    return tuple(found)


def num_waves(config: SearchConfig, num_slots: int) -> int:
    """Number of trainings one after another that confirm the best, ``num_slots`` in parallel: a round awaits the
    last."""
    groups = itertools.groupby(widths(config.confirm, config.confirm_seeds, config.trials))
    return sum(math.ceil(width * len(list(seeds)) / num_slots) for width, seeds in groups)


def rounds(candidates: Mapping[str, float], networks: int, seeds: int, scores_of: ScoresOf) -> Iterator[Round]:
    """Trainings of the race, a round at a time; before the next is asked for, the last has ended.

    ``candidates``: scores of trials by id, the best first. The rounds follow from scores alone, so a race that is begun
    again asks for the same. Once the winner is clear, it alone gets what it lacks of its ``seeds``; so does any other
    that wins, as far as the trainings of all ``networks`` go.
    """
    given = dict.fromkeys(candidates, 0)
    left, done, field = min(networks, len(candidates)) * seeds, 0, list(candidates)
    for width, group in itertools.groupby(widths(networks, seeds, len(candidates))):
        if done:
            field = _best_first(field, candidates, given, scores_of)
        if not field[:width] or (done > 1 and _is_clear(candidates, given, scores_of)):
            break
        field, number = field[:width], len(list(group))
        yield [(trial, done + place) for trial in field for place in range(number)]
        done, left = done + number, left - number * len(field)
        given |= dict.fromkeys(field, done)
    while best := _best_first(candidates, candidates, given, scores_of):
        more = min(seeds - given[best[0]], left)
        if more <= 0:
            return
        yield [(best[0], given[best[0]] + place) for place in range(more)]
        given[best[0]], left = given[best[0]] + more, left - more


def _best_first(
    trials: Iterable[str], candidates: Mapping[str, float], given: Mapping[str, int], scores_of: ScoresOf
) -> list[str]:
    """Of ``trials`` those with a seed that finished, the one that would win at the head."""
    scores = {trial: found for trial in trials if (found := scores_of(trial, given[trial]))}
    if not scores:
        return []
    ranked = standings([*scores.values()], [candidates[trial] for trial in scores])
    ids, first = [*scores], leader(ranked)
    rest = sorted((place for place in range(len(ids)) if place != first), key=lambda place: -ranked[place].mean)
    return [ids[place] for place in (first, *rest)]


def _is_clear(candidates: Mapping[str, float], given: Mapping[str, int], scores_of: ScoresOf) -> bool:
    """True if the winner is known well enough."""
    scores = {trial: found for trial in candidates if (found := scores_of(trial, given[trial]))}
    ranked = standings([*scores.values()], [candidates[trial] for trial in scores])
    first = ranked[leader(ranked)]
    return first.probability >= CLEAR and first.seeds > 1
