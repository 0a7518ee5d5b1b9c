"""Guide of evolution: proposes, of many feasible samples, the one with the best expected improvement by a predictor.

The first trials explore: the canonical network of the space, and large ones by multiply-accumulates. From then on a
predictor (``nas.strategies.predictor``) rates mutants of the best and fresh samples by expected improvement. Everything
random comes from the seed and the number of the proposal, and what is learned from the trials in the order in which
they ended, so a search that was stopped continues as it would have continued.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from budgets import Budget, Costs, costs_of
from budgets.sampling import distinct, fitting, sample_feasible, sample_near
from nas.config.run import EXPLORED
from nas.runs import TrialRecord
from nas.strategies.predictor import Floats, Grid, Prediction, Predictor, expected_improvement, in_scores, normal_scores
from search_spaces import Sample, SearchSpace, Task
from search_spaces.space import Rows

LARGE = 20  # of them: one of this part of what fits with the most multiply-accumulates
POOL = 1024  # samples that fit, from which fresh candidates come
RENEWED = 50  # proposals after which the pool is sampled anew
FRESH, MUTANTS = 400, 600  # candidates for one proposal
PARENTS = 10  # of the mutants: the best trials
BINS = 8  # of sizes: half of the proposals are the best of one
WIDE = 4  # all of them, where what fits spans a larger factor in parameters
MOST_KNOWN = 150  # trials that a predictor learns from: the best half of them, and the newest
EXACT = 24  # trials up to which noise and smoothness are looked for anew after every one; then after every tenth more
DOUBT = 4  # trials that a prior, of which nothing is known yet, is as good as
OWN = 0.2  # how much a trial's own score adds to what all trials tell of it (benchmarks/RESULTS.md)
INTERVAL = 1.645  # standard deviations on either side that hold 90 %


@dataclass(frozen=True)
class Pick:
    """An architecture to train next, and why. ``predicted``: its score and the interval that holds 90 %, before it was
    trained; None: chosen to explore. ``parent``: the trial that it is a mutant of."""

    sample: Sample
    predicted: tuple[float, float, float] | None = None
    parent: str | None = None


@dataclass(frozen=True)
class _Known:
    """A trial that ended, to a predictor."""

    trial: str
    row: tuple[int, ...]
    score: float  # over rank and select: the mean says more than either; -inf: it failed
    shown: float  # on rank, as tables have it


class Guide:
    """Proposes for one search, told of every proposal and of every trial that ended.

    ``learned`` are samples of this space and scores from another search, None of those that failed: a prior, which
    counts for as much as it agrees with what is found here. With one, nothing is spent on exploring.

    Those that run count with their predicted score, so that several workers do not train the same kind; those that
    failed count below all others.
    """

    def __init__(
        self, space: SearchSpace, task: Task, budget: Budget, *, seed: int, objective: str,
        learned: Sequence[tuple[Sample, float | None]] = (),
    ) -> None:  # fmt: skip
        self.space, self.task, self.budget = space, task, budget
        self._seed, self._objective = seed, objective
        self._learned = learned
        self._proposed: set[str] = set()  # architectures
        self._running: dict[str, tuple[int, ...]] = {}  # rows by architecture
        self._known: list[_Known] = []
        self._pools: dict[int, Rows] = {}  # the newest, by their number
        self._kept: dict[tuple[int, ...], Floats] = {}  # features by row
        self._grids: dict[int, Grid] = {}  # the newest, by the number of trials that they are of

    def propose(self, sample: Sample) -> None:
        """Take note of a proposal, whoever made it."""
        architecture = self.space.architecture_id(sample, self.task)
        self._proposed.add(architecture)
        self._running[architecture] = tuple(self.space.encode(sample).tolist())

    def tell(self, trial: TrialRecord) -> None:
        """Learn from a trial that ended: from the mean of its scores on rank and select, which is less noisy than
        either (benchmarks/RESULTS.md). A pruned one counts with what it had reached."""
        row = self._running.pop(trial.architecture, None) or tuple(self.space.encode(trial.sample).tolist())
        if trial.status == "failed":
            self._known.append(_Known(trial.id, row, -math.inf, -math.inf))
            return
        found = [trial.score_so_far(self._objective, split) for split in ("rank", "select")]
        scores = [score for score in found if score is not None and not math.isnan(score)] or [-math.inf]
        self._known.append(_Known(trial.id, row, sum(scores) / len(scores), scores[0]))

    def pick(self, parent: Sample | None = None) -> Pick | None:
        """The next architecture; mutants of ``parent`` are among the candidates. None: none is left that can be
        found."""
        number = len(self._proposed)
        rng = np.random.default_rng([self._seed, number])
        pool = self._pool(number // RENEWED)
        if len({known.score for known in self._known}) < 2 or (number < EXPLORED and not self._learned):
            return self._explored(number, pool, rng) or self._whatever_is_left(pool, rng)
        best_known = self._best(PARENTS)
        parents = [np.array(known.row, np.int16) for known in best_known]
        origins = [known.trial for known in best_known]
        if parent is not None:
            row = self.space.encode(parent)
            origin = next((known.trial for known in self._known if known.row == tuple(row.tolist())), None)
            parents, origins = [*parents, row], [*origins, origin or "?"]
        candidates, costs, parent_of = self._candidates(np.stack(parents), pool, rng)
        if not len(candidates):
            return self._whatever_is_left(pool, rng)
        belief = self._belief()
        features = self._features(candidates, costs)
        prediction = belief.predict(features)
        # the best score of noisy ones is a lucky one, so the best is sought by its prediction too (Picheny et al. 2013)
        best = float(belief.predict(self._seen(self._learned_from(self._known))).mean_M.max())
        order = np.argsort(-expected_improvement(prediction, best), kind="stable")
        for index in self._of_one_size(costs, order, rng):
            sample = self.space.decode(candidates[index])
            if self._is_new(sample):
                self._kept[tuple(candidates[index].tolist())] = features[index]
                middle, sd = prediction.mean_M[index], np.hypot(prediction.sd_M[index], belief.predictor.noise)
                low_to_high = np.array([middle, middle - INTERVAL * sd, middle + INTERVAL * sd])
                predicted = tuple(round(float(score), 5) for score in in_scores(low_to_high, belief.scores))
                place = int(parent_of[index])
                return Pick(sample, predicted, None if place < 0 else origins[place])  # type: ignore[arg-type]
        return self._whatever_is_left(pool, rng)

    def expected(self) -> dict[str, float]:
        """Expected score of each trial that has one, by all of them together: a noisy one says less than what was
        learned of its like. Where nothing was learned its own decides. Empty while all are alike."""
        known = [each for each in self._known if math.isfinite(each.score)]
        if len({each.score for each in known}) < 2:
            return {}
        belief = self._belief()
        learned, own = belief.predict(self._seen(known)).mean_M, normal_scores(_finite([each.score for each in known]))
        scores = in_scores(learned + OWN * (own - learned), belief.scores)
        return {each.trial: round(float(score), 6) for each, score in zip(known, scores, strict=True)}

    # candidates

    def _pool(self, block: int) -> Rows:
        """Samples that fit, half of them sampled uniformly where that finds enough; the same for a block of
        proposals."""
        if block not in self._pools:
            rng = np.random.default_rng([self._seed, block, 1])
            space, task, budget = self.space, self.task, self.budget
            rows, _ = sample_feasible(space, task, budget, rng)
            for _ in range(3):
                if len(rows) < POOL // 2:
                    rows = distinct(np.concatenate([rows, sample_near(space, task, budget, rows, rng)]))[0]
            uniform = fitting(space, task, budget, space.sample_uniform(rng, 8 * POOL))[: POOL // 2]
            leaning = rng.permutation(rows)[: POOL - len(uniform)]
            self._pools = {block: rng.permutation(distinct(np.concatenate([uniform, leaning]))[0])}
        return self._pools[block]

    def _explored(self, number: int, pool: Rows, rng: np.random.Generator) -> Pick | None:
        """The canonical network first, if it fits; then one of the largest by multiply-accumulates; of any size, if all
        of those ended alike. With a prior the best by it."""
        if self._learned:
            expected = self._prior.predict(self._features(pool)).mean_M
            samples = (self.space.decode(row) for row in pool[np.argsort(-expected, kind="stable")])
            return next((Pick(sample) for sample in samples if self._is_new(sample)), None)
        canonical = self.space.encode(self.space.canonical)
        if number == 0 and len(fitting(self.space, self.task, self.budget, canonical[None])):
            return Pick(dict(self.space.canonical))
        macs = costs_of(self.space, pool, self.task).macs
        count = max(EXPLORED, len(pool) // LARGE) if number < EXPLORED else len(pool)
        large = pool[np.argsort(-macs, kind="stable")[:count]]
        samples = (self.space.decode(row) for row in rng.permutation(large))
        return next((Pick(sample) for sample in samples if self._is_new(sample)), None)

    def _candidates(
        self, parents: Rows, pool: Rows, rng: np.random.Generator
    ) -> tuple[Rows, Costs, npt.NDArray[np.intp]]:
        """Mutants and fresh samples that fit and were not proposed, their costs, and the place of each one's parent;
        -1: none."""
        of = rng.integers(len(parents), size=MUTANTS)
        mutants = self.space.mutants(parents[of], rng, MUTANTS)
        fresh = pool[rng.permutation(len(pool))[:FRESH]]
        rows, first = distinct(np.concatenate([fresh, mutants]))
        of = np.concatenate([np.full(len(fresh), -1), of])[first]
        taken = {known.row for known in self._known} | set(self._running.values())
        new = np.array([tuple(row) not in taken for row in rows.tolist()], bool)
        rows, of = rows[new], of[new]
        costs = costs_of(self.space, rows, self.task)
        fits = self.budget.admits(costs) if len(rows) else np.zeros(0, bool)
        return rows[fits], costs.take(fits), of[fits]

    def _of_one_size(self, costs: Costs, order: npt.NDArray[np.intp], rng: np.random.Generator) -> Sequence[int]:
        """``order``, or those of it within one bin of sizes: else all proposals end at one size, and what is
        good at others is not learned."""
        if rng.random() < 0.5 and not self._is_wide:
            return list(map(int, order))
        size = np.log(np.maximum(costs.macs, 1))
        bins = np.minimum((size - size.min()) / max(np.ptp(size), 1e-9) * BINS, BINS - 1).astype(int)
        return list(map(int, order[bins[order] == rng.choice(np.unique(bins))]))

    def _whatever_is_left(self, pool: Rows, rng: np.random.Generator) -> Pick | None:
        """Anything that fits and is new: first of the pool, then of what lies around it and anywhere else."""
        around = sample_near(self.space, self.task, self.budget, pool, rng)
        anywhere, _ = sample_feasible(self.space, self.task, self.budget, rng)
        rows = np.concatenate([pool, around, anywhere])
        _, first = np.unique(rows, axis=0, return_index=True)  # a small space is sampled again and again
        samples = (self.space.decode(rows[place]) for place in np.sort(first))
        return next((Pick(sample) for sample in samples if self._is_new(sample)), None)

    def _is_new(self, sample: Sample) -> bool:
        return self.space.architecture_id(sample, self.task) not in self._proposed

    # what was learned

    def _best(self, count: int) -> list[_Known]:
        return sorted(self._known, key=lambda known: -known.score)[:count]

    def _belief(self) -> _Belief:
        """Expectation of any network, by the trials known and those that run."""
        features, known = self._features, self._learned_from(self._known)
        scores = _finite([each.score for each in known])
        seen, targets = self._seen(known), normal_scores(scores)
        prior = self._prior if self._learned else None
        share = 0.0
        if prior is not None:
            expected = prior.predict(seen).mean_M
            share = _share(expected, targets)
            targets = targets - share * expected
        predictor = Predictor(seen, targets, self._grid())
        if self._running:
            running = features(list(self._running.values()))
            as_expected = predictor.predict(running).mean_M
            seen, targets = np.concatenate([seen, running]), np.concatenate([targets, as_expected])
            predictor = Predictor(seen, targets, predictor.grid)
        return _Belief(predictor, prior, share, _finite([each.shown for each in known]))

    def _seen(self, known: Sequence[_Known]) -> Floats:
        """The features (N, D) of trials; those of each are computed once."""
        if missing := [each.row for each in known if each.row not in self._kept]:
            self._kept |= zip(missing, self._features(missing), strict=True)
        return np.stack([self._kept[each.row] for each in known])

    @cached_property
    def _is_wide(self) -> bool:
        """True if what fits is of very different sizes."""
        params = costs_of(self.space, self._pool(0), self.task).params
        return bool(params.max() > WIDE * max(params.min(), 1))

    @cached_property
    def _features(self) -> _Features:
        return _Features(self.space, self.task, self._pool(0))

    @cached_property
    def _prior(self) -> Predictor:
        """Prior that the other search tells."""
        rows = [tuple(self.space.encode(sample).tolist()) for sample, _ in self._learned]
        scores = [-math.inf if score is None else score for _, score in self._learned]
        known = self._learned_from([_Known("", row, score, score) for row, score in zip(rows, scores, strict=True)])
        return Predictor(
            self._features([each.row for each in known]), normal_scores(_finite([each.score for each in known]))
        )

    def _grid(self) -> Grid | None:
        """Smoothness and noise of scores; None: to be found with what is known now."""
        count = len(self._known)
        if count <= EXACT:
            return None
        when = int(EXACT * 1.1 ** math.floor(math.log(count / EXACT, 1.1)))
        if when not in self._grids:
            known = self._learned_from(self._known[:when])
            found = Predictor(self._seen(known), normal_scores(_finite([each.score for each in known])))
            self._grids = {when: found.grid}
        return self._grids[when]

    @staticmethod
    def _learned_from(known: list[_Known]) -> list[_Known]:
        if len(known) <= MOST_KNOWN:
            return known
        newest = known[-MOST_KNOWN // 2 :]
        best = sorted(known[: -MOST_KNOWN // 2], key=lambda each: -each.score)[: MOST_KNOWN // 2]
        return best + newest


@dataclass(frozen=True)
class _Belief:
    """Expectation of a predictor, on top of a share of what a prior expects. ``scores`` are those on rank, in which
    predictions are told."""

    predictor: Predictor
    prior: Predictor | None
    share: float
    scores: Floats

    def predict(self, features_MD: Floats) -> Prediction:
        """Of M networks."""
        found = self.predictor.predict(features_MD)
        if self.prior is None:
            return found
        return Prediction(found.mean_M + self.share * self.prior.predict(features_MD).mean_M, found.sd_M)


def _share(expected_N: Floats, targets_N: Floats) -> float:
    """Weight of a prior, 0 to 1, that expects ``expected_N`` where ``targets_N`` were found: a half before there are
    any, then as far as they agree. It is a regression through the origin with four trials of a half ahead."""
    square = float((expected_N**2).sum())
    ahead = DOUBT * square / len(targets_N)
    return min(max((float(expected_N @ targets_N) + ahead / 2) / max(square + ahead, 1e-9), 0.0), 1.0)


def _finite(scores_N: Sequence[float]) -> Floats:
    """Scores (N,), those of failures below all others."""
    scores = np.array(scores_N, float)
    reached = scores[np.isfinite(scores)]
    return np.where(np.isfinite(scores), scores, reached.min() - 1e-6 if len(reached) else 0.0)


class _Features:
    """Networks as numbers: the place of each number among its values, words one-hot, log parameters and log MACs; of
    mean 0 and standard deviation 1 over ``pool``. Numbers as words would hide that 24 is between 16 and 32."""

    def __init__(self, space: SearchSpace, task: Task, pool: Rows) -> None:
        self._space, self._task = space, task
        raw = self._raw(pool)
        self._mean, sd = raw.mean(axis=0), raw.std(axis=0)
        self._varies = sd > 1e-9
        self._sd = sd[self._varies]

    def __call__(self, rows: Rows | Sequence[tuple[int, ...]], costs: Costs | None = None) -> Floats:
        """(N, D) of N rows, whose costs may be known."""
        raw = self._raw(np.asarray(rows, np.int16), costs)
        return np.asarray((raw - self._mean)[:, self._varies] / self._sd, float)

    def _raw(self, rows: Rows, costs: Costs | None = None) -> Floats:
        costs = costs or costs_of(self._space, rows, self._task)
        columns: list[npt.NDArray[np.generic]] = [np.log(np.maximum(each, 1)) for each in (costs.params, costs.macs)]
        for index, choice in enumerate(self._space.choices):
            is_word = any(isinstance(value, str) for value in choice.values)
            places = range(len(choice.values)) if is_word else [None]
            columns += [rows[:, index] if place is None else rows[:, index] == place for place in places]
        return np.column_stack(columns).astype(float)
