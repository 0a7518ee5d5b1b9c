"""Importance of choices for the score, as far as so few trials can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.report.metric_text import NONE
from nas.runs import SearchRun, TrialRecord
from nas.runs.ranking import average_ranks
from search_spaces import Sample

LEAST_TRIALS = 8  # below, even one choice that decides everything could not be told from chance
GROUPS = 4  # that a choice of many numbers is divided into
SHUFFLES = 999
SIGNIFICANT = 0.05
SIZES = ("parameters", "MACs")  # no choices, but what choices come to


@dataclass(frozen=True)
class Importance:
    """Of a choice: the ``share`` of the variance of the scores' ranks that its values explain, each choice taken alone
    (epsilon squared of the Kruskal-Wallis test, Kelley 1935: 0 if nothing, in the mean over chance), and the ``p`` of
    as large a share by chance, times the choices that were looked at (Holm 1979)."""

    name: str
    share: float
    p: float
    best: str  # the value, or values from and to, with the highest mean score
    groups: int

    @property
    def is_clear(self) -> bool:
        """True if chance alone would seldom give it."""
        return self.p < SIGNIFICANT


@dataclass(frozen=True)
class Importances:
    """Of every choice that varied, the largest share first. ``remark``: why nothing can be told, if so."""

    trials: int
    found: tuple[Importance, ...]
    remark: str | None = None


def decisive_samples(run: SearchRun, trials: Sequence[TrialRecord]) -> list[Sample]:
    """Decisive choices of each trial: without those of stages that its network has not. Whole samples, where the
    plug-in of the space cannot be used."""
    if run.plugin_errors:
        return [trial.sample for trial in trials]
    return [run.space.decisive(trial.sample, run.task) for trial in trials]


def importances(run: SearchRun) -> Importances:
    """Importances from the finished trials of a search. They are no random sample where a strategy chose them."""
    trials = [trial for trial in run.stage("search") if trial.status == "finished"]
    scores = [trial.score(run.config.objective) or 0.0 for trial in trials]
    columns: dict[str, list[int | str]] = {}
    samples = decisive_samples(run, trials)
    for name in dict.fromkeys(label for sample in samples for label in sample):
        columns[name] = [sample.get(name, NONE) for sample in samples]
    columns |= {"parameters": [t.cost.params for t in trials], "MACs": [t.cost.macs for t in trials]}
    return importances_of(columns, scores)


def importances_of(columns: Mapping[str, Sequence[int | str]], scores: Sequence[float]) -> Importances:
    """By name of a choice, from its value in each trial and the trials' scores."""
    count = len(scores)
    if count < LEAST_TRIALS:
        return Importances(
            count, (), f"{count} trials finished, and at least {LEAST_TRIALS} are needed to estimate importance."
        )
    groups = {name: _groups(values) for name, values in columns.items()}
    groups = {name: group for name, group in groups.items() if 1 < len(group[1]) < count}
    if not groups or len(set(scores)) == 1:
        return Importances(count, (), "All trials have the same score, or no choice differs between them.")
    ranks = average_ranks(scores)
    random = np.random.RandomState(0)
    shuffled = np.stack([ranks, *(random.permutation(ranks) for _ in range(SHUFFLES))])
    found = []
    for name, (members, words) in groups.items():
        shares = _shares(shuffled, members, len(words))
        p = float((shares >= shares[0] - 1e-12).mean())
        means = [float(np.asarray(scores)[members == group].mean()) for group in range(len(words))]
        found.append((float(shares[0]), p, name, words[int(np.argmax(means))], len(words)))
    found.sort(key=lambda one: one[1])
    corrected, highest = [], 0.0
    for place, (share, p, name, best, number) in enumerate(found):
        highest = max(highest, min(1.0, p * (len(found) - place)))
        corrected.append(Importance(name, max(0.0, share), highest, best, number))
    ranked = tuple(sorted(corrected, key=lambda one: -one.share))
    unclear = None if any(one.is_clear for one in ranked) else (
        f"No choice can be told from chance after {count} trials."
    )  # fmt: skip
    return Importances(count, ranked, unclear)


def _groups(values: Sequence[int | str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The group of each value, and the groups in words: the values, or of many numbers ranges of about equal size."""
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    numbers = all(not isinstance(value, str) for value in distinct)
    if not numbers or len(distinct) <= GROUPS:
        place = {value: number for number, value in enumerate(distinct)}
        return np.array([place[value] for value in values]), [str(value) for value in distinct]
    array = np.asarray(values, float)
    edges = np.unique(np.quantile(array, np.linspace(0, 1, GROUPS + 1)[1:-1], method="lower"))
    members = np.searchsorted(edges, array, side="left")
    _, members = np.unique(members, return_inverse=True)
    words = []
    for group in range(members.max() + 1):
        inside = array[members == group]
        low, high = f"{inside.min():,.0f}", f"{inside.max():,.0f}"
        words.append(low if low == high else f"{low} to {high}")
    return members, words


def _shares(ranks_SN: npt.NDArray[np.float64], members: npt.NDArray[np.int64], groups: int) -> npt.NDArray[np.float64]:
    """Epsilon squared of every row of ranks: 1 - (variance within groups) / (variance), each by its degrees of
    freedom."""
    count = ranks_SN.shape[1]
    indicator_NG = np.eye(groups)[members]
    sums_SG = ranks_SN @ indicator_NG
    between = (sums_SG**2 / indicator_NG.sum(0)).sum(1) - ranks_SN.sum(1) ** 2 / count
    total = ((ranks_SN - ranks_SN.mean(1, keepdims=True)) ** 2).sum(1)
    shares: npt.NDArray[np.float64] = 1 - (total - between) / (count - groups) / (total / (count - 1))
    return shares
