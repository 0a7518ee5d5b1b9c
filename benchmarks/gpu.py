"""Trials on one GPU: throughput against the workers that share it, and one training step against the GPU's limits.

    .venv/bin/python benchmarks/gpu.py            # all tables, under nine minutes on an H200
    .venv/bin/python benchmarks/gpu.py --device cpu --quick    # the whole script in two minutes, to see that it works

Needs torch, torchvision, numpy and pydantic, nothing of NNI or the command line; where nasctl is not installed,
``PYTHONPATH=. python benchmarks/gpu.py``. Networks are those of each space near 75k, 20k and 150k parameters, for
3x32x32 images in 10 classes, with batches of 128; images are random.

Table A, images a second of all workers together, for 1, 2, 4, ... processes on one GPU:

* naive: one process, float32, torchvision's transforms in a DataLoader with workers, one kernel at a time;
* ours: the trainings of ``nasctl`` (bfloat16, channels last, augmentation on the GPU, CUDA graphs), with a daemon of
  MPS where it is installed, and without;
* eager: ours without CUDA graphs, with 1 worker and with the best number of them.

"enough" is what ``nasctl`` would choose; "MiB each" are a worker's tensors at the most, beside about 500 MiB of CUDA's;
"trials/h" are trials an hour of 10 epochs of 40,000 images, without evaluation. Table B, one step without making its
images: its floating point operations (three times the forward pass's) and the bytes that its operations read and
write, each as a share of what a large matrix product in bfloat16 and a large copy reach here; and the least time that
its kernels need to start, one by one and in a graph. ``--compile`` adds torch.compile, and how long it takes.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from budgets import Budget, costs_of
from budgets.sampling import sample_feasible
from nas.autotune import Measurement
from nas.autotune.gpu import choose, gpus
from nas.autotune.workers import PROBE, MeasuringFailed, measured, together
from nas.config.data import DataConfig
from nas.config.recipe import Recipe
from nas.errors import UsageError
from nas.executors import LocalExecutor, local, mps
from nas.executors.devices import count_cores, distribute
from nas.trials.spec import TrialSpec
from search_spaces import Task, get_space, space_names

TASK = Task((3, 32, 32), 10)
IMAGES_OF_A_TRIAL = 10 * 40_000
NEAR = 0.1  # share of the parameters by which a network may miss the number asked for
START_LIMIT = 180.0  # seconds for the workers' imports and CUDA contexts
ROUND_LIMIT = 60.0  # seconds to get ready and be measured

Key = tuple[str, int]  # a space and a number of parameters


@dataclass(frozen=True)
class Net:
    """A network that is measured, with its real cost."""

    spec: TrialSpec
    params: int
    macs: int

    @classmethod
    def near(cls, space: str, params: int, batch_size: int) -> Net:
        """Of the space's networks near so many parameters, the middle one by multiplications."""
        found = get_space(space)
        budget = Budget(min_params=round((1 - NEAR) * params), max_params=round((1 + NEAR) * params))
        rows = sample_feasible(found, TASK, budget, np.random.default_rng(0))[0]
        if not len(rows):
            raise UsageError(f"{space} has no network of about {params} parameters.")
        costs = costs_of(found, rows, TASK)
        row = int(np.argsort(costs.macs)[len(rows) // 2])
        spec = TrialSpec(
            "measured", space, found.decode(rows[row]), TASK.input_shape, TASK.num_classes, DataConfig(),
            Recipe(batch_size=batch_size), seed=0,
        )  # fmt: skip
        return cls(spec, int(costs.params[row]), int(costs.macs[row]))


@dataclass
class Session:
    """Session: what is asked for, the time it may take, and what was measured so far."""

    asked: argparse.Namespace
    end: float
    nets: dict[Key, Net]
    naive: dict[Key, float] = field(default_factory=dict)
    curves: dict[tuple[str, Key], list[Measurement]] = field(default_factory=dict)  # by variant and network

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    @property
    def of_each_space(self) -> list[Key]:
        """One network a space, where all would take too long."""
        return [key for key in self.nets if key[1] == self.asked.params[0]]

    def ours(self, key: Key) -> list[Measurement]:
        """Of the better variant."""
        found = [loads for (_, other), loads in self.curves.items() if other == key and loads]
        return max(found, key=lambda loads: max(load.images_per_second for load in loads), default=[])

    @contextlib.contextmanager
    def workers(self, run: str, number: int, *, shared: bool = True) -> Iterator[LocalExecutor]:
        """Processes that ``run``; with MPS if ``shared`` and it is installed."""
        before = local.shared_gpus
        if not shared:
            local.shared_gpus = lambda slots: contextlib.nullcontext({})
        try:
            with LocalExecutor(distribute([self.asked.device], number), run=run) as executor:
                spec = next(iter(self.nets.values())).spec
                with contextlib.suppress(MeasuringFailed):
                    together(executor, spec, "wake", number, time.monotonic() + min(START_LIMIT, self.left))
                yield executor
        finally:
            local.shared_gpus = before

    def curve(self, executor: LocalExecutor, spec: TrialSpec, counts: Sequence[int]) -> list[Measurement]:
        """Throughput of each number of workers, until one fails or time runs out."""
        loads: list[Measurement] = []
        slots = distribute([self.asked.device], executor.num_slots)
        try:
            for workers in counts:
                end = time.monotonic() + min(ROUND_LIMIT, self.left)
                together(executor, spec, "prepare", workers, end)
                loads.append(measured(executor, spec, slots[:workers], end))
        except MeasuringFailed as error:
            print(f"  {spec.space}, {counts[len(loads)]} workers: {brief(error)}", flush=True)
        return loads

    def single(self, executor: LocalExecutor, spec: TrialSpec) -> dict[str, float]:
        """Measurements of one worker; nothing if it fails, which is said."""
        try:
            return together(executor, spec, "measure", 1, time.monotonic() + self.left)[0]
        except MeasuringFailed as error:
            print(f"  {spec.space}: {brief(error)}", flush=True)
            return {}


def brief(error: MeasuringFailed) -> str:
    """Its first sentence: those on memory name every process."""
    return f"{error}".partition(". ")[0]


def table(heads: Sequence[str], widths: Sequence[int]) -> Table:
    made = Table(widths)
    made.row(heads)
    return made


@dataclass(frozen=True)
class Table:
    """Printed row by row, as they come."""

    widths: Sequence[int]

    def row(self, cells: Sequence[str]) -> None:
        first, *rest = (cell.rjust(width) for cell, width in zip(cells, self.widths, strict=True))
        print("  ".join([cells[0].ljust(len(first)), *rest]), flush=True)


def compact(number: float) -> str:
    return f"{number / 1e6:.2f}M" if number >= 1e6 else f"{number / 1e3:.1f}k" if number >= 1e4 else f"{number:,.0f}"


def measure_naive(session: Session) -> None:
    with session.workers("gpu_work:naive", 1) as executor:
        for key, net in session.nets.items():
            found = session.single(executor, replace(net.spec, seed=session.asked.naive_steps))
            session.naive[key] = found.get("images_per_second", 0.0)


def print_curves(session: Session, variant: str) -> None:
    """Table A with or without MPS."""
    asked = session.asked
    print(f"\nTable A, {variant}: images a second of all workers (batch {asked.batch_size})")
    counts = list(map(str, asked.workers))
    made = table(
        ["space", "params", "naive", *counts, "enough", "ratio", "MiB each", "trials/h"],
        [10, 8, 8, *[8] * len(counts), 6, 7, 8, 8],
    )
    with session.workers(PROBE, max(asked.workers), shared=variant == "MPS") as executor:
        for key, net in session.nets.items():
            if session.left < asked.reserve:
                print(f"  {key[0]} at {key[1]:,}: no time left")
                continue
            loads = session.curves[variant, key] = session.curve(executor, net.spec, asked.workers)
            if not loads:
                continue
            naive, top = session.naive[key], max(load.images_per_second for load in loads)
            speeds = [compact(load.images_per_second) for load in loads] + ["-"] * (len(counts) - len(loads))
            each = f"{max(load.worker_bytes or 0 for load in loads) / 2**20:,.0f}"
            ratio = f"{top / naive:.1f}x" if naive else "-"
            hourly = compact(3600 * top / IMAGES_OF_A_TRIAL)
            made.row(
                [key[0], compact(net.params), compact(naive), *speeds, str(choose(loads).workers), ratio, each, hourly]
            )


def print_eager(session: Session) -> None:
    """Print the gain of CUDA graphs."""
    best = {key: choose(session.ours(key)).workers for key in session.of_each_space if session.ours(key)}
    if not best:
        return
    print("\nTable A, graphs: images a second one kernel at a time and from CUDA graphs")
    made = table(["space", "params", "workers", "eager", "graphs", "ratio"], [10, 8, 7, 8, 8, 6])
    with session.workers("gpu_work:eager", max(best.values())) as executor:
        for key, most in best.items():
            if session.left < session.asked.reserve / 2:
                print(f"  {key[0]}: no time left")
                continue
            graphs = {load.workers: load.images_per_second for load in session.ours(key)}
            for load in session.curve(executor, session.nets[key].spec, sorted({1, most})):
                ours, speed = graphs[load.workers], load.images_per_second
                params = compact(session.nets[key].params)
                made.row([key[0], params, str(load.workers), compact(speed), compact(ours), f"{ours / speed:.1f}x"])


def print_compiled(session: Session) -> None:
    """torch.compile, which has to pay within one trial."""
    print("\ntorch.compile: images a second of one worker, and seconds until its first steps are done")
    made = table(["space", "images/s", "seconds"], [10, 8, 8])
    with session.workers("gpu_work:compiled", 1) as executor:
        for key in session.of_each_space:
            if session.left > session.asked.reserve and (found := session.single(executor, session.nets[key].spec)):
                made.row([key[0], compact(found["images_per_second"]), f"{found['seconds']:.1f}"])


def print_limits(session: Session) -> None:
    """Table B."""
    with session.workers("gpu_work:peaks", 1) as executor:
        peak = session.single(executor, next(iter(session.nets.values())).spec)
    if not peak:
        return
    with session.workers("gpu_work:limits", 1) as executor:
        print("\nTable B, the bare step (starts: the least time its kernels need to start)")
        print(f"  a large product: {peak['flops'] / 1e12:.3g} TFLOP/s; a large copy: {peak['bytes'] / 1e9:.4g} GB/s")
        print(f"  a kernel: {1e6 * peak['launch']:.1f} us alone, {1e6 * peak['in_graph']:.1f} us in a graph")
        made = table(
            ["space", "params", "MACs", "kernels", "alone, ms", "starts", "graph, ms", "starts", "FLOP/s", "bytes/s"],
            [10, 8, 8, 7, 9, 8, 9, 8, 7, 7],
        )
        for key, net in session.nets.items():
            if session.left < 15 or not (found := session.single(executor, net.spec)):
                continue
            kernels, seconds = found["kernels"], found["in_graph"]
            times = [found["alone"], kernels * peak["launch"], seconds, kernels * peak["in_graph"]]
            flops = 6 * net.macs * session.asked.batch_size / seconds / peak["flops"]
            moved = found["bytes"] / seconds / peak["bytes"]
            cells = [f"{kernels:.0f}", *(f"{1e3 * time:.3f}" for time in times), f"{flops:.1%}", f"{moved:.1%}"]
            made.row([key[0], compact(net.params), compact(net.macs), *cells])


def print_answer(session: Session) -> None:
    ratios = {
        key: max(load.images_per_second for load in session.ours(key)) / naive
        for key, naive in session.naive.items()
        if naive and session.ours(key)
    }
    if ratios:
        space, params = worst = min(ratios, key=ratios.__getitem__)
        middle = float(np.median(list(ratios.values())))
        print(f"\nOurs against naive, over {len(ratios)} networks: {middle:.1f} times as many trials an hour ", end="")
        print(f"in the middle, {ratios[worst]:.1f} times at the least ({space} at {params:,}).")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--spaces", nargs="+", default=space_names(), choices=space_names())
    parser.add_argument("--params", nargs="+", type=int, default=[75_000, 20_000, 150_000])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--naive-steps", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=510, help="for everything; what does not fit is left out")
    parser.add_argument("--no-alone", action="store_true", help="where MPS is installed, not without it too")
    parser.add_argument("--compile", action="store_true", help="torch.compile too: about a minute a space")
    parser.add_argument("--quick", action="store_true", help="two small networks, few workers")
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.device_count():
        print("No CUDA GPU is visible here. To see that the script works: --device cpu --quick", file=sys.stderr)
        return 2
    if asked.quick:
        asked.spaces, asked.params, asked.workers = asked.spaces[:2], [20_000], [1, 2]
        asked.naive_steps, asked.batch_size = 2, 16
    asked.reserve = asked.seconds / 6  # for the tables that come after
    keys = [(space, params) for params in asked.params for space in asked.spaces]  # every space early
    nets = {key: Net.near(*key, asked.batch_size) for key in keys}
    session = Session(asked, time.monotonic() + asked.seconds, nets)
    on_gpu = asked.device.startswith("cuda")
    has_mps = on_gpu and shutil.which(mps.CONTROL) is not None
    print(f"{gpus() if on_gpu else 'CPU'}; {count_cores()} cores; torch {torch.__version__}; ", end="")
    print(f"Python {sys.version.split()[0]}; MPS {'' if has_mps else 'not '}installed", flush=True)
    measure_naive(session)
    for variant in [*["MPS"] * has_mps, *["no MPS"] * (not (has_mps and asked.no_alone))]:
        print_curves(session, variant)
    print_eager(session)
    if asked.compile:
        print_compiled(session)
    print_limits(session)
    print_answer(session)
    return 0


if __name__ == "__main__":
    sys.exit(main())
