"""Trials that train nothing under NNI 3.0's own local service; benchmarks/overhead.py runs this in its own environment.

python benchmarks/nni_service.py TRIALS WORKERS FOLDER
"""

from __future__ import annotations

import json
import sys
import time

import nni
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.strategy import Random
from torch import nn


class Space(ModelSpace):
    """16 networks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LayerChoice([nn.Identity(), nn.ReLU(), nn.Tanh(), nn.GELU()], label="first")
        self.second = LayerChoice([nn.Identity(), nn.ReLU(), nn.Tanh(), nn.GELU()], label="second")


def nothing(model: nn.Module) -> None:
    nni.report_final_result(0.5)


class Timed(Random):  # type: ignore[misc]
    """Random search that knows how long it took: without the start of the service and its web server."""

    seconds = 0.0

    def run(self) -> None:
        began = time.perf_counter()
        super().run()
        self.seconds = time.perf_counter() - began


def main() -> None:
    trials, workers, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    space, evaluator, strategy = Space(), FunctionalEvaluator(nothing), Timed()
    config = NasExperimentConfig.default(space, evaluator, strategy)
    config.max_trial_number = trials
    config.trial_concurrency = workers
    config.trial_gpu_number = 0
    config.experiment_working_directory = folder
    experiment = NasExperiment(space, evaluator, strategy, config)
    experiment.start(port=18765)
    print(json.dumps({"seconds": strategy.seconds}))
    experiment.stop()


if __name__ == "__main__":
    main()
