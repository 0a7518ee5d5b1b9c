"""Confirming the best of a search as a race against the same number of trainings dealt evenly, simulated.

.venv/bin/python benchmarks/race.py TABLE.csv           a table of benchmarks/make_table.py with ten seeds of some
.venv/bin/python benchmarks/race.py --made-up 1         20 networks that vary as much as the seeds of one do

Each repetition deals the ten seeds of every network anew: one is the trial that found it, the others are what
confirmation trains. A search has seen --networks of them, and confirms the best by their trials. Regret is how far
the mean of all ten seeds of the winner is below that of the best network that the search saw; "best" is how often it
is that network.
"stated" is the mean probability that is printed of the winner, "true" how often it is the best of those confirmed.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.engine.race import Round, ScoresOf, rounds
from nas.runs import standings as model
from nas.runs.standings import leader, standings

Floats = npt.NDArray[np.float64]
SEEDS = 10


@dataclass(frozen=True)
class Outcome:
    """Of one confirmation."""

    regret: float
    test: float  # the mean of the winner's test metrics, or of its scores where there are none
    is_best: bool
    is_best_confirmed: bool
    stated: float
    trainings: int
    seeds: int  # of the winner


@dataclass(frozen=True)
class Networks:
    """Measured networks: ``scores_NS`` of seeds, ``test_N`` means."""

    scores_NS: Floats
    test_N: Floats


def read(path: Path) -> Networks:
    """The networks of a table that have all seeds."""
    with path.open() as lines:
        rows = [row for row in csv.DictReader(lines) if all(row.get(f"score:{seed}") for seed in range(SEEDS))]
    if not rows:
        raise SystemExit(f"{path} has no network with {SEEDS} seeds.")
    tests = [name for name in rows[0] if name.startswith("test:")]
    scores = [[float(row[f"score:{seed}"]) for seed in range(SEEDS)] for row in rows]
    return Networks(np.array(scores), np.array([float(row[tests[0]]) if tests else np.nan for row in rows]))


def made_up(ratio: float) -> Networks:
    """20 networks with a variance between them of ``ratio`` times that between seeds, which is as on the digits."""
    random = np.random.default_rng(0)
    means = random.normal(0.975, 0.009 * ratio**0.5, (20, 1))
    scores = means + random.normal(0, 0.009, (20, SEEDS))
    return Networks(scores, scores.mean(1))


Confirm = Callable[[dict[str, float], ScoresOf, dict[str, int]], None]
"""Trials by id with their scores, what seeds score, and how many seeds of each were trained, which it fills in."""


def evenly(networks: int, seeds: int) -> Confirm:
    """As many seeds for each of the first."""

    def confirm(trials: dict[str, float], scores_of: ScoresOf, given: dict[str, int]) -> None:
        given |= dict.fromkeys([*trials][:networks], seeds)

    return confirm


def raced(networks: int, seeds: int) -> Confirm:
    """Confirmation as a search does it."""

    def confirm(trials: dict[str, float], scores_of: ScoresOf, given: dict[str, int]) -> None:
        for training in rounds(trials, networks, seeds, scores_of):
            _train(training, given)

    return confirm


def stepped(*widths: int) -> Confirm:
    """A seed each for the first so many, another for the best so many of those, and so on."""

    def confirm(trials: dict[str, float], scores_of: ScoresOf, given: dict[str, int]) -> None:
        field = [*trials]
        for place, width in enumerate(widths):
            if place:
                ranked = standings([scores_of(each, place) for each in field], [trials[each] for each in field])
                field = [field[best] for best in sorted(range(len(field)), key=lambda each: -ranked[each].mean)]
            field = field[:width]
            _train([(each, place) for each in field], given)

    return confirm


def _train(training: Round, given: dict[str, int]) -> None:
    for trial, seed in training:
        given[trial] = max(given.get(trial, 0), seed + 1)


def simulate(networks: Networks, confirm: Confirm, seen: int, random: np.random.Generator, noise: float) -> Outcome:
    """One repetition. ``noise`` is added to the scores of trials, which train for less than confirmations."""
    chosen = random.choice(len(networks.scores_NS), min(seen, len(networks.scores_NS)), replace=False)
    dealt = {str(row): random.permutation(networks.scores_NS[row]) for row in chosen}
    found = {name: float(scores[0] + random.normal(0, noise)) for name, scores in dealt.items()}
    trials = dict(sorted(found.items(), key=lambda each: -each[1]))
    given: dict[str, int] = {}
    confirm(trials, lambda name, number: list(dealt[name][1 : 1 + number]), given)
    names = list(given)
    ranked = standings([dealt[name][1 : 1 + given[name]] for name in names], [trials[name] for name in names])
    place = leader(ranked)
    winner, means = names[place], networks.scores_NS.mean(1)
    regret = float(means[chosen].max() - means[int(winner)])
    return Outcome(
        regret, float(networks.test_N[int(winner)]), regret == 0,
        bool(means[int(winner)] == max(means[int(name)] for name in names)), ranked[place].probability,
        sum(given.values()), given[winner],
    )  # fmt: skip


POLICIES: dict[int, dict[str, Confirm]] = {
    6: {
        "2 x 3 evenly": evenly(2, 3), "race": raced(2, 3), "steps 4 1 1": stepped(4, 1, 1), "steps 4 2": stepped(4, 2),
        "steps 3 3": stepped(3, 3),
    },
    9: {
        "3 x 3 evenly": evenly(3, 3), "race": raced(3, 3), "steps 4 3 2": stepped(4, 3, 2),
        "steps 5 3 1": stepped(5, 3, 1), "steps 6 2 1": stepped(6, 2, 1), "steps 6 3": stepped(6, 3),
    },
    12: {"4 x 3 evenly": evenly(4, 3), "race": raced(4, 3), "steps 8 2 2": stepped(8, 2, 2)},
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--made-up", type=float, default=1.0, help="variance between networks by that between seeds")
    parser.add_argument("--networks", type=int, default=12, help="that the search saw")
    parser.add_argument("--noise", type=float, default=1.0, help="of trials besides that of a seed, in seeds")
    parser.add_argument("--trainings", type=int, nargs="*", default=[*POLICIES], choices=[*POLICIES])
    parser.add_argument("--draws", dest="repetitions", type=int, default=2000)
    asked = parser.parse_args(arguments)
    model.SAMPLES = 1000  # of each of so many posteriors
    networks = read(asked.table) if asked.table else made_up(asked.made_up)
    within = float(networks.scores_NS.std(1, ddof=1).mean())
    print(
        f"{len(networks.scores_NS)} networks: means {networks.scores_NS.mean():.4f} ± "
        f"{networks.scores_NS.mean(1).std(ddof=1):.4f}, seeds of one ± {within:.4f}; {asked.repetitions} repetitions"
    )
    print(f"{'':14s}  trainings  regret x 1000    against even  test    best  stated  true   winner's seeds")
    for number in asked.trainings:
        even: Floats | None = None
        for name, confirm in POLICIES[number].items():
            outcomes = [
                simulate(networks, confirm, asked.networks, np.random.default_rng(number), asked.noise * within)
                for number in range(asked.repetitions)
            ]
            regret = 1000 * np.array([each.regret for each in outcomes])
            even = regret if even is None else even
            error, apart = regret.std() / len(regret) ** 0.5, (regret - even).std() / len(regret) ** 0.5
            means = [
                float(np.mean([getattr(each, field) for each in outcomes]))
                for field in ("trainings", "test", "is_best", "stated", "is_best_confirmed", "seeds")
            ]
            print(
                f"{name:14s}  {means[0]:9.2f}  {regret.mean():6.2f} ± {error:4.2f}   {(regret - even).mean():+6.2f} ± "
                f"{apart:4.2f}  {means[1]:.4f}  {means[2]:.3f}  {means[3]:.3f}  {means[4]:.3f}  {means[5]:.2f}"
            )


if __name__ == "__main__":
    main()
