"""Scores of random networks of a space that fit a budget, trained alike, before anything is searched.

.venv/bin/python benchmarks/spaces.py                                  half an hour
.venv/bin/python benchmarks/spaces.py --spaces vgg --networks 6 --epochs 12

A search wins little where most networks are bad, since its first trials are random, and little where all are equal.
Networks are sampled as `nasctl search` samples them, with at least half of the parameters that are allowed.
"""

from __future__ import annotations

import argparse
import os
from multiprocessing import Pool

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from hardware import hardware

from budgets import Budget, cost_of, parse_size
from nas.config.recipe import named_recipe
from nas.data import DataConfig, open_data
from nas.strategies.proposals import Proposer
from nas.training.precision import Execution
from nas.trials.run_trial import run_trial
from nas.trials.spec import TrialResult, TrialSpec
from search_spaces import Sample, SearchSpace, Task, get_space, space_names

NEAR = 0.95  # of the best score
FASTEST = Execution("channels_last")  # as searches mostly find on CPUs


def sampled(space: SearchSpace, task: Task, budget: Budget, count: int) -> list[Sample]:
    """Up to ``count`` random networks that fit, no two alike."""
    proposer, rng = Proposer(space, task, budget), np.random.default_rng(0)
    samples = [proposer.fresh(rng) for _ in range(count)]
    return [sample for sample in samples if sample is not None]


def train(spec: TrialSpec) -> TrialResult:
    return run_trial(spec, "cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=space_names(), choices=space_names())
    parser.add_argument("--networks", type=int, default=20, help="of each space")
    parser.add_argument("--max-params", type=parse_size, default=150_000)
    parser.add_argument("--epochs", type=int, default=48)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--each", action="store_true", help="print every network")
    arguments = parser.parse_args()
    recipe = named_recipe("balanced-softmax").model_copy(update={"epochs": arguments.epochs, "batch_size": 64})
    data = DataConfig()
    opened = open_data(data)
    task = Task(opened.input_shape, len(opened.classes))
    budget = Budget(max_params=arguments.max_params, min_params=arguments.max_params // 2)
    print(hardware())
    print(f"{data.source}, balanced accuracy on rank after {arguments.epochs} epochs, {budget}")
    print(f"{'space':<10} {'networks':>8} {'worst':>7} {'median':>7} {'best':>7} {'near best':>9} {'mean s':>7}")
    with Pool(arguments.processes) as pool:
        for name in arguments.spaces:
            space = get_space(name)
            samples = sampled(space, task, budget, arguments.networks)
            specs = [
                TrialSpec(
                    str(i), name, sample, task.input_shape, task.num_classes, data, recipe, seed=i, execution=FASTEST
                )
                for i, sample in enumerate(samples)
            ]
            results = pool.map(train, specs, chunksize=1)
            scores = np.array([float(result.metrics["rank"]["balanced_accuracy"]) for result in results])
            near, seconds = (scores >= NEAR * scores.max()).mean(), np.mean([result.seconds for result in results])
            print(
                f"{name:<10} {len(scores):>8} {scores.min():>7.3f} {np.median(scores):>7.3f} {scores.max():>7.3f} "
                f"{near:>9.0%} {seconds:>7.1f}",
                flush=True,
            )
            for score, sample in sorted(zip(scores, samples, strict=True), key=lambda pair: pair[0]):
                if arguments.each:
                    print(f"  {score:.3f} {cost_of(space, sample, task).params:>7,} {space.text(sample)}", flush=True)


if __name__ == "__main__":
    main()
