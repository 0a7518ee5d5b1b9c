"""The predictor against independent computations, and what a guide proposes by it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, rankdata

from budgets import Budget, cost_of
from nas.config.run import EXPLORED
from nas.runs.ranking import average_ranks
from nas.strategies.guide import Guide, Pick
from nas.strategies.predictor import (
    NOISES,
    SCALES,
    Prediction,
    Predictor,
    expected_improvement,
    in_scores,
    normal_scores,
)
from search_spaces import Sample, Task, get_space
from search_spaces.restriction import restricted

TASK = Task((1, 8, 8), 10)
BUDGET = Budget(max_params=60_000, min_params=30_000)
RNG = np.random.default_rng(0)


@dataclass
class Told:
    """As much of a trial's record as a guide reads."""

    id: str
    architecture: str
    sample: Sample
    score: float | None

    @property
    def status(self) -> str:
        return "failed" if self.score is None else "finished"

    def score_so_far(self, objective: str, split: str = "rank") -> float | None:
        return self.score


def told(guide: Guide, number: int, sample: Sample, score: float | None) -> None:
    guide.tell(Told(str(number), guide.space.architecture_id(sample, TASK), sample, score))  # type: ignore[arg-type]


def of(space: str = "resnet", seed: int = 0, budget: Budget = BUDGET) -> Guide:
    return Guide(get_space(space), TASK, budget, seed=seed, objective="accuracy")


def landscape(sample: Sample) -> float:
    """Better with more multiply-accumulates, and with one kind of block."""
    macs = cost_of(get_space("resnet"), sample, TASK).macs
    return np.log(macs) / 20 + 0.1 * (sample["block1"] == "basic") + 0.1 * (sample["stages"] == 2)


def proposed(guide: Guide, count: int, score=landscape) -> list[Pick]:
    picks = []
    for number in range(1, count + 1):
        pick = guide.pick()
        assert pick is not None
        guide.propose(pick.sample)
        told(guide, number, pick.sample, score(pick.sample))
        picks.append(pick)
    return picks


def test_ranks_and_normal_scores_are_those_of_the_textbook() -> None:
    values = RNG.integers(0, 8, 40).astype(float)
    assert np.array_equal(average_ranks(values), rankdata(values))
    assert np.allclose(normal_scores(values), norm.ppf((rankdata(values) - 0.375) / 40.25))
    assert np.allclose(in_scores(normal_scores(values), values), values)
    beyond = in_scores(np.array([-9.0, 9.0]), values)
    assert beyond[0] < values.min() < values.max() < beyond[1]


def test_expected_improvement_is_the_mean_of_what_lies_above() -> None:
    mean, sd, best = 0.3, 0.7, 0.9
    gain, _ = quad(lambda x: (x - best) * norm.pdf(x, mean, sd), best, 12)
    found = expected_improvement(Prediction(np.array([mean]), np.array([sd])), best)
    assert found[0] == pytest.approx(gain, rel=1e-6)


