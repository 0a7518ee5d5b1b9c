"""A strategy: a neighbour of the best architecture so far, or now and then any other."""

import numpy as np

from nas.plugins import Proposal, Proposer, SearchRun, TrialRecord, register_strategy


@register_strategy("hill-climb")
class HillClimb:
    """Asked for the next proposal, told of every trial that ended; asked the same again when a search is resumed."""

    def __init__(self, run: SearchRun) -> None:
        self.proposer = Proposer(run.space, run.task, run.budget)  # samples what fits the budget, nothing twice
        self.seed, self.objective = run.config.seed, run.config.objective
        self.asked = 0
        self.best: TrialRecord | None = None

    def ask(self) -> Proposal | None:
        self.asked += 1
        rng = np.random.default_rng([self.seed, self.asked])  # by the number of the proposal: resuming needs no state
        if self.best is None or rng.random() < 0.2:
            sample = self.proposer.fresh(rng)
        else:
            sample = self.proposer.mutant(self.best.sample, rng)
        return None if sample is None else Proposal(sample)

    def tell(self, trial: TrialRecord) -> None:
        score = trial.score(self.objective)  # None: it failed
        if score is not None and (self.best is None or score > self.best.score(self.objective)):
            self.best = trial
