"""The training of a supernet: weights on the training split, alphas on ``select``, an epoch at a time.

First order, as in DARTS (Liu et al. 2019): steps of the weights, and steps of the alphas on other images. One
step of the alphas comes before every second step of the weights; the paper has one before each, which costs a
third more time and reads ``select``, the smaller split, twice as often. The alphas do not learn from how large the
logits are (see ``without_scale``).
Loss, deferred re-weighting, classifier, sampler, oversampling, mixing, augmentation and optimizer are the recipe's, as
in a trial; early stopping is not, since there is no epoch to choose, nor are regularizers, which are about weights
that belong to one network (``nas.api.settings`` refuses them).
Everything random in an epoch follows from the seed and the epoch's number, so that weights, alphas and the
optimizers' states are all there is to keep between epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from budgets import Budget, costs_of
from budgets.usable import Reach
from nas.config import SearchConfig
from nas.runs.events import SupernetEpoch
from nas.strategies.nni_one_shot import Choices
from nas.strategies.oneshot.alphas import as_arrays, entropy, likeliest, sample
from nas.strategies.oneshot.batches import Batch, Images, calibrate
from nas.strategies.oneshot.candidate_pool import Pool
from nas.strategies.oneshot.penalty import BudgetPenalty
from nas.training.classifier_head import Classifier
from nas.training.evaluation import check_finite
from nas.training.losses import is_reweighted, make_loss
from nas.training.precision import asked_execution, usual_execution
from nas.training.schedules import learning_rates
from nas.training.step import make_optimizer
from nas.trials.spec import derived_seed
from search_spaces import SearchSpace, Task
from search_spaces.supernet import Supernet

ALPHA_BETAS, ALPHA_DECAY = (0.5, 0.999), 1e-3  # of Adam for the alphas, as in the paper
STRONG_PENALTY = 100.0  # the loss itself begins at a few units
STEPS_PER_ALPHA_STEP = 2  # of the weights
SAMPLES = 4096  # architectures for an epoch's statistics on what the alphas prefer
PATHS_COUNTED = 512  # and without alphas: of the paths that are trained
PATHS_SCORED = 4  # architectures whose mean is the score of a supernet without alphas


AfterStep = Callable[[int, int], None]
"""Told how many steps of an epoch are done, and of how many."""


@dataclass(frozen=True)
class Preferences:
    """Preferences of the alphas, or statistics of the trained paths: those fields of ``SupernetEpoch``."""

    penalty: float | None
    entropy: float
    expected_params: float
    likeliest_params: int
    within_budget: float
    skip_share: float | None
    probabilities: dict[str, list[float]]


class SupernetTraining:
    """A supernet, its choices, and both optimizers. ``run_epoch`` is all that changes them."""

    def __init__(self, config: SearchConfig, space: SearchSpace, task: Task, budget: Budget, images: Images) -> None:
        self.config, self.space, self.task, self.budget, self.images = config, space, task, budget, images
        self.epochs = config.supernet_epochs
        self.warm_up = warm_up_epochs(config)
        self.choices = Choices(config.strategy, space, seed=self._seed("alphas")).to(images.device)
        torch.manual_seed(self._seed("weights"))
        self.supernet = Supernet(space, task, self.choices.decide, Reach(space, task, budget)).to(images.device)
        self.supernet.to(memory_format=torch.channels_last)  # what tensor cores read; on CPUs 1.3 to 1.9 times faster
        self.weights, self.alphas = list(self.supernet.parameters()), list(self.choices.parameters())
        self.optimizer = make_optimizer(self.supernet, config.recipe)
        _begin_momentum(self.optimizer, self.weights)
        self.alpha_optimizer = _alpha_optimizer(self.alphas, config.supernet.alpha_learning_rate)
        self.loss_of, self.penalty = make_loss(config.recipe, images.counts), BudgetPenalty(space, task, budget)
        self.classifier = Classifier.of(config.recipe, images.counts)
        execution = asked_execution(config.precision) or usual_execution(images.device)
        self.in_bfloat16 = execution.precision == "bfloat16"
        self.pool = None if self.choices.weighted else Pool(space, task, budget, seed=self._seed("pool"))

    def run_epoch(self, epoch: int, after_step: AfterStep = lambda done, of: None) -> SupernetEpoch:
        """One epoch, from 1, of ``self.epochs``. TrialError if a loss is not finite."""
        started = time.perf_counter()
        seed = self._seed(f"epoch {epoch}")
        torch.manual_seed(seed)  # for the noise of Gumbel-DARTS
        generator = torch.Generator(self.images.device).manual_seed(seed)
        rng = np.random.default_rng(seed)
        temperature = self.choices.cool((epoch - 1) / max(1, self.epochs - 1))
        rate = max(self._rates(epoch))
        with self._with_classifier(self.supernet):
            train_loss, select_loss = self._losses(epoch, generator, rng, after_step)
        for name, loss in (("train_loss", train_loss), ("select_loss", select_loss)):
            if loss is not None:
                check_finite({"epoch": epoch, "learning_rate": rate, name: loss}, name, self._strong_penalty())
        preferences = self._preferences(rng)
        score = self.score("select")
        return SupernetEpoch(
            epoch=epoch,
            learning_rate=rate,
            train_loss=train_loss,
            select_loss=select_loss,
            **vars(preferences),
            temperature=temperature,
            score=score,
            seconds=time.perf_counter() - started,
        )

    def score(self, split: str) -> float:
        """The objective of the supernet itself on "select" or "rank".

        With alphas: of the mixture, without noise. Without: the mean of a few architectures, always the same.
        """
        images = self.images
        batches = images.calibration(torch.Generator(images.device).manual_seed(self._seed("calibration")))
        networks: list[nn.Module] = [self.supernet]
        if self.pool is not None:
            rng = np.random.default_rng(self._seed("score"))
            networks = [self.supernet.inherit(self.pool.sample(rng)) for _ in range(PATHS_SCORED)]
        self.choices.eval()
        scores = [self.score_of(network, batches, split) for network in networks]
        return sum(scores) / len(scores)

    def score_of(self, network: nn.Module, batches: Sequence[Tensor], split: str) -> float:
        """The objective of a network on "select" or "rank", with statistics from ``batches``."""
        with self._with_classifier(network):
            calibrate(network, batches)
            images = self.images.select if split == "select" else self.images.rank
            score = self.images.metrics(network, images, self.config.objective)[self.config.objective]
        assert isinstance(score, float)
        return score

    def _with_classifier(self, network: nn.Module) -> AbstractContextManager[None]:
        """The supernet, or a network in it, with the last layer that the recipe asks for."""
        return self.classifier.attached(network, self.task.num_classes)

    def _seed(self, name: str) -> int:
        return derived_seed(self.config.seed, f"supernet {name}")

    def _rates(self, epoch: int) -> list[float]:
        """The weights' rate at each step. A supernet is far wider than any trial: with the trials' own rate it
        fits the training split so closely that the alphas learn to leave the last stages out."""
        rates = learning_rates(self.config.recipe, epoch, len(self.images.sizes), epochs=self.epochs)
        return [self.config.supernet.learning_rate * rate for rate in rates]

    def _losses(
        self, epoch: int, generator: torch.Generator, rng: np.random.Generator, after_step: AfterStep
    ) -> tuple[float, float | None]:
        """Train for one epoch; the mean losses of the steps of the weights, and of the alphas if they learn."""
        learns = bool(self.alphas) and epoch > self.warm_up
        weight_loss, alpha_loss = (torch.zeros((), device=self.images.device) for _ in range(2))
        select = self.images.batches(self.images.select, generator) if learns else None
        seen_by_alphas = 0
        self.supernet.train()
        self.choices.train()
        train = self.images.training_batches(generator)
        reweighted = is_reweighted(self.config.recipe, epoch, self.epochs)
        for step, (rate, batch) in enumerate(zip(self._rates(epoch), train, strict=True)):
            if select is not None and step % STEPS_PER_ALPHA_STEP == 0:
                others = next(select)
                alpha_loss += self._alpha_step(others, rng) * len(others[0])
                seen_by_alphas += len(others[0])
            if self.pool is not None:
                self.choices.take(self.pool.sample(rng))
            weight_loss += self._weight_step(batch, rate, reweighted=reweighted) * len(batch[0])
            after_step(step + 1, len(self.images.sizes))
        seen = sum(self.images.sizes)
        return weight_loss.item() / seen, alpha_loss.item() / seen_by_alphas if learns else None

    def _weight_step(self, batch: Batch, rate: float, *, reweighted: bool = False) -> Tensor:
        _learn(self.weights, instead_of=self.alphas)
        loss = self._loss(batch, reweighted=reweighted)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()  # here, so that no gradients lie about while the alphas learn
        return loss.detach()

    def _alpha_step(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        _learn(self.alphas, instead_of=self.weights)
        total = loss = self._loss(batch, for_alphas=True)
        if weight := self.config.supernet.penalty:
            total = loss + weight * self.penalty(self.choices.probabilities(), rng).to(loss.device)
        assert self.alpha_optimizer is not None
        total.backward()  # type: ignore[no-untyped-call]
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad()
        return loss.detach()

    def _loss(self, batch: Batch, *, for_alphas: bool = False, reweighted: bool = False) -> Tensor:
        images, labels = batch
        device = self.images.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.in_bfloat16):
            logits = self.supernet(images)
        return self.loss_of(without_scale(logits) if for_alphas else logits, labels, reweighted=reweighted)

    def _strong_penalty(self) -> str:
        """That the penalty, not the learning rate, may be why a loss is not finite; empty if it is not that strong."""
        penalty = self.config.supernet.penalty
        return f". --penalty {penalty:g} is strong: try 1" if self.alphas and penalty > STRONG_PENALTY else ""

    def _preferences(self, rng: np.random.Generator) -> Preferences:
        """Preferences of the alphas, against the budget; without alphas: statistics of the trained paths."""
        probabilities = self.choices.probabilities()
        arrays = as_arrays(self.space, probabilities)
        rows = sample(arrays, rng, SAMPLES) if self.pool is None else self.pool.sample_over_sizes(rng, PATHS_COUNTED)
        costs = costs_of(self.space, rows, self.task)
        top = likeliest(arrays)[None] if self.pool is None else rows[[np.argsort(costs.params)[len(rows) // 2]]]
        skips = [
            math.fsum(float(probabilities[label][index]) for index in weightless)
            for label, weightless in self.supernet.skip_choices.items()
        ]
        excess = self.budget.excess(costs)
        return Preferences(
            penalty=float(np.log1p(excess).mean()) if self.alphas else None,
            entropy=entropy(arrays),
            expected_params=float(costs.params.mean()),
            likeliest_params=int(costs_of(self.space, top, self.task).params[0]),
            within_budget=float(self.budget.admits(costs).mean()),
            skip_share=math.fsum(skips) / len(skips) if skips else None,
            probabilities={c.label: a.tolist() for c, a in zip(self.space.choices, arrays, strict=True)},
        )


def warm_up_epochs(config: SearchConfig) -> int:
    """Epochs in which only weights learn: alphas that learn from random weights prefer what learns fastest,
    skips above all. At least one epoch is left for the alphas."""
    return min(round(config.supernet.warm_up * config.supernet_epochs), config.supernet_epochs - 1)


def without_scale(logits_NC: Tensor) -> Tensor:
    """The logits as they are, with a gradient that leaves each image's size of them alone.

    A supernet is overconfident on its training images, so on others it is wrong with great certainty, and the quickest
    way to a lower loss there is to make the logits smaller: few channels in the last stage do that best, whatever they
    are worth in a network of their own. With ``z`` the logits less their mean and ``r`` their root mean square, the
    result is ``z / r`` times ``r`` as a constant: equal up to a shift, which no loss here sees.
    """
    centred_NC = logits_NC.float() - logits_NC.float().mean(dim=1, keepdim=True)
    size_N1 = centred_NC.square().mean(dim=1, keepdim=True).add(1e-12).sqrt()
    return centred_NC * (size_N1.detach() / size_N1)


def _alpha_optimizer(alphas: list[nn.Parameter], rate: float) -> torch.optim.Optimizer | None:
    return torch.optim.Adam(alphas, rate, betas=ALPHA_BETAS, weight_decay=ALPHA_DECAY) if alphas else None


def _begin_momentum(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter]) -> None:
    """Begin momentum at zero, which is what a first step makes of none: on a path, weights have their first step at
    different times, and SGD's fused step (torch 2.15) takes no mixture of those with a momentum and those without."""
    if isinstance(optimizer, torch.optim.SGD) and optimizer.defaults["momentum"]:
        for weight in weights:
            optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)


def _learn(parameters: list[nn.Parameter], *, instead_of: list[nn.Parameter]) -> None:
    """Gradients to ``parameters`` alone: those of the others would take a third of the backward pass."""
    for parameter in parameters:
        parameter.requires_grad_(True)
    for parameter in instead_of:
        parameter.requires_grad_(False)
