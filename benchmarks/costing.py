"""How many candidates a second the cost reading costs on one core, against building modules to count them.

.venv/bin/python benchmarks/costing.py
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np
import torch

from budgets import costs_of
from nas.export_check import count_by_thop
from search_spaces import Task, get_space, space_names

ROWS = 200_000
MODULES = 20


def seconds(step: Callable[[], object]) -> float:
    """The best of three."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    task = Task((3, 32, 32), 10)
    print(f"{'space':<10} {'candidates/s':>13} {'build ms':>9} {'thop ms':>8} {'times faster: build':>20} {'thop':>8}")
    for name in space_names():
        space = get_space(name)
        rows = space.draw(np.random.default_rng(0), ROWS)
        costs_of(space, rows[:1000], task)
        each = seconds(lambda rows=rows, space=space: costs_of(space, rows, task)) / ROWS
        samples = [space.decode(row) for row in rows[:MODULES]]
        models = [space.build(sample, task.input_shape, 10) for sample in samples]
        build = seconds(lambda samples=samples, space=space: [space.build(s, task.input_shape, 10) for s in samples])
        thop = seconds(lambda models=models: [count_by_thop(model, task.input_shape) for model in models])
        build, thop = build / MODULES, thop / MODULES
        print(
            f"{name:<10} {1 / each:>13,.0f} {1e3 * build:>9.1f} {1e3 * thop:>8.1f} "
            f"{build / each:>20,.0f} {thop / each:>8,.0f}"
        )


if __name__ == "__main__":
    main()
