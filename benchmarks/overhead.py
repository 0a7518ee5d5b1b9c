"""Overhead of a search for a trial that trains nothing, beside NNI 3.0's own local service on the same machine.

.venv/bin/python benchmarks/overhead.py [--trials 400] [--nni-trials 12] [--no-nni]

Ours is the real search: the default strategy, NNI's evolution guided by a predictor, and NNI's random one; proposals
under a budget, the log on the disk, worker processes, TensorBoard files. From "submitted" to "result" in the log is a
trial's overhead; the last column divides the whole wall-clock by the trials. NNI's service needs an old setuptools, so
it gets an environment of its own beside this one's libraries (--environment keeps it for another time).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from hardware import hardware

from budgets import Budget
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import DataConfig
from nas.engine.plan import plan_search, start
from nas.engine.search import run_search
from nas.executors import EpochReport, LocalExecutor
from nas.report.tensorboard.listener import keep_files
from nas.runs import Run, as_search
from nas.runs.events import TrialEnded, TrialSubmitted
from nas.runs.fold import fold
from nas.trials.spec import TrialResult, TrialSpec

STRATEGIES: dict[str, dict[str, Any]] = {
    "guided": {"strategy": "evolution", "guide": "on"}, "random": {"strategy": "random"}
}  # fmt: skip


def nothing(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """A ``RunTrial``: what workers run here."""
    metrics = {"balanced_accuracy": spec.seed % 997 / 997}
    return TrialResult(spec.id, "finished", {"test": metrics} if spec.test else {"rank": metrics})


def ours(trials: int, workers: int, folder: Path, strategy: dict[str, Any]) -> tuple[list[float], float]:
    """Seconds of each trial from proposal to recorded result, and of all together."""
    config = SearchConfig(
        data=DataConfig(), space="densenet", budget=Budget(max_params=150_000), recipe=Recipe(),
        trials=trials, confirm=0, workers=workers, device="cpu", **strategy,
    )  # fmt: skip
    plan = plan_search(config)
    seconds: list[float] = []
    since: dict[str, float] = {}
    last = 0.0

    def listen(event: object, run: Run) -> None:
        nonlocal last
        match event:
            case TrialSubmitted(id=trial_id):
                since[trial_id] = time.perf_counter()
            case TrialEnded(result):
                last = time.perf_counter()
                seconds.append(last - since[result.id])

    def open_executor(slots: object) -> LocalExecutor:
        executor = LocalExecutor(slots, run="overhead:nothing")  # type: ignore[arg-type]
        for number in range(workers):  # the start is benchmarks/start.py's matter
            executor.submit(TrialSpec(f"0.{number}", "densenet", {}, (1, 8, 8), 10, config.data, config.recipe, 0))
        while executor.num_running:
            executor.wait()
        return executor

    with start(plan, folder) as store:
        run = as_search(fold(folder, store.entries()))
        run = run_search(run, store, plan.slots, [keep_files, listen], open_executor)
    assert len(run.stage("search")) == trials
    return seconds, last - min(since.values())


def nni_service(trials: int, workers: int, environment: Path) -> float:
    """Seconds a trial that trains nothing takes NNI's service, once it runs."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        packages = next(environment.glob("lib/python*/site-packages"))
        here = next(path for path in sys.path if path.endswith("site-packages"))
        (packages / "project.pth").write_text(f"{here}\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "setuptools<81"], check=True)
    script = Path(__file__).with_name("nni_service.py")
    with tempfile.TemporaryDirectory() as folder:
        command = [python, script, str(trials), str(workers), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not answers:
        raise SystemExit(f"NNI's service failed:\n{done.stdout}\n{done.stderr}")
    return float(json.loads(answers[-1])["seconds"]) / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--nni-trials", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-nni", action="store_true", help="leave NNI's service out")
    parser.add_argument("--environment", type=Path, help="folder of NNI's environment [default: a temporary one]")
    arguments = parser.parse_args()
    print(hardware())
    each = 0.0
    print(f"{'a trial that trains nothing':<34} {'median':>9} {'mean':>9} {'longest':>9} {'wall-clock / trials':>20}")
    for name, strategy in STRATEGIES.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds, whole = ours(arguments.trials, arguments.workers, Path(folder) / "run", strategy)
        each = whole / arguments.trials
        print(
            f"{f'{name}, {arguments.workers} workers, {arguments.trials} trials':<34} "
            f"{1e3 * statistics.median(seconds):>6.1f} ms {1e3 * statistics.fmean(seconds):>6.1f} ms "
            f"{1e3 * max(seconds):>6.1f} ms {1e3 * each:>17.1f} ms"
        )
    if arguments.no_nni:
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = arguments.environment or Path(folder) / "environment"
        theirs = nni_service(arguments.nni_trials, arguments.workers, environment)
    name = f"NNI 3.0 local service, {arguments.nni_trials} trials"
    print(f"{name:<34} {'':>9} {'':>9} {'':>9} {1e3 * theirs:>17.0f} ms")
    print(f"ratio: {theirs / each:,.0f}")


if __name__ == "__main__":
    main()
