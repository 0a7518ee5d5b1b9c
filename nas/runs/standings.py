"""Posterior probability that one network is the best of several, each trained with a few seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.runs.run import SearchRun
from nas.runs.trial_record import TrialRecord, seed_number

RATIOS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)  # variance between networks by that between seeds: equally likely beforehand
SAMPLES = 8_000  # the probability is then within 0.01
WEIGHT = 0.25  # of the score that a network was found with, in seeds: it trained for less, and was chosen by that score
CLEAR = 0.95  # a winner with this probability, and two seeds, needs no more rivals


@dataclass(frozen=True)
class Standing:
    """Of one network among those compared."""

    seeds: int
    mean: float  # expected of another seed: its own mean, shrunk towards that of all, the more the fewer its seeds
    probability: float  # that its mean over endless seeds is the highest


def confirmed(run: SearchRun) -> dict[str, Standing]:
    """By id the trials of a search that were trained again, of which seeds finished."""
    scores = {trial.of: seed_scores(run, trial.of) for trial in run.stage("confirm")}
    ids = [of for of, found in scores.items() if found]
    found_with = [promise(run, run.trials[of]) for of in ids]
    return dict(zip(ids, standings([scores[of] for of in ids], found_with), strict=True))


def promise(run: SearchRun, trial: TrialRecord) -> float:
    """Value of a finished trial for its choice to be confirmed: of a guided search what is expected of it, else its
    score."""
    score = trial.score(run.config.objective)
    return run.expected.get(trial.id, 0.0 if score is None else score)


def promising(run: SearchRun, count: int) -> list[TrialRecord]:
    """The first ``count`` of the finished trials by what they promise, the best first; equal ones by their rank."""
    return sorted(run.ranked(), key=lambda trial: -promise(run, trial))[:count] if run.expected else run.best(count)


def seed_scores(run: SearchRun, trial_id: str, number: int | None = None) -> list[float]:
    """The objective of the seeds that decide about a trial of the search, those that finished of the first ``number``,
    None for all, in their order."""
    seeds = {seed_number(trial.id) - run.first_deciding: trial for trial in run.confirmations(trial_id)}
    scores = [seeds[seed].score(run.config.objective) for seed in sorted(seeds) if number is None or seed < number]
    return [score for score in scores if score is not None]


def leader(ranked: Sequence[Standing]) -> int:
    """The place of the one that wins as things stand: the highest mean of those with two seeds, if any has them."""
    enough = min(2, max(standing.seeds for standing in ranked))
    return max(range(len(ranked)), key=lambda place: (ranked[place].seeds >= enough, ranked[place].mean))


def standings(scores: Sequence[Sequence[float]], found_with: Sequence[float] | None = None) -> list[Standing]:
    """Of each network, from the scores of its seeds, at least one each, and from those that it was ``found_with``.

    The normal model with random effects (Gelman et al., Bayesian Data Analysis, 3rd edition, chapter 5): a score is the
    mean of its network plus noise of one variance for all, and the means of networks are normal around a common one.
    That variance is estimated from all seeds together, which gives tails like those of Student's t. Beforehand, with
    the weight of one seed, it is that of all scores: seeds that are equal by chance are no certainty.
    The posterior is sampled from with a fixed seed: the same scores give the same answer.
    """
    if len(scores) < 2:
        return [Standing(len(of_one), float(np.mean(of_one)), 1.0) for of_one in scores]
    counts_N, means_N = _with_found(scores, found_with)
    everything = np.concatenate([np.asarray(of_one, float) for of_one in scores])
    prior = max(float(everything.var(ddof=1)), 1e-12)
    within = sum(float(((np.asarray(of_one) - np.mean(of_one)) ** 2).sum()) for of_one in scores)
    ratios_R = np.array(RATIOS)[:, None]
    weights_RN = 1 / (ratios_R + 1 / counts_N)
    total_R = weights_RN.sum(1)
    centers_R = (weights_RN * means_N).sum(1) / total_R
    squares_R = prior + within + (weights_RN * (means_N - centers_R[:, None]) ** 2).sum(1)
    degrees = len(everything)  # one less for the common mean, one more for the prior
    log_R = -0.5 * (np.log1p(ratios_R * counts_N).sum(1) + np.log(total_R) + degrees * np.log(squares_R))
    share_R = np.exp(log_R - log_R.max())
    random = np.random.RandomState(0)
    picked_D = random.choice(len(RATIOS), SAMPLES, p=share_R / share_R.sum())
    variance_D = squares_R[picked_D] / random.chisquare(degrees, SAMPLES)
    center_D = centers_R[picked_D] + np.sqrt(variance_D / total_R[picked_D]) * random.standard_normal(SAMPLES)
    precision_DN = counts_N + 1 / ratios_R[picked_D]
    expected_DN = (counts_N * means_N + center_D[:, None] / ratios_R[picked_D]) / precision_DN
    sampled_DN = expected_DN + np.sqrt(variance_D[:, None] / precision_DN) * random.standard_normal(precision_DN.shape)
    won_N = np.bincount(sampled_DN.argmax(1), minlength=len(scores)) / SAMPLES
    # given the ratio, the center is its estimate on average: the mean needs no samples
    mean_N = (share_R / share_R.sum()) @ (
        (counts_N * means_N + centers_R[:, None] / ratios_R) / (counts_N + 1 / ratios_R)
    )
    return [
        Standing(len(of_one), float(mean), float(won)) for of_one, mean, won in zip(scores, mean_N, won_N, strict=True)
    ]


def _with_found(scores: Sequence[Sequence[float]], found_with: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """Weights in seeds, and means. Scores that networks were found with are moved to the level of their first seeds,
    which trained for longer."""
    counts_N = np.array([len(of_one) for of_one in scores], float)
    means_N = np.array([np.mean(of_one) for of_one in scores])
    if found_with is None:
        return counts_N, means_N
    found_N = np.asarray(found_with, float)
    found_N = found_N + (np.array([of_one[0] for of_one in scores]) - found_N).mean()
    return counts_N + WEIGHT, (counts_N * means_N + WEIGHT * found_N) / (counts_N + WEIGHT)
