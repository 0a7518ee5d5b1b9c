"""The log of a one-shot search, as it would be recorded, without training anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from budgets import Budget, cost_of, costs_of
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig, SupernetConfig
from nas.data import DataConfig
from nas.engine.plan import Plan, start
from nas.engine.trial_loop import submission
from nas.runs import Journal, Listener, as_search
from nas.runs.events import Candidate, CandidatesRanked, SupernetEpoch, SupernetStarted, TrialEnded
from nas.runs.fold import fold
from nas.strategies import Proposal
from nas.trials.spec import TrialResult
from search_spaces import Sample, Task, get_space

TASK = Task((1, 8, 8), 10)
EPOCHS, WARM_UP = 12, 3
SKIP = {"cell": ["edge01", "edge02", "edge12", "edge03", "edge13", "edge23"]}


def plan(**changes: object) -> Plan:
    values = {
        "space": "cell", "budget": Budget(max_params=60_000), "data": DataConfig(), "recipe": Recipe(epochs=EPOCHS),
        "trials": 4, "confirm": 1, "strategy": "darts", "supernet": SupernetConfig(candidates=8),
    }  # fmt: skip
    config = SearchConfig.model_validate(values | changes)
    budget = Budget(max_params=60_000, min_params=30_000)
    counts = {"train": [9] * 10, "test": [9] * 10}
    return Plan(config, get_space(config.space), TASK, budget, "", tuple("0123456789"), [], counts, "digits", "key")


class Log:
    """Writes events as a search does."""

    def __init__(self, folder: Path, *listeners: Listener, **changes: object) -> None:
        self.store = start(plan(**changes), folder)
        self.run = as_search(fold(folder, self.store.entries()))
        self.journal = Journal(self.run, self.store, listeners)
        self.append = self.journal.append
        self.space = get_space(self.run.config.space)

    def supernet(self) -> None:
        self.append(
            SupernetStarted(
                params=1_234_567,
                peak_bytes=640_000_000,
                epochs=EPOCHS,
                warm_up_epochs=WARM_UP if self.has_alphas else 0,
                choices={choice.label: list(choice.values) for choice in self.space.choices},
                skip_choices=SKIP.get(self.space.name, []),
            )
        )

    def epoch(self, number: int, *, turn: float = 1.0) -> None:
        """An epoch in which every choice leans to one of its values, the more the later."""
        self.append(self.epoch_event(number, turn))

    def epoch_event(self, number: int, turn: float = 1.0) -> SupernetEpoch:
        lean = turn * max(0, number - WARM_UP) * 0.4 if self.has_alphas else 0.0
        probabilities = {}
        for position, choice in enumerate(self.space.choices):
            alphas = lean * np.cos(np.arange(len(choice.values)) * 1.3 - position)
            probabilities[choice.label] = (np.exp(alphas) / np.exp(alphas).sum()).tolist()
        learns = self.has_alphas and number > WARM_UP
        skips = [probabilities[label][0] for label in SKIP.get(self.space.name, [])]
        entropies = [-np.dot(p, np.log(p)) / np.log(len(p)) for p in probabilities.values()]
        return SupernetEpoch(
            epoch=number, train_loss=2.3 / number, select_loss=2.0 / number if learns else None,
            penalty=0.1 / number if learns else None, entropy=float(np.mean(entropies)),
            expected_params=80_000.0 - 3_000 * number, likeliest_params=70_000 - 3_000 * number,
            within_budget=min(1.0, 0.1 * number), skip_share=float(np.mean(skips)) if skips else None,
            score=1 - 0.9 / number, temperature=None, learning_rate=0.01, seconds=2.5, probabilities=probabilities,
        )  # fmt: skip

    @property
    def has_alphas(self) -> bool:
        return self.run.config.strategy != "random-oneshot"

    def samples(self, count: int) -> list[Sample]:
        rows = self.space.sample_uniform(np.random.default_rng(0), 5_000)
        fit = self.run.budget.admits(costs_of(self.space, rows, TASK))
        return [self.space.decode(row) for row in rows[fit][:count]]

    def candidates(self, count: int = 8) -> None:
        ranked = [
            Candidate(
                sample=sample,
                params=cost_of(self.space, sample, TASK).params,
                score=0.9 - 0.1 * number,
                log_likelihood=-10.0 - number if self.has_alphas else None,
                far_under=0.9 - 0.1 * number < 0.45,
            )
            for number, sample in enumerate(self.samples(count))
        ]
        self.append(CandidatesRanked(supernet_score=0.9, drawn=4096, fitting=812, seconds=3.2, ranked=ranked))

    def trials(self, scores: Sequence[float]) -> None:
        """The best candidates as trials, one after the other."""
        for number, score in enumerate(scores, start=1):
            name, sample = str(number), self.run.ranked_candidates[number - 1].sample
            self.append(submission(self.run, name, Proposal(sample), stage="search", of=name))
            result = TrialResult(name, "finished", {"rank": {"balanced_accuracy": score}}, seconds=4.0)
            self.append(TrialEnded.of(result, "search"))

    def close(self) -> None:
        self.store.close()
