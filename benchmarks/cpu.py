"""Images a second that training takes in on this CPU: torch's defaults against what a search chooses by itself.

.venv/bin/python benchmarks/cpu.py                    # five spaces at 3x32x32, batch 128: about 2 minutes
.venv/bin/python benchmarks/cpu.py --batch            # images a second by size of the batch too, from 32 to 512
.venv/bin/python benchmarks/cpu.py --spaces vgg --side 16 --rounds 1

Torch's defaults: one process, a thread a core, float32, contiguous. Both sides read the same uint8 images in memory and
take the program's own steps, so that a ratio is of how the arithmetic is carried out and of nothing else. Workers
train at the same time. Every way is measured ``--rounds`` times, all in turn, and the fastest counts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the program sets it

import numpy as np
from hardware import hardware

from budgets import Budget
from budgets.sampling import sample_feasible
from nas.autotune import Measurement
from nas.autotune.cpu import choose, measure_one
from nas.autotune.workers import PROBE
from nas.config.recipe import Recipe
from nas.data import DataConfig
from nas.executors import LocalExecutor, WorkerSlot, start_server
from nas.executors.devices import count_cores
from nas.training.precision import BFLOAT16, Execution
from nas.trials.spec import TrialSpec
from search_spaces import Task, get_space, space_names

WAYS = (Execution(), Execution("channels_last"), Execution("contiguous", "bfloat16"), BFLOAT16)
FLOAT32 = WAYS[:2]
BATCHES = (32, 64, 128, 256, 512)


def specification(space: str, side: int, params: int, batch: int) -> TrialSpec:
    """The architecture in the middle, by multiplications, of those with 90 % to all of ``params`` parameters."""
    task, family = Task((3, side, side), 10), get_space(space)
    budget = Budget(max_params=params, min_params=int(0.9 * params))
    rows, costs = sample_feasible(family, task, budget, np.random.default_rng(0))
    sample = family.decode(rows[np.argsort(costs.macs, kind="stable")[len(rows) // 2]])
    recipe = Recipe(batch_size=batch)
    return TrialSpec("measured", space, sample, task.input_shape, task.num_classes, DataConfig(), recipe, seed=0)


def measured(specs: Sequence[TrialSpec], ways: Sequence[Execution], rounds: int) -> list[list[Measurement]]:
    """For each specification every way in every layout, the program's usual one first."""
    cores = count_cores()
    layouts = [[WorkerSlot("cpu", 1)] * cores, *([[WorkerSlot("cpu", cores)]] if cores > 1 else [])]
    start_server(layouts[0])
    best: list[dict[tuple[int, Execution], Measurement]] = [{} for _ in specs]
    for _ in range(rounds):
        for slots in layouts:
            with LocalExecutor(slots, run=PROBE) as executor:
                for spec, found in zip(specs, best, strict=True):
                    for way in ways:
                        for one in measure_one(executor, spec, slots, way):
                            key = (one.workers, way)
                            found[key] = max(found.get(key, one), one, key=lambda r: r.images_per_second)
    return [list(found.values()) for found in best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=space_names(), choices=space_names())
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--params", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", action="store_true", help="also by size of the batch")
    args = parser.parse_args()
    print(hardware())
    began = time.perf_counter()
    specs = [specification(space, args.side, args.params, 128) for space in args.spaces]
    found = measured(specs, WAYS, args.rounds)
    cores = count_cores()
    heads = [f"{w} x {t}" for w, t in dict.fromkeys((r.workers, r.threads) for r in found[0])]
    print(f"\nImages a second, 3x{args.side}x{args.side}, batch 128; workers x threads\n")
    print(f"{'space':<10} {'order, precision':<26}" + "".join(f"{head:>9}" for head in heads))
    for spec, rates in zip(specs, found, strict=True):
        for way in WAYS:
            row = [r.images_per_second for r in rates if r.execution == way]
            print(f"{spec.space:<10} {way!s:<26}" + "".join(f"{value:>9,.0f}" for value in row))
    print(f"\n{'space':<10} {'torch':>7} {'chosen':>7} {'ratio':>6} {'in float32':>11}  what is chosen")
    for spec, rates in zip(specs, found, strict=True):
        default = next(r for r in rates if (r.threads, r.execution) == (cores, Execution())).images_per_second
        chosen = choose(rates)
        exact = choose([r for r in rates if r.execution in FLOAT32]).images_per_second
        print(
            f"{spec.space:<10} {default:>7,.0f} {chosen.images_per_second:>7,.0f} "
            f"{chosen.images_per_second / default:>6.2f} {exact / default:>11.2f}  "
            f"{chosen.workers} x {chosen.threads}, {chosen.execution}"
        )
    if args.batch:
        print(f"\nImages a second by size of the batch, as chosen\n{'space':<10}" + "".join(f"{b:>8}" for b in BATCHES))
        for spec, rates in zip(specs, found, strict=True):
            execution = choose(rates).execution or Execution()
            sizes = [replace(spec, recipe=spec.recipe.model_copy(update={"batch_size": size})) for size in BATCHES]
            swept = [choose(one).images_per_second for one in measured(sizes, [execution], 1)]
            print(f"{spec.space:<10}" + "".join(f"{value:>8,.0f}" for value in swept))
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