def test_the_process_predicts_what_its_formula_says() -> None:
    """Rasmussen and Williams 2006, equations 2.25 and 2.26, by solving instead of by eigenvalues."""
    known, asked, targets = RNG.normal(size=(20, 5)), RNG.normal(size=(7, 5)), RNG.normal(size=20)
    scale, noise = SCALES[2], float(NOISES[1])
    process = Predictor(known, targets, ((scale, noise, 1.0),))._process
    mean, variance = process.predict(asked)

    def squared(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(-1)

    unit = squared(known, known).mean()
    kernel = np.exp(-squared(known, known) / (2 * unit * scale**2)) + noise * np.eye(20)
    across = np.exp(-squared(asked, known) / (2 * unit * scale**2))
    centred = targets - targets.mean()
    signal = centred @ np.linalg.solve(kernel, centred) / 20
    assert np.allclose(mean, across @ np.linalg.solve(kernel, centred))
    assert np.allclose(variance, signal * (1 - np.einsum("mn,nm->m", across, np.linalg.solve(kernel, across.T))))


def test_the_ridge_is_the_mean_over_its_signals_of_the_regressions_formula() -> None:
    known, asked, targets = RNG.normal(size=(20, 5)), RNG.normal(size=(7, 5)), RNG.normal(size=20)
    ridge = Predictor(known, targets)._ridge
    mean, variance = ridge.predict(asked)
    from nas.strategies.predictor import SIGNALS

    centred, means, variances = targets - targets.mean(), [], []
    for signal in SIGNALS:
        inverse = np.linalg.inv(known.T @ known / 5 + np.eye(5) / signal)
        means.append(asked @ inverse @ known.T @ centred / 5)
        noise = (centred @ centred - centred @ known @ inverse @ known.T @ centred / 5) / 20
        variances.append(noise * np.einsum("md,de,me->m", asked, inverse, asked) / 5)
    assert np.allclose(mean, ridge._weights_S @ np.array(means))
    between = ridge._weights_S @ (np.array(means) - mean) ** 2
    assert np.allclose(variance, ridge._weights_S @ np.array(variances) + between)


def test_a_predictor_ranks_what_it_has_not_seen() -> None:
    def score(x: np.ndarray) -> np.ndarray:
        return x[:, 0] - 0.5 * x[:, 1] + 0.4 * x[:, 2] ** 2

    known, asked = RNG.normal(size=(60, 12)), RNG.normal(size=(300, 12))
    prediction = Predictor(known, normal_scores(score(known) + 0.1 * RNG.normal(size=60))).predict(asked)
    assert np.corrcoef(average_ranks(prediction.mean_M), average_ranks(score(asked)))[0, 1] > 0.8


@pytest.mark.parametrize("space", ["vgg", "cell"])
def test_proposals_fit_are_new_and_depend_on_seed_and_scores(space: str) -> None:
    def score(sample: Sample) -> float:
        return float(np.log(cost_of(get_space(space), sample, TASK).macs))

    guide = of(space)
    picks = proposed(guide, 14, score)
    assert all(not BUDGET.violations(cost_of(guide.space, pick.sample, TASK)) for pick in picks)
    assert len({guide.space.architecture_id(pick.sample, TASK) for pick in picks}) == 14
    assert [pick.predicted is None for pick in picks] == [True] * EXPLORED + [False] * (14 - EXPLORED)
    assert proposed(of(space), 14, score) == picks
    assert proposed(of(space, seed=1), 14, score)[1:] != picks[1:]
    other = proposed(of(space), 14, lambda sample: -score(sample))
    assert other[:EXPLORED] == picks[:EXPLORED] and other[EXPLORED:] != picks[EXPLORED:]


def test_the_canonical_network_comes_first_if_it_fits() -> None:
    wide = of(budget=Budget(max_params=10**9))
    assert proposed(wide, 1)[0].sample == wide.space.canonical
    assert proposed(of(), 1)[0].sample != wide.space.canonical


def test_it_learns_what_is_good_and_says_what_it_expects() -> None:
    picks = proposed(of(), 30)
    scores = [landscape(pick.sample) for pick in picks]
    assert max(scores[EXPLORED:]) > max(scores[:EXPLORED])
    assert np.mean(scores[-8:]) > np.mean(scores[:EXPLORED])
    within = [
        low <= score <= high
        for pick, score in zip(picks, scores, strict=True)
        if pick.predicted
        for _, low, high in [pick.predicted]
    ]
    assert np.mean(within) > 0.75
    assert {pick.parent for pick in picks if pick.parent} <= {str(number) for number in range(1, 31)}


def test_failures_teach_and_those_that_run_are_not_proposed_again() -> None:
    """Whatever has basic blocks first fails: soon nothing of the kind is proposed."""
    picks = proposed(of(), 26, lambda sample: None if sample["block1"] == "basic" else landscape(sample))
    assert sum(pick.sample["block1"] == "basic" for pick in picks[-10:]) <= 2
    guide = of()
    proposed(guide, 8)
    running = []
    for _ in range(6):
        pick = guide.pick()
        assert pick is not None
        guide.propose(pick.sample)
        running.append(guide.space.architecture_id(pick.sample, TASK))
    assert len(set(running)) == 6


def test_all_that_fail_or_score_alike_leave_it_exploring() -> None:
    for score in (None, 0.5):
        assert all(pick.predicted is None for pick in proposed(of(), 9, lambda sample, score=score: score))


def test_a_small_space_is_proposed_to_its_end() -> None:
    whole = get_space("resnet")
    left = {c.label: c.values[:1] for c in whole.choices if c.label not in ("block1", "depth1")}
    guide = Guide(restricted(whole, left), TASK, Budget(), seed=0, objective="accuracy")
    for number in itertools.count(1):
        if (pick := guide.pick()) is None:
            break
        guide.propose(pick.sample)
        told(guide, number, pick.sample, landscape(pick.sample))
    assert number - 1 == 9


def test_of_wide_budgets_every_proposal_is_the_best_of_one_size() -> None:
    guide = of(budget=Budget(max_params=400_000, min_params=5_000))
    macs = [cost_of(guide.space, pick.sample, TASK).macs for pick in proposed(guide, 40)[EXPLORED:]]
    assert max(macs) > 5 * min(macs)  # although the landscape is best at one end


def small(sample: Sample) -> float:
    """The smaller, the better: what exploring does not expect."""
    return 2 - landscape(sample)


def test_a_prior_counts_as_far_as_it_agrees_and_nothing_is_explored_with_it() -> None:
    learned = tuple((pick.sample, small(pick.sample)) for pick in proposed(of(), 25, small))
    misled = tuple((sample, -score) for sample, score in learned)

    def guide(prior: tuple[tuple[Sample, float], ...]) -> Guide:
        failed = (learned[0][0], None)
        return Guide(get_space("resnet"), TASK, BUDGET, seed=5, objective="accuracy", learned=(*prior, failed))

    with_it = [small(pick.sample) for pick in proposed(guide(learned), 4, small)]
    without = [small(pick.sample) for pick in proposed(of(seed=5), 4, small)]
    assert min(with_it) > max(without)
    against_it = [small(pick.sample) for pick in proposed(guide(misled), 25, small)]
    assert max(against_it) > max(without)  # what is found here outweighs it
    shares = []
    for prior in (learned, misled):
        asked = guide(prior)
        proposed(asked, 10, small)
        shares.append(asked._belief().share)
    assert shares[0] > 0.3 and shares[1] < 0.1


def test_what_is_expected_of_trials_says_more_than_their_noisy_scores() -> None:
    """And where nothing can be learned, their own order stays."""
    rng = np.random.default_rng(3)
    guide = of()
    picks = proposed(guide, 40, lambda sample: landscape(sample) + 0.1 * rng.normal())
    truth = [landscape(pick.sample) for pick in picks]
    expected = list(guide.expected().values())
    scores = [known.score for known in guide._known]

    def agreement(values: list[float]) -> float:
        return float(np.corrcoef(average_ranks(values), average_ranks(truth))[0, 1])

    assert agreement(expected) > agreement(scores) + 0.05
    at_random = of()
    proposed(at_random, 12, lambda sample: float(rng.normal()))
    best = max(at_random._known, key=lambda known: known.score)
    assert max(at_random.expected(), key=at_random.expected().__getitem__) == best.trial
    assert of().expected() == {}
