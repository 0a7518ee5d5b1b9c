"""Handles on what a run trained: one training, and the seeds of a study's member."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from baselines import FixedNetwork
from budgets import Cost
from nas.api.exporting import exported, extras_of
from nas.api.wording import in_python
from nas.arguments import checked_types
from nas.config import Recipe
from nas.config.recipe import Metrics
from nas.runs import SearchRun, StudyRun, TrialRecord
from nas.runs.named import best_first, find_member
from search_spaces import Sample, get_space

if TYPE_CHECKING:
    from torch import nn


class Trial:
    """One training of a run: the choices, what they cost, how good it became, and the trained network.

    >>> trial = nas.load_run("vgg-digits-1").best
    >>> trial.status, trial.cost.params == trial.params
    ('finished', True)
    >>> 0 <= trial.score <= 1
    True
    """

    @checked_types
    def __init__(self, run: SearchRun | StudyRun, record: TrialRecord) -> None:
        self._run, self._record = run, record

    @property
    def id(self) -> str:
        """As ``nasctl trials`` lists it: "3"; of a confirmation "3.1", of a study "MEMBER.SEED"."""
        return self._record.id

    @property
    def stage(self) -> str:
        """ "search", "confirm" (trained again with another seed), or "study"."""
        return self._record.stage

    @property
    def of(self) -> str:
        """The search trial that a confirmation repeats, the member that a study's training is of, else its own id."""
        return self._record.of

    @property
    def status(self) -> str:
        """ "running", "finished", "failed", "pruned", or "interrupted": without a result, and nobody works on it."""
        return self._run.status(self._record)

    @property
    def sample(self) -> Sample:
        """The choices: label to value; empty for a fixed network."""
        return dict(self._record.sample)

    @property
    def cost(self) -> Cost:
        """Parameters, multiply-accumulates of one image, bytes as float32, bytes of activations at their peak."""
        return self._record.cost

    @property
    def params(self) -> int:
        """Number of parameters."""
        return self._record.cost.params

    @property
    def score(self) -> float | None:
        """The objective on rank, or on test where no image was held out, from 0 to 1; None unless it finished."""
        return self._record.score(self._run.config.objective, self._run.judged_on)

    @property
    def metrics(self) -> dict[str, Metrics]:
        """All metrics by split ("select", "rank", and "test" of a winner's trainings); empty unless it finished."""
        from nas.export.from_run import metrics_of

        return metrics_of(self._run, self._record)

    @property
    def seed(self) -> int:
        """Of the training, derived from the run's."""
        return self._record.seed

    @property
    def recipe(self) -> Recipe:
        """Recipe of the training."""
        return self._run.recipe(self._record.id)

    @property
    def epochs(self) -> int:
        """That it was trained for, 0 before it ended."""
        return self._record.epochs

    @property
    def seconds(self) -> float:
        """That it took, 0 before it ended."""
        return self._record.seconds

    @property
    def error(self) -> str | None:
        """Reason why it failed or was pruned."""
        return self._record.error

    @property
    def history(self) -> list[dict[str, float]]:
        """A row an epoch, read from the log: "epoch" from 1, "train_loss" and so on; empty before it ended."""
        return self._run.history(self._record)

    @in_python()
    def model(self) -> nn.Module:
        """The network with its weights, in evaluation mode on the CPU.

        It takes float (N, C, H, W) in the shape of the run's images, scaled to 0..1 and then normalized by
        ``normalization``, and gives logits (N, classes). RunError if its weights were not kept.

        >>> import torch
        >>> run = nas.load_run("vgg-digits-1")
        >>> run.best.model()(torch.zeros(2, *run.input_shape)).shape
        torch.Size([2, 10])
        """
        from nas.export.from_run import kept_weights
        from nas.trials.weights import load_weights

        state, _ = load_weights(kept_weights(self._run, self._record))
        model = self._with_random_weights()
        model.load_state_dict(state)
        return model.eval()

    @property
    @in_python()
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation by channel, of pixels scaled to 0..1, as it was trained with."""
        from nas.export.from_run import kept_weights
        from nas.trials.weights import load_weights

        return load_weights(kept_weights(self._run, self._record))[1]

    @in_python()
    @checked_types
    def export(
        self,
        out: str | Path,
        *,
        static: bool = False,
        with_preprocessing: bool = False,
        int8: bool = False,
        int8_max_drop: float | None = None,
        embedder: bool = False,
    ) -> list[Path]:
        """Write its files to the new folder ``out``; see ``Search.export``."""
        extras = extras_of(
            static=static, with_preprocessing=with_preprocessing, int8=int8, int8_max_drop=int8_max_drop,
            embedder=embedder,
        )  # fmt: skip
        return exported(self._run, self._record.id, out, extras)

    def _with_random_weights(self) -> nn.Module:
        run, facts = self._run, self._run.facts
        if isinstance(run, SearchRun):
            return run.space.build(self.sample, facts.input_shape, len(facts.classes))
        member = run.config.member(self.of)
        if member.network is None:
            return get_space(str(member.space)).build(self.sample, facts.input_shape, len(facts.classes))
        fixed = FixedNetwork(member.network, member.settings)
        return fixed.construction(facts.input_shape, len(facts.classes)).build()

    def __repr__(self) -> str:
        objective, score = self._run.config.objective, self.score
        result = self.status if score is None else f"{objective} {score:.3f}"
        return f"<Trial {self.id} of {self._run.name}: {result}, {self.params:,} parameters>"


class Member:
    """Member of a study: one network and recipe, trained with several seeds.

    >>> member = nas.load_run("hand-nets-digits-1").member("model2-setting2")
    >>> [trial.id for trial in member.trials]
    ['model2-setting2.1']
    """

    @checked_types
    def __init__(self, run: StudyRun, name: str) -> None:
        self._run, self.name = run, find_member(run, name)[0].name

    @property
    def label(self) -> str:
        """As tables call it."""
        return self._run.config.member(self.name).label

    @property
    def recipe(self) -> Recipe:
        """Recipe of the trainings."""
        return self._run.config.member(self.name).recipe

    @property
    def trials(self) -> list[Trial]:
        """Its trainings so far, one a seed."""
        return [Trial(self._run, record) for record in self._run.trials.values() if record.of == self.name]

    @property
    def test_scores(self) -> list[float]:
        """The objective of each finished training on the test split, from 0 to 1."""
        objective = self._run.config.objective
        records = (record for record in self._run.trials.values() if record.of == self.name)
        metrics = [record.metrics["test"][objective] for record in records if record.status == "finished"]
        return [float(metric) for metric in metrics if isinstance(metric, int | float)]

    @property
    @in_python()
    def best(self) -> Trial:
        """The seed that is best on rank, which is the one that is exported. RunError before one finished."""
        from nas.export.from_run import chosen

        return Trial(self._run, chosen(self._run, self.name))

    def model(self) -> nn.Module:
        """The network of ``best``; see ``Trial.model``."""
        return self.best.model()

    def __repr__(self) -> str:
        done = len(best_first(self._run, self.name))
        return f"<Member {self.name} of {self._run.name}: {done} of {self._run.config.seeds} seeds finished>"
