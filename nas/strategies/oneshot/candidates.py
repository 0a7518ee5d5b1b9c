"""Candidates of a one-shot search: feasible architectures, ranked with the supernet's weights.

Whatever the alphas prefer, every candidate fits: the likeliest of those that the budget admits are kept, and
ranked by what they score with the weights that they inherit.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from baselines.metrics import METRICS
from budgets import Budget, costs_of
from budgets.sampling import distinct, fitting, pick
from nas.runs.events import Candidate, CandidatesRanked
from nas.strategies.oneshot.alphas import Probabilities, as_arrays, log_likelihood, sample
from nas.strategies.oneshot.candidate_pool import Pool
from nas.strategies.oneshot.training import SupernetTraining
from nas.trials.spec import derived_seed
from search_spaces import SearchSpace, Task
from search_spaces.space import Rows

SAMPLES = 20_000
KEPT = 512  # of the likeliest, between the rounds of a climb
CLIMBERS, MUTANTS, ROUNDS = 64, 64, 8
FAR_UNDER = 0.5  # share of what the supernet scores above guessing, below which a candidate is called far under it


def ranked_candidates(training: SupernetTraining) -> CandidatesRanked:
    """At least one candidate, the best first."""
    started = time.perf_counter()
    config, space, task = training.config, training.space, training.task
    rng = np.random.default_rng(derived_seed(config.seed, "supernet candidates"))
    if training.pool is None:
        arrays = as_arrays(space, training.choices.probabilities())
        rows, fitting = likeliest_fitting(space, task, training.budget, arrays, rng)
        rows = _different(space, task, rows, config.supernet.candidates)
        likelihoods: list[float | None] = log_likelihood(arrays, rows).tolist()
        sampled = SAMPLES
    else:
        rows = fitting_over_sizes(space, task, training.pool, rng, config.supernet.candidates)
        likelihoods, sampled, fitting = [None] * len(rows), len(training.pool.rows), len(training.pool.rows)
    supernet_score = training.score("rank")
    candidates = _ranked(training, rows, likelihoods, supernet_score)
    return CandidatesRanked(supernet_score, sampled, fitting, time.perf_counter() - started, candidates)


def likeliest_fitting(
    space: SearchSpace, task: Task, budget: Budget, probabilities: Probabilities, rng: np.random.Generator
) -> tuple[Rows, int]:
    """Rows that fit, the likeliest first, and how many of ``SAMPLES`` fitted. Never empty for a resolved budget.

    Samples from the distribution and rows that fit for sure, then a climb: mutants that fit and are likelier.
    """
    sampled = sample(probabilities, rng, SAMPLES)
    sampled = fitting(space, task, budget, sampled)
    pool = Pool(space, task, budget, seed=int(rng.integers(2**31)))
    rows = _best(probabilities, np.concatenate([sampled, pool.rows]))
    for _ in range(ROUNDS):
        mutants, _ = distinct(np.concatenate([space.mutants(row, rng, MUTANTS) for row in rows[:CLIMBERS]]))
        worst = log_likelihood(probabilities, rows[-1:])[0]
        mutants = mutants[log_likelihood(probabilities, mutants) > worst]
        mutants = fitting(space, task, budget, mutants)
        rows = _best(probabilities, np.concatenate([rows, mutants]))
    return rows, len(sampled)


def fitting_over_sizes(space: SearchSpace, task: Task, pool: Pool, rng: np.random.Generator, count: int) -> Rows:
    """``count`` rows of the pool distributed over sizes, of different architectures; fewer if it has not as many."""
    rows, params = pool.rows, pool.params
    left, order = np.arange(len(rows)), list[int]()
    while len(left) and len(order) < 4 * count:  # some are the same network
        index = pick(params[left], rng)
        order.append(int(left[index]))
        left = np.delete(left, index)
    return _different(space, task, rows[order], count)


def is_far_under(score: float, supernet_score: float, num_classes: int) -> bool:
    """True if a score has less than half of the supernet's lead on guessing, which scores about 1 / classes."""
    chance = 1 / num_classes
    return score - chance < FAR_UNDER * (supernet_score - chance)


def note_on_collapse(found: CandidatesRanked) -> str | None:
    """A sentence about candidates that are far under the supernet; None if there are none."""
    far = [candidate.score for candidate in found.ranked if candidate.far_under]
    if not far:
        return None
    scores = ", ".join(f"{score:.3f}" for score in far[:4]) + (", ..." if len(far) > 4 else "")
    return (
        f"{len(far)} of {len(found.ranked)} candidates are less than half as far above chance level as the "
        "supernet's own"
        f" {found.supernet_score:.3f} with inherited weights ({scores}): the shared weights do not suit these "
        "architectures by themselves, so their rank is unreliable. Only training them as trials shows how good "
        "they are."
    )


def _best(probabilities: Probabilities, rows: Rows) -> Rows:
    """The ``KEPT`` likeliest of the different rows, the likeliest first; equally likely ones in a fixed order."""
    rows, _ = distinct(rows)
    return rows[np.argsort(-log_likelihood(probabilities, rows), kind="stable")[:KEPT]]


def _different(space: SearchSpace, task: Task, rows: Rows, count: int) -> Rows:
    """The first ``count`` rows that build different networks."""
    kept: dict[str, int] = {}
    for index, row in enumerate(rows):
        kept.setdefault(space.architecture_id(space.decode(row), task), index)
        if len(kept) == count:
            break
    return rows[list(kept.values())]


def _ranked(
    training: SupernetTraining, rows: Rows, likelihoods: list[float | None], supernet_score: float
) -> list[Candidate]:
    """Best score first; equal scores: the likelier first."""
    images = training.images
    seed = derived_seed(training.config.seed, "supernet calibration")
    batches = images.calibration(torch.Generator(images.device).manual_seed(seed))
    costs = costs_of(training.space, rows, training.task)
    candidates = []
    for row, params, likelihood in zip(rows, costs.params, likelihoods, strict=True):
        sample = training.space.decode(row)
        score = training.score_of(training.supernet.inherit(sample), batches, "rank")
        known = training.config.objective in METRICS  # what guessing scores
        far_under = known and is_far_under(score, supernet_score, training.task.num_classes)
        candidates.append(Candidate(sample, int(params), likelihood, score, far_under))
    return sorted(candidates, key=lambda candidate: (-candidate.score, -(candidate.log_likelihood or 0.0)))
