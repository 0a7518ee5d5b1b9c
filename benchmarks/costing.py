"""Throughput of the cost reading, against building modules to count them; and the time of a proposal, also under
budgets that about one sample in 10,000 meets. One core.

.venv/bin/python benchmarks/costing.py                     about two minutes
.venv/bin/python benchmarks/costing.py --rows 20000 --modules 3 --proposals 20

In the second table a search proposes as evolution does: a population of fresh samples, then mutants of its members.
"fresh" are searches of fresh samples alone (random search).
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from hardware import hardware

from budgets import Budget, costs_of, params_of
from nas.export.check import count_by_thop
from nas.strategies.proposals import Proposer
from search_spaces import Sample, SearchSpace, Task, get_space, space_names

TASK = Task((3, 32, 32), 10)
SAMPLES = 400_000  # from which rare budgets are found
RARE = 40  # of them fit
POPULATION = 20


def seconds(step: Callable[[], object], repeats: int = 3) -> float:
    """The best of several."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return min(times)


def print_costing(num_rows: int, num_modules: int) -> None:
    print(f"{'':<10} {'candidates/s':>21} {'ms to make':>15} {'times faster than':>27}")
    print(
        f"{'space':<10} {'parameters':>11} {'all':>9} {'build':>7} {'+ thop':>7} "
        f"{'build: params':>14} {'all':>7} {'thop':>7}"
    )
    for name in space_names():
        space = get_space(name)
        rows = space.sample_uniform(np.random.default_rng(0), num_rows)
        for warm in (params_of, costs_of):
            warm(space, rows[:1000], TASK)
        params = seconds(lambda rows=rows, space=space: params_of(space, rows, TASK), 5) / num_rows
        full = seconds(lambda rows=rows, space=space: costs_of(space, rows, TASK), 5) / num_rows
        samples = [space.decode(row) for row in rows[:num_modules]]
        models = [space.build(sample, TASK.input_shape, 10) for sample in samples]
        build = seconds(lambda samples=samples, space=space: [space.build(s, TASK.input_shape, 10) for s in samples])
        thop = seconds(lambda models=models: [count_by_thop(model, TASK.input_shape) for model in models])
        build, thop = build / num_modules, thop / num_modules
        print(
            f"{name:<10} {1 / params:>11,.0f} {1 / full:>9,.0f} {1e3 * build:>7.1f} {1e3 * thop:>7.1f} "
            f"{build / params:>14,.0f} {build / full:>7,.0f} {thop / full:>7,.0f}",
            flush=True,
        )


def budgets_of(space: SearchSpace) -> list[tuple[Budget, float]]:
    """An ordinary budget and two rare ones, each with the share of samples that fit."""
    costs = costs_of(space, space.sample_over_sizes(np.random.default_rng(9), SAMPLES), TASK)
    params, macs, peak = costs.params, costs.macs, costs.peak_memory
    near = abs(params - 100_000) < 10_000
    low_macs, low_peak = (int(np.quantile(values[near], 0.1)) for values in (macs, peak))
    band = np.sort(params[(params <= 100_000) & (macs <= low_macs)])[-RARE]
    lean = np.sort(macs[(params <= 100_000) & (params >= 50_000) & (peak <= low_peak)])[RARE - 1]
    found = (
        Budget(max_params=150_000, min_params=75_000),
        Budget(max_params=100_000, min_params=int(band), max_macs=low_macs),
        Budget(max_params=100_000, min_params=50_000, max_macs=int(lean), max_peak_memory=low_peak),
    )
    return [(budget, float(budget.admits(costs).mean())) for budget in found]


def propose(proposer: Proposer, count: int, *, mutants: bool) -> list[float]:
    """Milliseconds of each of ``count`` proposals, fewer where the budget has fewer."""
    rng, samples, times = np.random.default_rng(3), list[Sample](), list[float]()
    for _ in range(count):
        each = np.random.default_rng(rng.integers(2**31, size=4))
        parent = samples[-int(rng.integers(1, POPULATION))] if mutants and len(samples) >= POPULATION else None
        began = time.perf_counter()
        sample = proposer.mutant(parent, each) if parent else proposer.fresh(each)
        times.append(1e3 * (time.perf_counter() - began))
        if sample is None:
            break
        samples.append(sample)
    return times


def print_proposals(count: int) -> None:
    print("\nms a proposal: mean, worst")
    print(f"{'space':<10} {'fits 1 in':>9} {'fresh':>13} {'mutants':>13}  budget")
    for name in space_names():
        space = get_space(name)
        for budget, share in budgets_of(space):
            cells = []
            for mutants in (False, True):
                times = propose(Proposer(space, TASK, budget), count, mutants=mutants)
                cells.append(f"{np.mean(times):>6.1f} {max(times):>6.0f}")
            print(f"{name:<10} {1 / share:>9,.0f} {' '.join(cells)}  {budget}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="candidates costed")
    parser.add_argument("--modules", type=int, default=20, help="modules built")
    parser.add_argument("--proposals", type=int, default=200, help="of each search")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(hardware())
    print_costing(arguments.rows, arguments.modules)
    print_proposals(arguments.proposals)


if __name__ == "__main__":
    main()
